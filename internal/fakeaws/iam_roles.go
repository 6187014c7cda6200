package fakeaws

type roleResult struct{ Role xmlRole }

func createRole(c *call) (any, error) {
	e, err := c.newEntity("RoleName", 64)
	if err != nil {
		return nil, err
	}
	r := role{entity: e, trust: c.params.get("AssumeRolePolicyDocument"), description: c.params.get("Description")}
	if r.sessionSeconds, err = c.params.integer("MaxSessionDuration", 3600, 3600, int(maxSessionTime.Seconds())); err != nil {
		return nil, err
	}
	if r.tags, err = c.params.tags(); err != nil {
		return nil, err
	}
	sortTags(r.tags)
	if r.boundary, err = c.boundary(false); err != nil {
		return nil, err
	}
	made, err := c.account.createRole(c.now, r)
	if err != nil {
		return nil, err
	}
	return roleResult{c.fullRole(made)}, nil
}

func getRole(c *call) (any, error) {
	name, err := c.params.name("RoleName", 64)
	if err != nil {
		return nil, err
	}
	r, ok := c.account.roles.seen(name, c.now)
	if !ok {
		return nil, errNoSuchRole(name)
	}
	return roleResult{c.fullRole(r)}, nil
}

func (c *call) namedRole() (*role, error) {
	name, err := c.params.name("RoleName", 64)
	if err != nil {
		return nil, err
	}
	return c.account.role(name)
}

func deleteRole(c *call) (any, error) {
	name, err := c.params.name("RoleName", 64)
	if err != nil {
		return nil, err
	}
	return nil, c.account.deleteRole(c.now, name)
}

type listRolesResult struct {
	Roles *list[xmlRole]
	page
}

func listRoles(c *call) (any, error) {
	prefix, err := c.params.pathPrefix()
	if err != nil {
		return nil, err
	}
	roles, p, err := paginate(c, c.account.roles.list(prefix, c.now), (*role).key)
	if err != nil {
		return nil, err
	}
	return listRolesResult{listOf(roles, c.briefRole), p}, nil
}
