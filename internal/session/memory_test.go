package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

func memory(config session.MemoryConfig) *bed {
	m := session.NewMemory(config)
	return &bed{store: m, replica: m, now: time.Now}
}

func TestTheLongestUnusedMakesRoom(t *testing.T) {
	b := memory(session.MemoryConfig{Max: 3})
	w := watch(t, b.store)
	await(t, w.rechecks, "the recheck at the beginning")
	first, second, third := b.create(t, nil), b.create(t, nil), b.create(t, nil)
	if _, err := b.Get(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	b.mustPeek(t, second)

	fourth := b.create(t, nil)
	b.gone(t, second, "it was unused for longest; looking is no use")
	if got := await(t, w.ended, "the end that made room"); got != second.Key() {
		t.Errorf("watchers heard of %s, want %s", got, second.Key())
	}
	for _, id := range []session.ID{first, third, fourth} {
		b.mustPeek(t, id)
	}
	if err := b.Create(t.Context(), third, b.login()); !errors.Is(err, session.ErrConflict) {
		t.Errorf("Create over a session of a full store answered %v, want ErrConflict", err)
	}
	b.mustPeek(t, first)
}

func TestWhatHasRunOutMakesRoomFirst(t *testing.T) {
	c := newClock()
	b := &bed{store: session.NewMemory(session.MemoryConfig{Max: 2, Now: c.Now}), now: c.Now}
	b.replica = b.store
	old := b.create(t, nil)
	short := b.create(t, func(s *session.Session) { s.Ends = s.Created.Add(time.Minute) })
	c.Forward(time.Minute)
	b.create(t, nil)
	b.mustPeek(t, old)
	b.gone(t, short, "its end has come")
}

func TestMemoryIsFreedWithoutTraffic(t *testing.T) {
	for _, c := range []struct {
		reason string
		config session.MemoryConfig
		ends   time.Duration
		want   time.Duration
	}{
		{"idle", session.MemoryConfig{Idle: idle}, maxAge, idle},
		{"over", session.MemoryConfig{Idle: idle}, 10 * time.Minute, 10 * time.Minute},
		{"over, without an idle time", session.MemoryConfig{}, maxAge, maxAge},
	} {
		t.Run(c.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory(c.config)
				begun := time.Now()
				ended := make(chan time.Duration, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go b.Watch(ctx, func(string) { ended <- time.Since(begun) }, func() {}) //nolint:errcheck // always nil
				synctest.Wait()
				b.create(t, func(s *session.Session) { s.Ends = s.Created.Add(c.ends) })
				if got := <-ended; got < c.want || got > c.want+time.Second {
					t.Errorf("it was freed after %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestUseAndUpdatesMoveTheAwakening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory(session.MemoryConfig{Idle: idle})
		begun := time.Now()
		ended := make(chan time.Duration, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.Watch(ctx, func(string) { ended <- time.Since(begun) }, func() {}) //nolint:errcheck // always nil
		used, shortened := b.create(t, nil), b.create(t, nil)
		<-time.After(30 * time.Minute)
		if _, err := b.Get(t.Context(), used); err != nil {
			t.Fatal(err)
		}
		s := b.mustPeek(t, shortened)
		s.Ends = s.Created.Add(40 * time.Minute)
		if err := b.Update(t.Context(), shortened, s); err != nil {
			t.Fatal(err)
		}
		if first, second := <-ended, <-ended; first != 40*time.Minute || second != 90*time.Minute {
			t.Errorf("freed after %s and %s, want 40m and 90m", first, second)
		}
	})
}

func TestASlowWatcherIsToldToLook(t *testing.T) {
	b := memory(session.MemoryConfig{})
	entered, release, rechecks := make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 10)
	heard := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Watch(ctx, func(string) {
			if heard++; heard == 1 {
				entered <- struct{}{}
				<-release
			}
		}, func() { rechecks <- struct{}{} })
	}()
	await(t, rechecks, "the recheck at the beginning")
	end := func() {
		if _, err := b.End(t.Context(), b.create(t, nil)); err != nil {
			t.Fatal(err)
		}
	}
	end()
	await(t, entered, "the first end")
	for range 5000 {
		end()
	}
	close(release)
	await(t, rechecks, "a recheck, because ends were lost")
	cancel()
	if err := await(t, done, "the end of watching"); err != nil {
		t.Error(err)
	}
	if heard > 4097 {
		t.Errorf("%d ends were kept for a watcher that did not listen", heard)
	}
}

func TestNothingIsSharedWithCallers(t *testing.T) {
	b := memory(session.MemoryConfig{})
	id, s := newID(t), b.login()
	want := b.login().Claims
	if err := b.Create(t.Context(), id, s); err != nil {
		t.Fatal(err)
	}
	spoil := func(claims map[string]any) {
		claims["email_verified"] = false
		if groups, ok := claims["groups"].([]any); ok {
			groups[0] = "cluster-admins"
		}
		if address, ok := claims["address"].(map[string]any); ok {
			address["floor"] = 13.0
		}
	}
	spoil(s.Claims)
	for range 2 {
		got, err := b.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Claims); diff != "" {
			t.Errorf("the stored claims changed (-want +got):\n%s", diff)
		}
		spoil(got.Claims)
	}
}
