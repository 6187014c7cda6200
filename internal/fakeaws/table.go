package fakeaws

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// entity is what users, groups and roles have in common.
type entity struct {
	kind    string // as in the ARN: user, group, role
	path    string
	name    string
	id      string
	created time.Time
	listed  window // when listings show it
	got     window // when GetUser and GetRole show it
	// knownFrom is when other services take its ARN for one that exists.
	knownFrom time.Time
}

// window is a span of time; a zero until means without end.
type window struct{ from, until time.Time }

func (w window) contains(t time.Time) bool {
	return !t.Before(w.from) && (w.until.IsZero() || t.Before(w.until))
}

func (e *entity) head() *entity { return e }

// key is what makes names unique: IAM does not distinguish them by case.
func (e *entity) key() string { return strings.ToLower(e.name) }

func (e *entity) arn(accountID string) string {
	return "arn:aws:iam::" + accountID + ":" + e.kind + e.path + e.name
}

// Lag is how long IAM's answers run behind what was done. Uniqueness, signing
// and everything but the listings and gets named here are always up to date.
type Lag struct {
	List time.Duration // ListUsers, ListRoles, ListGroups, GetAccountAuthorizationDetails
	Get  time.Duration // GetUser, GetRole
	// Principal is how long CreateAccessEntry refuses who was just made.
	Principal time.Duration
}

// table holds the entities of one kind by name. Removed ones linger for as
// long as a lag still shows them.
type table[T interface{ head() *entity }] struct {
	live map[string]T
	all  []T // by key, then by age
}

func newTable[T interface{ head() *entity }]() *table[T] {
	return &table[T]{live: map[string]T{}}
}

// find gives what is really there.
func (t *table[T]) find(name string) (T, bool) {
	v, ok := t.live[strings.ToLower(name)]
	return v, ok
}

// seen gives what a get shows now.
func (t *table[T]) seen(name string, now time.Time) (T, bool) {
	key := strings.ToLower(name)
	for _, v := range t.all[t.after(key):] {
		if e := v.head(); e.key() != key {
			break
		} else if e.got.contains(now) {
			return v, true
		}
	}
	var none T
	return none, false
}

// after is the position of the first entity with this key.
func (t *table[T]) after(key string) int {
	i, _ := slices.BinarySearchFunc(t.all, key, func(v T, key string) int { return cmp.Compare(v.head().key(), key) })
	return i
}

// add takes in an entity whose name is free.
func (t *table[T]) add(v T, now time.Time, lag Lag) {
	e := v.head()
	e.listed.from, e.got.from, e.knownFrom = now.Add(lag.List), now.Add(lag.Get), now.Add(lag.Principal)
	t.live[e.key()] = v
	t.prune(now)
	t.all = slices.Insert(t.all, t.after(e.key()+"\x00"), v)
}

func (t *table[T]) remove(v T, now time.Time, lag Lag) {
	e := v.head()
	e.listed.until, e.got.until = now.Add(lag.List), now.Add(lag.Get)
	delete(t.live, e.key())
	t.prune(now)
}

// prune forgets removed entities that nothing shows any more.
func (t *table[T]) prune(now time.Time) {
	t.all = slices.DeleteFunc(t.all, func(v T) bool {
		e := v.head()
		return !e.got.until.IsZero() && !e.got.contains(now) && !e.listed.contains(now) &&
			now.After(e.got.from) && now.After(e.listed.from)
	})
}

// list gives what a listing shows now, in the order of keys.
func (t *table[T]) list(prefix string, now time.Time) []T {
	var found []T
	for _, v := range t.all {
		if e := v.head(); e.listed.contains(now) && strings.HasPrefix(e.path, prefix) {
			found = append(found, v)
		}
	}
	return found
}
