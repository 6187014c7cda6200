package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// TestALoginUnderWayEndsToo: the provider orders a logout while the session is
// still to be created.
func TestALoginUnderWayEndsToo(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, c := range []struct {
				reason   string
				index    session.Index
				change   func(*session.Session)
				after    time.Duration // from the order to the login, by the provider's clock
				wait     time.Duration // from the order to Create, by ours
				loggedIn bool
			}{
				{"the person's logins", session.Index{Subject: "alice"}, nil, -time.Second, 0, false},
				{"at the same second nobody knows which was first", session.Index{Subject: "alice"}, nil, 0, 0, false},
				{"a later login", session.Index{Subject: "alice"}, nil, time.Second, 0, true},
				{"another person", session.Index{Subject: "bob"}, nil, -time.Second, 0, true},
				{"the provider's session", session.Index{SID: "sid-1", Subject: "alice"}, nil, -time.Second, 0, false},
				{"another session of the provider", session.Index{SID: "sid-2", Subject: "alice"}, nil, -time.Second, 0, true},
				{"a login that knows no session of the provider", session.Index{SID: "sid-2", Subject: "alice"},
					func(s *session.Session) { s.SID = "" }, -time.Second, 0, false},
				{"ten minutes later", session.Index{Subject: "alice"}, nil, -time.Second, 10 * time.Minute, false},
				{"when it can be under way no more", session.Index{Subject: "alice"}, nil, -time.Second, 16 * time.Minute, true},
				{"no time is known", session.Index{Subject: "alice"}, func(s *session.Session) { s.LoggedIn = time.Time{} }, 0, 0, false},
			} {
				b := kind.open(t)
				c.index.Issuer, c.index.At = issuer, b.now()
				older := c.index
				older.At = older.At.Add(-time.Minute)
				id, s := newID(t), b.login()
				s.LoggedIn = b.now().Add(c.after)
				if c.change != nil {
					c.change(&s)
				}
				for _, x := range []session.Index{c.index, older} {
					if ended, err := b.replica.EndIndexed(t.Context(), x); err != nil || len(ended) != 0 {
						t.Fatalf("EndIndexed answered %v, %v: %s", ended, err, c.reason)
					}
				}
				b.forward(c.wait)
				err := b.Create(t.Context(), id, s)
				if c.loggedIn && err != nil || !c.loggedIn && !errors.Is(err, session.ErrLoggedOut) {
					t.Errorf("Create answered %v: %s", err, c.reason)
				}
				if !c.loggedIn {
					b.gone(t, id, c.reason)
				}
			}
		})
	}
}
