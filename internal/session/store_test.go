package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/redisbed"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const (
	idle   = time.Hour
	maxAge = 12 * time.Hour
)

// store is what both stores do.
type store interface { //nolint:interfacebloat // the tests try all of it
	Create(context.Context, session.ID, session.Session) error
	Get(context.Context, session.ID) (session.Session, error)
	Peek(context.Context, session.ID) (session.Session, error)
	Update(context.Context, session.ID, session.Session) error
	End(context.Context, session.ID) (session.Session, error)
	EndIndexed(context.Context, session.Index) ([]session.Session, error)
	Lock(context.Context, session.ID, time.Duration) (func(), bool, error)
	Watch(context.Context, func(string), func()) error
	Ready(context.Context) error
}

// bed is a store with its clock.
type bed struct {
	store

	now     func() time.Time
	forward func(time.Duration)
	// replica is another view of the same sessions; the store itself if it has none.
	replica store
	redis   *redisbed.Server // nil in memory
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// kinds are both stores; open makes an empty one.
var kinds = []struct {
	name string
	open func(*testing.T) *bed
}{
	{"memory", memoryStore},
	{"redis", redisStores},
}

func memoryStore(*testing.T) *bed {
	c := newClock()
	m := session.NewMemory(session.MemoryConfig{Idle: idle, Now: c.Now})
	return &bed{store: m, replica: m, now: c.Now, forward: c.Forward}
}

func redisStores(t *testing.T) *bed {
	t.Helper()
	server := redisbed.Start(t)
	c := newClock()
	config := session.RedisConfig{URL: server.URL(), Keys: keys(t, secretA), Associated: "here", Idle: idle, Now: c.Now}
	raw := rawClient(t, server)
	return &bed{
		store:   newRedis(t, config),
		replica: newRedis(t, config),
		redis:   server,
		now:     c.Now,
		forward: func(d time.Duration) {
			c.Forward(d)
			age(t, raw, d)
		},
	}
}

func newRedis(t testing.TB, config session.RedisConfig) *session.Redis {
	t.Helper()
	r, err := session.NewRedis(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func rawClient(t testing.TB, server *redisbed.Server) *redis.Client {
	t.Helper()
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

// age lets time pass for everything in Redis that has a time to live.
func age(t *testing.T, raw *redis.Client, d time.Duration) {
	t.Helper()
	names, err := raw.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		left, err := raw.PTTL(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		if left < 0 {
			t.Errorf("%s stays in Redis for ever", name)
		} else if err := raw.PExpire(t.Context(), name, left-d).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	secretA = []byte(strings.Repeat("a", 32))
	secretB = []byte(strings.Repeat("b", 32))
)

func keys(t testing.TB, secret []byte, previous ...[]byte) *session.Keys {
	t.Helper()
	k, err := session.NewKeys(secret, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newID(t testing.TB) session.ID {
	t.Helper()
	id, err := session.NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// login is a session as it is after logging in.
func (b *bed) login() session.Session {
	now := b.now()
	return session.Session{
		Issuer: "https://idp.example", Subject: "alice", SID: "sid-1", Email: "alice@example.com",
		Claims: map[string]any{
			"email_verified": true, "groups": []any{"admins", "devs"}, "address": map[string]any{"floor": 3.0}, "nothing": nil,
		},
		IDToken: "header.payload.signature", RefreshToken: "refresh-1",
		Identity: "arn:aws:iam::123456789012:role/viewer", RoleSessionName: "alice@example.com",
		Credentials: session.AWSCredentials{
			AccessKeyID: "ASIA1", SecretAccessKey: "secret", SessionToken: "token", Expires: now.Add(time.Hour),
		},
		Lease: session.Lease{ID: "lease-1", Token: "hvs.1", Expires: now.Add(time.Hour)}, Pending: true, CSRF: "csrf-1",
		Created: now, Ends: now.Add(maxAge),
	}
}

// create stores a session and returns its id.
func (b *bed) create(t *testing.T, change func(*session.Session)) session.ID {
	t.Helper()
	id, s := newID(t), b.login()
	if change != nil {
		change(&s)
	}
	if err := b.Create(t.Context(), id, s); err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bed) mustPeek(t *testing.T, id session.ID) session.Session {
	t.Helper()
	s, err := b.Peek(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// gone checks that nothing reaches the session any more.
func (b *bed) gone(t *testing.T, id session.ID, reason string) {
	t.Helper()
	for i, s := range []store{b.store, b.replica} {
		_, get := s.Get(t.Context(), id)
		_, peek := s.Peek(t.Context(), id)
		_, end := s.End(t.Context(), id)
		_, _, lock := s.Lock(t.Context(), id, time.Second)
		update := s.Update(t.Context(), id, session.Session{
			Version: 1, Issuer: "https://idp.example", Subject: "alice", Ends: b.now().Add(maxAge),
		})
		for name, err := range map[string]error{"Get": get, "Peek": peek, "End": end, "Lock": lock, "Update": update} {
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s of replica %d answered %v, want ErrNotFound: %s", name, i, err, reason)
			}
		}
	}
}

func TestWhatIsStoredComesBack(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			id, s := newID(t), b.login()
			s.Version = 7
			if err := b.Create(t.Context(), id, s); err != nil {
				t.Fatal(err)
			}
			s.Version = 1
			for name, read := range map[string]func(context.Context, session.ID) (session.Session, error){
				"Get": b.Get, "Peek": b.Peek, "Get of a replica": b.replica.Get,
			} {
				got, err := read(t.Context(), id)
				if err != nil {
					t.Fatal(name, err)
				}
				if diff := cmp.Diff(fields(s), fields(got)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			got, err := b.End(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fields(s), fields(got)); diff != "" {
				t.Errorf("End (-want +got):\n%s", diff)
			}
			b.gone(t, id, "it has ended")
		})
	}
}

// fields undoes the hiding of what a session holds, for comparisons.
func fields(s session.Session) any {
	type plain session.Session
	type credentials session.AWSCredentials
	type lease session.Lease
	return []any{plain(s), credentials(s.Credentials), lease(s.Lease)}
}

func TestNobodyGetsInUnderAnIDOfTheirOwn(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			unknown, ok := session.ParseID(strings.Repeat("A", 43))
			if !ok {
				t.Fatal("this could be an id")
			}
			b.gone(t, unknown, "nobody created it")

			id := b.create(t, nil)
			mallory := b.login()
			mallory.Subject = "mallory"
			for name, s := range map[string]session.Session{"another person": mallory, "the same person": b.login()} {
				if err := b.replica.Create(t.Context(), id, s); !errors.Is(err, session.ErrConflict) {
					t.Errorf("Create over a session by %s answered %v, want ErrConflict", name, err)
				}
			}
			if got := b.mustPeek(t, id); got.Subject != "alice" || got.Version != 1 {
				t.Errorf("the session is %v, version %d, after somebody tried to create it again", got, got.Version)
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			for _, c := range []struct {
				reason string
				change func(*session.Session)
			}{
				{"no issuer", func(s *session.Session) { s.Issuer = "" }},
				{"no subject", func(s *session.Session) { s.Subject = "" }},
				{"no end", func(s *session.Session) { s.Ends = time.Time{} }},
				{"over already", func(s *session.Session) { s.Ends = b.now() }},
				{"too large", func(s *session.Session) { s.IDToken = strings.Repeat("x", 300<<10) }},
				{"no JSON", func(s *session.Session) { s.Claims = map[string]any{"f": func() {}} }},
			} {
				id, s := newID(t), b.login()
				c.change(&s)
				if err := b.Create(t.Context(), id, s); err == nil || errors.Is(err, session.ErrUnavailable) {
					t.Errorf("Create answered %v, want a refusal: %s", err, c.reason)
				}
				b.gone(t, id, c.reason)
			}
		})
	}
}
