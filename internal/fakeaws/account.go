package fakeaws

import (
	"slices"
	"strings"
	"time"
)

const (
	maxAccessKeys      = 2
	maxGroupsOfUser    = 10
	defaultSessionTime = time.Hour
	maxSessionTime     = 12 * time.Hour
)

// account is one AWS account. Its methods are what the actions do, apart from
// reading parameters and writing answers; the server's lock is held.
type account struct {
	id     string
	opened time.Time
	ids    idSource
	ring   *keyring
	lag    Lag
	users  *table[*user]
	roles  *table[*role]
	groups *table[*group]

	instances []*instance     // by id
	providers []*oidcProvider // by name
	clusters  map[string]*cluster
	queues    map[string]*queue
}

type user struct {
	entity
	policies
	boundary string // policy ARN
	tags     []tag
	keys     []accessKey
}

type group struct {
	entity
	policies
	members []*user // by key
}

type role struct {
	entity
	policies
	description    string
	boundary       string
	tags           []tag
	trust          string // policy document
	policy         trustPolicy
	sessionSeconds int
}

type tag struct{ Key, Value string }

type accessKey struct {
	id, status string
	created    time.Time
}

func newAccount(id string, now time.Time, ids idSource, ring *keyring) *account {
	return &account{
		id: id, opened: now.Truncate(time.Second), ids: ids, ring: ring,
		users: newTable[*user](), roles: newTable[*role](), groups: newTable[*group](),
	}
}

// seed gives the account the key of cfg.
func (a *account) seed(cfg Config) {
	if cfg.AccessKeyID == "" {
		return
	}
	who := &identity{account: a}
	if cfg.AdminUser != "" {
		who.user = a.addUser(a.opened, entity{path: "/", name: cfg.AdminUser})
		who.user.keys = []accessKey{{id: cfg.AccessKeyID, status: "Active", created: a.opened}}
	}
	a.ring.add(cfg.AccessKeyID, credential{secret: cfg.SecretAccessKey, who: who})
}

// startSession makes the temporary key of a session.
func (a *account) startSession(now time.Time, lifetime time.Duration, who *identity) Session {
	s := Session{
		ID: a.ids.id("ASIA", 16), Secret: a.ids.secret(), Token: a.ids.token(),
		Expires: now.Add(lifetime).Truncate(time.Second),
	}
	a.ring.forget(now, nil)
	a.ring.add(s.ID, credential{secret: s.Secret, token: s.Token, expires: s.Expires, who: who})
	return s
}

func (a *account) user(name string) (*user, error) {
	if u, ok := a.users.find(name); ok {
		return u, nil
	}
	return nil, errNoSuchEntity("The user with name %s cannot be found.", name)
}

func (a *account) createUser(now time.Time, e entity) (*user, error) {
	if _, ok := a.users.find(e.name); ok {
		return nil, errExists("User with name %s already exists.", e.name)
	}
	return a.addUser(now, e), nil
}

func (a *account) addUser(now time.Time, e entity) *user {
	e.kind, e.id, e.created = "user", a.ids.id("AIDA", 17), now.Truncate(time.Second)
	u := &user{entity: e}
	a.users.add(u, now, a.lag)
	return u
}

// deleteUser refuses while anything hangs on the user, as DeleteUser does for
// calls through the API. A boundary and tags go with the user.
func (a *account) deleteUser(now time.Time, name string) error {
	u, err := a.user(name)
	switch {
	case err != nil:
		return err
	case len(a.groupsOf(u)) > 0:
		return errDeleteConflict("remove users from group")
	case len(u.keys) > 0:
		return errDeleteConflict("delete access keys")
	}
	if err := u.mustBeNone(); err != nil {
		return err
	}
	a.users.remove(u, now, a.lag)
	return nil
}

// createAccessKey returns the new key and its secret.
func (a *account) createAccessKey(now time.Time, u *user) (accessKey, string, error) {
	if len(u.keys) >= maxAccessKeys {
		return accessKey{}, "", errQuota("AccessKeysPerUser", maxAccessKeys)
	}
	k := accessKey{id: a.ids.id("AKIA", 16), status: "Active", created: now.Truncate(time.Second)}
	secret := a.ids.secret()
	u.keys = append(u.keys, k)
	slices.SortFunc(u.keys, func(x, y accessKey) int { return strings.Compare(x.id, y.id) })
	a.ring.add(k.id, credential{secret: secret, who: &identity{account: a, user: u}})
	return k, secret, nil
}

func (a *account) deleteAccessKey(u *user, id string) error {
	i := slices.IndexFunc(u.keys, func(k accessKey) bool { return k.id == id })
	if i < 0 {
		return errNoSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	u.keys = slices.Delete(u.keys, i, i+1)
	a.ring.remove(id)
	return nil
}

func (a *account) group(name string) (*group, error) {
	if g, ok := a.groups.find(name); ok {
		return g, nil
	}
	return nil, errNoSuchEntity("The group with name %s cannot be found.", name)
}

func (a *account) createGroup(now time.Time, e entity) (*group, error) {
	if _, ok := a.groups.find(e.name); ok {
		return nil, errExists("Group with name %s already exists.", e.name)
	}
	e.kind, e.id, e.created = "group", a.ids.id("AGPA", 17), now.Truncate(time.Second)
	g := &group{entity: e}
	a.groups.add(g, now, a.lag)
	return g, nil
}

func (a *account) deleteGroup(now time.Time, g *group) error {
	if len(g.members) > 0 {
		return errDeleteConflict("remove users from group")
	}
	if err := g.mustBeNone(); err != nil {
		return err
	}
	a.groups.remove(g, now, a.lag)
	return nil
}

func (a *account) groupsOf(u *user) []*group {
	var of []*group
	for _, g := range a.groups.all {
		if slices.Contains(g.members, u) {
			of = append(of, g)
		}
	}
	return of
}

func (a *account) role(name string) (*role, error) {
	if r, ok := a.roles.find(name); ok {
		return r, nil
	}
	return nil, errNoSuchRole(name)
}

func errNoSuchRole(name string) error {
	return errNoSuchEntity("The role with name %s cannot be found.", name)
}

// createRole takes the role's name, path and settings from r.
func (a *account) createRole(now time.Time, r role) (*role, error) {
	if _, ok := a.roles.find(r.name); ok {
		return nil, errExists("Role with name %s already exists.", r.name)
	}
	policy, err := parseTrustPolicy(r.trust)
	if err != nil {
		return nil, err
	}
	r.policy = policy
	if r.sessionSeconds == 0 {
		r.sessionSeconds = int(defaultSessionTime.Seconds())
	}
	r.kind, r.id, r.created = "role", a.ids.id("AROA", 17), now.Truncate(time.Second)
	a.roles.add(&r, now, a.lag)
	return &r, nil
}

func (a *account) deleteRole(now time.Time, name string) error {
	r, err := a.role(name)
	if err != nil {
		return err
	}
	if err := r.mustBeNone(); err != nil {
		return err
	}
	a.roles.remove(r, now, a.lag)
	a.ring.forget(now, r)
	return nil
}
