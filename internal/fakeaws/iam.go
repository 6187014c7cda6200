package fakeaws

import "maps"

const iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"

func iamService(s *Server) *queryService {
	actions := userActions()
	maps.Copy(actions, groupActions())
	maps.Copy(actions, roleActions())
	maps.Copy(actions, providerActions())
	actions["GetAccountAuthorizationDetails"] = getAccountAuthorizationDetails
	return &queryService{server: s, name: "iam", version: "2010-05-08", actions: actions, form: xmlOrJSON{namespace: iamNamespace}}
}

func userActions() map[string]action {
	return map[string]action{
		"CreateUser":                    createUser,
		"GetUser":                       getUser,
		"DeleteUser":                    deleteUser,
		"ListUsers":                     listUsers,
		"TagUser":                       tagUser,
		"UntagUser":                     untagUser,
		"ListUserTags":                  listUserTags,
		"PutUserPermissionsBoundary":    putUserBoundary,
		"DeleteUserPermissionsBoundary": deleteUserBoundary,

		"CreateAccessKey": createAccessKey,
		"ListAccessKeys":  listAccessKeys,
		"DeleteAccessKey": deleteAccessKey,

		"AttachUserPolicy":         onUser(attachPolicy),
		"DetachUserPolicy":         onUser(detachPolicy),
		"ListAttachedUserPolicies": onUser(listAttachedPolicies),
		"PutUserPolicy":            onUser(putPolicy),
		"GetUserPolicy":            onUser(getPolicy),
		"DeleteUserPolicy":         onUser(deletePolicy),
		"ListUserPolicies":         onUser(listPolicies),
	}
}

func groupActions() map[string]action {
	return map[string]action{
		"CreateGroup":         createGroup,
		"GetGroup":            getGroup,
		"DeleteGroup":         deleteGroup,
		"ListGroups":          listGroups,
		"AddUserToGroup":      addUserToGroup,
		"RemoveUserFromGroup": removeUserFromGroup,
		"ListGroupsForUser":   listGroupsForUser,

		"AttachGroupPolicy":         onGroup(attachPolicy),
		"DetachGroupPolicy":         onGroup(detachPolicy),
		"ListAttachedGroupPolicies": onGroup(listAttachedPolicies),
		"PutGroupPolicy":            onGroup(putPolicy),
		"GetGroupPolicy":            onGroup(getPolicy),
		"DeleteGroupPolicy":         onGroup(deletePolicy),
		"ListGroupPolicies":         onGroup(listPolicies),
	}
}

func roleActions() map[string]action {
	return map[string]action{
		"CreateRole": createRole,
		"GetRole":    getRole,
		"DeleteRole": deleteRole,
		"ListRoles":  listRoles,

		"AttachRolePolicy":         onRole(attachPolicy),
		"DetachRolePolicy":         onRole(detachPolicy),
		"ListAttachedRolePolicies": onRole(listAttachedPolicies),
		"PutRolePolicy":            onRole(putPolicy),
		"GetRolePolicy":            onRole(getPolicy),
		"DeleteRolePolicy":         onRole(deletePolicy),
		"ListRolePolicies":         onRole(listPolicies),
	}
}
