package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// TestWhoeverHasLoggedOutStaysOut has everything happen at once.
func TestWhoeverHasLoggedOutStaysOut(t *testing.T) {
	const people, sessions, workers, rounds = 5, 40, 8, 150
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			ids := make([]session.ID, sessions)
			for i := range ids {
				ids[i] = b.create(t, func(s *session.Session) {
					s.Subject, s.SID = fmt.Sprint("person-", i%people), fmt.Sprint("sid-", i)
				})
			}
			ended := &endings{at: map[session.ID]bool{}}
			var group sync.WaitGroup
			for w := range workers {
				group.Go(func() {
					r := rand.New(rand.NewPCG(1, uint64(w)))
					s := []store{b.store, b.replica}[w%2]
					for range rounds {
						ended.something(t, r, s, ids[r.IntN(len(ids))])
					}
				})
			}
			group.Wait()
			for id := range ended.at {
				b.gone(t, id, "somebody ended it")
			}
			if m, ok := b.store.(*session.Memory); ok {
				if n, _, err := session.Inside(m); err != nil || n != sessions-len(ended.at) {
					t.Errorf("%d sessions are left, %v, want %d", n, err, sessions-len(ended.at))
				}
			}
			left := 0
			for i := range people {
				gone, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: fmt.Sprint("person-", i)})
				if err != nil {
					t.Error(err)
				}
				left += len(gone)
			}
			if left+len(ended.at) != sessions || len(ended.at) == 0 {
				t.Errorf("%d were ended and %d are left of %d", len(ended.at), left, sessions)
			}
			if m, ok := b.store.(*session.Memory); ok {
				if n, indexes, err := session.Inside(m); n+indexes != 0 || err != nil {
					t.Errorf("%d sessions and %d index entries are left, %v", n, indexes, err)
				}
			}
		})
	}
}

// endings notes which sessions were ended.
type endings struct {
	mu sync.Mutex
	at map[session.ID]bool
}

func (e *endings) note(id session.ID) (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	again, e.at[id] = e.at[id], true
	return again
}

func (e *endings) has(id session.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at[id]
}

func (e *endings) something(t *testing.T, r *rand.Rand, s store, id session.ID) {
	t.Helper()
	over := e.has(id)
	seen, err := s.Get(context.Background(), id)
	switch {
	case over && !errors.Is(err, session.ErrNotFound):
		t.Errorf("Get of an ended session answered %v", err)
	case err != nil:
		return
	}
	switch r.IntN(20) {
	case 0:
		if _, err := s.End(context.Background(), id); err == nil && e.note(id) {
			t.Error("a session was ended twice")
		}
	case 1:
		gone, err := s.EndIndexed(context.Background(), session.Index{Issuer: issuer, SID: seen.SID})
		if err != nil || len(gone) > 1 {
			t.Errorf("EndIndexed answered %v, %v", gone, err)
		}
		if len(gone) == 1 && e.note(id) {
			t.Error("a session was ended twice")
		}
	case 2, 3, 4:
		release, _, err := s.Lock(context.Background(), id, time.Minute)
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			t.Error("Lock:", err)
		}
		release()
	default:
		seen.RefreshToken += "+"
		seen.Ends = seen.Ends.Add(time.Duration(r.IntN(120)-60) * time.Second)
		err := s.Update(context.Background(), id, seen)
		if err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict) {
			t.Error("Update:", err)
		}
	}
}
