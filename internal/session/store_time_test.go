package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

func TestSessionsRunOutOfTime(t *testing.T) {
	const minute = time.Minute
	// Each step lets time pass, then does something to the session.
	type step struct {
		wait time.Duration
		do   func(*testing.T, *bed, session.ID)
	}
	get := func(t *testing.T, b *bed, id session.ID) {
		t.Helper()
		if _, err := b.Get(t.Context(), id); err != nil {
			t.Error("Get:", err)
		}
	}
	peek := func(t *testing.T, b *bed, id session.ID) { t.Helper(); b.mustPeek(t, id) }
	update := func(change func(*session.Session)) func(*testing.T, *bed, session.ID) {
		return func(t *testing.T, b *bed, id session.ID) {
			t.Helper()
			s := b.mustPeek(t, id)
			change(&s)
			if err := b.Update(t.Context(), id, s); err != nil {
				t.Error("Update:", err)
			}
		}
	}
	gone := func(t *testing.T, b *bed, id session.ID) { t.Helper(); b.gone(t, id, "its time is up") }
	for _, c := range []struct {
		reason string
		ends   time.Duration
		steps  []step
	}{
		{"idle", maxAge, []step{{idle, gone}}},
		{"not idle yet", maxAge, []step{{idle - minute, get}}},
		{"Get marks it used", maxAge, []step{{idle - minute, get}, {idle - minute, get}, {idle - minute, peek}, {minute, gone}}},
		{"Peek does not", maxAge, []step{{idle - minute, peek}, {minute, gone}}},
		{"Update does not", maxAge, []step{{idle - minute, update(func(*session.Session) {})}, {minute, gone}}},
		{"use does not outlast the end", 90 * minute, []step{{45 * minute, get}, {44 * minute, get}, {minute, gone}}},
		{"an update may bring the end nearer", maxAge, []step{
			{0, update(func(s *session.Session) { s.Ends = s.Created.Add(10 * minute) })}, {9 * minute, get}, {minute, gone},
		}},
		{"an update may put the end off", 30 * minute, []step{
			{minute, update(func(s *session.Session) { s.Ends = s.Created.Add(2 * idle) })},
			{minute, get}, {idle - minute, get}, {idle - minute, gone},
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			for _, kind := range kinds {
				t.Run(kind.name, func(t *testing.T) {
					b := kind.open(t)
					id := b.create(t, func(s *session.Session) { s.Ends = s.Created.Add(c.ends) })
					for _, s := range c.steps {
						b.forward(s.wait)
						s.do(t, b, id)
					}
				})
			}
		})
	}
}

func TestWithoutAnIdleTimeOnlyTheEndCounts(t *testing.T) {
	check := func(t *testing.T, b *bed) {
		t.Helper()
		id := b.create(t, nil)
		b.forward(maxAge / 2)
		s := b.mustPeek(t, id)
		s.Ends = s.Created.Add(2 * maxAge)
		if err := b.Update(t.Context(), id, s); err != nil {
			t.Fatal(err)
		}
		b.forward(maxAge)
		b.mustPeek(t, id)
		b.forward(maxAge / 2)
		b.gone(t, id, "its end, which was put off, has come")
	}
	t.Run("memory", func(t *testing.T) {
		c := newClock()
		m := session.NewMemory(session.MemoryConfig{Now: c.Now})
		check(t, &bed{store: m, replica: m, now: c.Now, forward: c.Forward})
	})
	t.Run("redis", func(t *testing.T) {
		b := redisStores(t)
		r := newRedis(t, session.RedisConfig{URL: b.redis.URL(), Keys: keys(t, secretA), Associated: "here", Now: b.now})
		b.store, b.replica = r, r
		check(t, b)
	})
}

func TestLock(t *testing.T) {
	const ttl = 10 * time.Second
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			id, other := b.create(t, nil), b.create(t, nil)
			lock := func(s store, id session.ID, want bool, reason string) func() {
				t.Helper()
				release, ok, err := s.Lock(t.Context(), id, ttl)
				if err != nil || ok != want {
					t.Errorf("Lock answered %t, %v, want %t: %s", ok, err, want, reason)
				}
				return release
			}
			release := lock(b.store, id, true, "nobody had it")
			lock(b.replica, id, false, "somebody has it")()
			lock(b.store, id, false, "the release of a lock that was not given gives nothing back")
			lock(b.replica, other, true, "this is another session")()

			release()
			release()
			late := lock(b.replica, id, true, "it was given back")
			b.forward(ttl)
			second := lock(b.store, id, true, "its time is up")
			late()
			lock(b.replica, id, false, "whoever had it before cannot give it back for the next")
			second()
			lock(b.replica, id, true, "it was given back")()

			if _, ok, err := b.Lock(t.Context(), id, 0); ok || err == nil {
				t.Errorf("a lock for ever: %t, %v", ok, err)
			}
			if _, err := b.End(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := b.Lock(t.Context(), id, ttl); ok || !errors.Is(err, session.ErrNotFound) {
				t.Errorf("the lock of an ended session: %t, %v, want ErrNotFound", ok, err)
			}
		})
	}
}
