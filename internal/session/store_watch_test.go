package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// patience is how long tests wait for what must happen.
const patience = 20 * time.Second

// watching is a Watch that runs.
type watching struct {
	t        *testing.T
	ended    chan string
	rechecks chan struct{}
	done     chan error
	stop     context.CancelFunc
}

func watch(t *testing.T, s store) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{
		t: t, ended: make(chan string, 100), rechecks: make(chan struct{}, 100), done: make(chan error, 1), stop: cancel,
	}
	go func() {
		w.done <- s.Watch(ctx, func(key string) { w.ended <- key }, func() { w.rechecks <- struct{}{} })
	}()
	t.Cleanup(cancel)
	return w
}

// await returns what comes over a channel.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("waited in vain for", what)
		panic("unreachable")
	}
}

func TestEveryReplicaHearsOfEnds(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			watchers := []*watching{watch(t, b.store), watch(t, b.replica)}
			for _, w := range watchers {
				await(t, w.rechecks, "the recheck at the beginning")
			}
			byID, bySID, bySubject := b.create(t, nil),
				b.create(t, func(s *session.Session) { s.SID = "sid-2" }), b.create(t, func(s *session.Session) { s.Subject = "bob" })
			for name, end := range map[session.ID]func() error{
				byID: func() error { _, err := b.End(t.Context(), byID); return err },
				bySID: func() error {
					_, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, SID: "sid-2"})
					return err
				},
				bySubject: func() error {
					_, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: "bob"})
					return err
				},
			} {
				if err := end(); err != nil {
					t.Fatal(err)
				}
				for i, w := range watchers {
					if got := await(t, w.ended, "an end"); got != name.Key() {
						t.Errorf("replica %d heard of %s, want %s", i, got, name.Key())
					}
				}
			}
			for _, w := range watchers {
				w.stop()
				if err := await(t, w.done, "the end of watching"); err != nil {
					t.Error("Watch:", err)
				}
			}
		})
	}
}
