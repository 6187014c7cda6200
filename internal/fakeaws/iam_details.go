package fakeaws

import (
	"fmt"
	"slices"
)

// The parts of GetAccountAuthorizationDetails, in the order in which its pages
// give them; names as in Filter.
const (
	filterUsers  = "User"
	filterGroups = "Group"
	filterRoles  = "Role"
)

type xmlUserDetail struct {
	Path                    string
	UserName                string
	UserID                  string `xml:"UserId"`
	ARN                     string `xml:"Arn"`
	CreateDate              string
	UserPolicyList          *list[xmlPolicy]
	GroupList               *list[string]
	AttachedManagedPolicies *list[xmlAttachedPolicy]
	PermissionsBoundary     *xmlBoundary
	Tags                    *list[tag]
}

type xmlGroupDetail struct {
	xmlGroup
	GroupPolicyList         *list[xmlPolicy]
	AttachedManagedPolicies *list[xmlAttachedPolicy]
}

type xmlRoleDetail struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               string
	AssumeRolePolicyDocument string
	InstanceProfileList      *list[string]
	RolePolicyList           *list[xmlPolicy]
	AttachedManagedPolicies  *list[xmlAttachedPolicy]
	PermissionsBoundary      *xmlBoundary
	Tags                     *list[tag]
}

type detailsResult struct {
	UserDetailList  *list[xmlUserDetail]
	GroupDetailList *list[xmlGroupDetail]
	RoleDetailList  *list[xmlRoleDetail]
	Policies        *list[string]
	page
}

// detail is one of the three, so that one listing can page through them all.
type detail struct {
	user  *user
	group *group
	role  *role
}

// key sorts users before groups before roles.
func (d detail) key() string {
	switch {
	case d.user != nil:
		return "1/" + d.user.key()
	case d.group != nil:
		return "2/" + d.group.key()
	default:
		return "3/" + d.role.key()
	}
}

func getAccountAuthorizationDetails(c *call) (any, error) {
	all, err := c.details()
	if err != nil {
		return nil, err
	}
	shown, p, err := paginate(c, all, detail.key)
	if err != nil {
		return nil, err
	}
	var users []*user
	var groups []*group
	var roles []*role
	for _, d := range shown {
		switch {
		case d.user != nil:
			users = append(users, d.user)
		case d.group != nil:
			groups = append(groups, d.group)
		default:
			roles = append(roles, d.role)
		}
	}
	memberships := c.memberships()
	return detailsResult{
		UserDetailList:  listOf(users, func(u *user) xmlUserDetail { return c.userDetail(u, memberships[u]) }),
		GroupDetailList: listOf(groups, c.groupDetail),
		RoleDetailList:  listOf(roles, c.roleDetail),
		Policies:        &list[string]{},
		page:            p,
	}, nil
}

// details lists what Filter lets through, everything if it is absent.
func (c *call) details() ([]detail, error) {
	filter := c.params.members("Filter")
	for i, f := range filter {
		if !slices.Contains([]string{filterUsers, filterGroups, filterRoles, "LocalManagedPolicy", "AWSManagedPolicy"}, f) {
			return nil, errConstraint(fmt.Sprintf("filter.%d.member", i+1), "Member must satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]")
		}
	}
	wanted := func(kind string) bool { return len(filter) == 0 || slices.Contains(filter, kind) }
	var all []detail
	if wanted(filterUsers) {
		for _, u := range c.account.users.list("/", c.now) {
			all = append(all, detail{user: u})
		}
	}
	if wanted(filterGroups) {
		for _, g := range c.account.groups.list("/", c.now) {
			all = append(all, detail{group: g})
		}
	}
	if wanted(filterRoles) {
		for _, r := range c.account.roles.list("/", c.now) {
			all = append(all, detail{role: r})
		}
	}
	return all, nil
}

// memberships gives each user's groups, by name.
func (c *call) memberships() map[*user][]string {
	of := map[*user][]string{}
	for _, g := range c.account.groups.all {
		for _, u := range g.members {
			of[u] = append(of[u], g.name)
		}
	}
	return of
}

func (c *call) userDetail(u *user, groups []string) xmlUserDetail {
	return xmlUserDetail{
		Path: u.path, UserName: u.name, UserID: u.id, ARN: u.arn(c.accountID), CreateDate: xmlTime(u.created),
		UserPolicyList:          listOf(u.inline, inlineXML),
		GroupList:               &list[string]{groups},
		AttachedManagedPolicies: listOf(u.attached, attachedXML),
		PermissionsBoundary:     boundaryXML(u.boundary),
		Tags:                    tagsXML(u.tags),
	}
}

func (c *call) groupDetail(g *group) xmlGroupDetail {
	return xmlGroupDetail{c.groupXML(g), listOf(g.inline, inlineXML), listOf(g.attached, attachedXML)}
}

func (c *call) roleDetail(r *role) xmlRoleDetail {
	return xmlRoleDetail{
		Path: r.path, RoleName: r.name, RoleID: r.id, ARN: r.arn(c.accountID), CreateDate: xmlTime(r.created),
		AssumeRolePolicyDocument: escapeDocument(r.trust),
		InstanceProfileList:      &list[string]{},
		RolePolicyList:           listOf(r.inline, inlineXML),
		AttachedManagedPolicies:  listOf(r.attached, attachedXML),
		PermissionsBoundary:      boundaryXML(r.boundary),
		Tags:                     tagsXML(r.tags),
	}
}
