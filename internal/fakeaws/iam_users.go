package fakeaws

import (
	"slices"
	"strings"
)

type userResult struct{ User xmlUser }

func createUser(c *call) (any, error) {
	e, err := c.newEntity("UserName", 64)
	if err != nil {
		return nil, err
	}
	tags, err := c.params.tags()
	if err != nil {
		return nil, err
	}
	boundary, err := c.boundary(false)
	if err != nil {
		return nil, err
	}
	u, err := c.account.createUser(c.now, e)
	if err != nil {
		return nil, err
	}
	u.tags, u.boundary = sortTags(tags), boundary
	return userResult{c.fullUser(u)}, nil
}

// newEntity reads what every Create action of IAM takes.
func (c *call) newEntity(field string, limit int) (entity, error) {
	name, err := c.params.name(field, limit)
	if err != nil {
		return entity{}, err
	}
	path, err := c.params.path()
	return entity{path: path, name: name}, err
}

// getUser shows the caller if no name is given.
func getUser(c *call) (any, error) {
	if !c.params.has("UserName") {
		return c.getCaller()
	}
	name, err := c.params.name("UserName", 128)
	if err != nil {
		return nil, err
	}
	u, ok := c.account.users.seen(name, c.now)
	if !ok {
		return nil, errNoSuchEntity("The user with name %s cannot be found.", name)
	}
	return userResult{c.fullUser(u)}, nil
}

func (c *call) getCaller() (any, error) {
	switch {
	case c.caller.user != nil:
		return userResult{c.fullUser(c.caller.user)}, nil
	case c.caller.role != nil:
		return nil, errNeedsUserName()
	}
	return userResult{xmlUser{
		Path: "/", UserID: c.accountID, ARN: c.caller.arn(c.accountID), CreateDate: xmlTime(c.account.opened),
	}}, nil
}

func errNeedsUserName() error {
	return errValidation("Must specify userName when calling with non-User credentials")
}

// userOrCaller is the user that UserName names, the caller if it is absent.
func (c *call) userOrCaller() (*user, error) {
	if c.params.has("UserName") {
		return c.namedUser()
	}
	if c.caller.user == nil {
		return nil, errNeedsUserName()
	}
	return c.caller.user, nil
}

func (c *call) namedUser() (*user, error) {
	name, err := c.params.name("UserName", 128)
	if err != nil {
		return nil, err
	}
	return c.account.user(name)
}

func deleteUser(c *call) (any, error) {
	name, err := c.params.name("UserName", 128)
	if err != nil {
		return nil, err
	}
	return nil, c.account.deleteUser(c.now, name)
}

type listUsersResult struct {
	Users *list[xmlUser]
	page
}

func listUsers(c *call) (any, error) {
	prefix, err := c.params.pathPrefix()
	if err != nil {
		return nil, err
	}
	users, p, err := paginate(c, c.account.users.list(prefix, c.now), (*user).key)
	if err != nil {
		return nil, err
	}
	return listUsersResult{listOf(users, c.briefUser), p}, nil
}

func tagUser(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	added, err := c.params.tags()
	if err != nil {
		return nil, err
	}
	tags := untag(u.tags, func(key string) bool {
		return slices.ContainsFunc(added, func(t tag) bool { return strings.EqualFold(t.Key, key) })
	})
	if tags = append(tags, added...); len(tags) > maxTags {
		return nil, errQuota("TagsPerUser", maxTags)
	}
	u.tags = sortTags(tags)
	return nil, nil
}

func untagUser(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	keys := c.params.members("TagKeys")
	u.tags = untag(u.tags, func(key string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
	})
	return nil, nil
}

func untag(tags []tag, drop func(key string) bool) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t tag) bool { return drop(t.Key) })
}

func sortTags(tags []tag) []tag {
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(tagKey(a), tagKey(b)) })
	return tags
}

func tagKey(t tag) string { return strings.ToLower(t.Key) }

type listUserTagsResult struct {
	Tags *list[tag]
	page
}

func listUserTags(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	tags, p, err := paginate(c, u.tags, tagKey)
	if err != nil {
		return nil, err
	}
	return listUserTagsResult{listOf(tags, func(t tag) tag { return t }), p}, nil
}

func putUserBoundary(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	boundary, err := c.boundary(true)
	if err != nil {
		return nil, err
	}
	u.boundary = boundary
	return nil, nil
}

func deleteUserBoundary(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	if u.boundary == "" {
		return nil, errNoSuchEntity("The user with name %s does not have a permissions boundary attached.", u.name)
	}
	u.boundary = ""
	return nil, nil
}

// boundary reads PermissionsBoundary.
func (c *call) boundary(required bool) (string, error) {
	if !required && !c.params.has("PermissionsBoundary") {
		return "", nil
	}
	return c.policyARN("PermissionsBoundary")
}
