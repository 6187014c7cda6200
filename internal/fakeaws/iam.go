package fakeaws

const iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"

func iamService(s *Server) *queryService {
	return &queryService{
		server:    s,
		version:   "2010-05-08",
		namespace: iamNamespace,
		actions: map[string]action{
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

			"AttachUserPolicy":         attachUserPolicy,
			"DetachUserPolicy":         detachUserPolicy,
			"ListAttachedUserPolicies": listAttachedUserPolicies,
			"PutUserPolicy":            putUserPolicy,
			"GetUserPolicy":            getUserPolicy,
			"DeleteUserPolicy":         deleteUserPolicy,
			"ListUserPolicies":         listUserPolicies,

			"CreateGroup":         createGroup,
			"GetGroup":            getGroup,
			"DeleteGroup":         deleteGroup,
			"ListGroups":          listGroups,
			"AddUserToGroup":      addUserToGroup,
			"RemoveUserFromGroup": removeUserFromGroup,
			"ListGroupsForUser":   listGroupsForUser,

			"CreateRole": createRole,
			"GetRole":    getRole,
			"DeleteRole": deleteRole,
			"ListRoles":  listRoles,

			"GetAccountAuthorizationDetails": getAccountAuthorizationDetails,
		},
	}
}
