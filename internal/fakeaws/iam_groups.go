package fakeaws

import (
	"slices"
	"strings"
)

type groupResult struct{ Group xmlGroup }

func createGroup(c *call) (any, error) {
	e, err := c.newEntity("GroupName", 128)
	if err != nil {
		return nil, err
	}
	g, err := c.account.createGroup(c.now, e)
	if err != nil {
		return nil, err
	}
	return groupResult{c.groupXML(g)}, nil
}

func (c *call) namedGroup() (*group, error) {
	name, err := c.params.name("GroupName", 128)
	if err != nil {
		return nil, err
	}
	return c.account.group(name)
}

type getGroupResult struct {
	Group xmlGroup
	Users *list[xmlUser]
	page
}

func getGroup(c *call) (any, error) {
	g, err := c.namedGroup()
	if err != nil {
		return nil, err
	}
	users, p, err := paginate(c, g.members, (*user).key)
	if err != nil {
		return nil, err
	}
	return getGroupResult{c.groupXML(g), listOf(users, c.briefUser), p}, nil
}

func deleteGroup(c *call) (any, error) {
	g, err := c.namedGroup()
	if err != nil {
		return nil, err
	}
	return nil, c.account.deleteGroup(c.now, g)
}

type listGroupsResult struct {
	Groups *list[xmlGroup]
	page
}

func listGroups(c *call) (any, error) {
	prefix, err := c.params.pathPrefix()
	if err != nil {
		return nil, err
	}
	return c.listGroups(c.account.groups.list(prefix, c.now))
}

func (c *call) listGroups(groups []*group) (any, error) {
	groups, p, err := paginate(c, groups, (*group).key)
	if err != nil {
		return nil, err
	}
	return listGroupsResult{listOf(groups, c.groupXML), p}, nil
}

func listGroupsForUser(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	return c.listGroups(c.account.groupsOf(u))
}

func (c *call) groupAndUser() (*group, *user, error) {
	g, err := c.namedGroup()
	if err != nil {
		return nil, nil, err
	}
	u, err := c.namedUser()
	return g, u, err
}

func addUserToGroup(c *call) (any, error) {
	g, u, err := c.groupAndUser()
	switch {
	case err != nil:
		return nil, err
	case slices.Contains(g.members, u):
		return nil, nil
	case len(c.account.groupsOf(u)) >= maxGroupsOfUser:
		return nil, errQuota("GroupsPerUser", maxGroupsOfUser)
	}
	g.members = append(g.members, u)
	slices.SortFunc(g.members, func(a, b *user) int { return strings.Compare(a.key(), b.key()) })
	return nil, nil
}

func removeUserFromGroup(c *call) (any, error) {
	g, u, err := c.groupAndUser()
	if err != nil {
		return nil, err
	}
	if !g.remove(u) {
		return nil, errNoSuchEntity("User %s is not in group %s.", u.name, g.name)
	}
	return nil, nil
}

// remove takes the user out and tells whether it was in.
func (g *group) remove(u *user) bool {
	i := slices.Index(g.members, u)
	if i < 0 {
		return false
	}
	g.members = slices.Delete(g.members, i, i+1)
	return true
}
