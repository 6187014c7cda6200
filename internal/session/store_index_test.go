package session_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const issuer = "https://idp.example"

// named creates sessions whose CSRF is their name here.
func (b *bed) named(t *testing.T, sessions map[string]session.Index) map[string]session.ID {
	t.Helper()
	ids := map[string]session.ID{}
	for name, x := range sessions {
		ids[name] = b.create(t, func(s *session.Session) {
			s.CSRF, s.Issuer, s.SID, s.Subject = name, x.Issuer, x.SID, x.Subject
		})
	}
	return ids
}

// names returns which of the sessions these are, in alphabetical order.
func names(sessions []session.Session) []string {
	out := []string{}
	for _, s := range sessions {
		out = append(out, s.CSRF)
	}
	slices.Sort(out)
	return out
}

func TestEndIndexed(t *testing.T) {
	all := map[string]session.Index{
		"alice-1":  {Issuer: issuer, SID: "1", Subject: "alice"},
		"alice-1b": {Issuer: issuer, SID: "1", Subject: "alice"},
		"alice-2":  {Issuer: issuer, SID: "2", Subject: "alice"},
		"alice":    {Issuer: issuer, Subject: "alice"},
		"bob":      {Issuer: issuer, SID: "3", Subject: "bob"},
		"other":    {Issuer: "https://other.example", SID: "1", Subject: "alice"},
		"odd":      {Issuer: issuer, SID: "alice", Subject: "1"},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			for _, c := range []struct {
				reason string
				index  session.Index
				want   []string
			}{
				{"one session of the provider", session.Index{Issuer: issuer, SID: "1"}, []string{"alice-1", "alice-1b"}},
				{"the session id goes before the subject; who knows none may be of it", session.Index{Issuer: issuer, SID: "2", Subject: "alice"}, []string{"alice", "alice-2"}},
				{"all of a person", session.Index{Issuer: issuer, Subject: "alice"}, []string{"alice", "alice-1", "alice-1b", "alice-2"}},
				{"a session id that nobody knows of", session.Index{Issuer: issuer, SID: "4", Subject: "alice"}, []string{"alice"}},
				{"a session id that nobody knows of, and no subject", session.Index{Issuer: issuer, SID: "4"}, []string{}},
				{"another provider's", session.Index{Issuer: "https://other.example", SID: "1"}, []string{"other"}},
			} {
				ids := b.named(t, all)
				ended, err := b.replica.EndIndexed(t.Context(), c.index)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, names(ended)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.reason, diff)
				}
				for name, id := range ids {
					if slices.Contains(c.want, name) {
						b.gone(t, id, c.reason)
					} else {
						b.mustPeek(t, id)
					}
					_, _ = b.End(t.Context(), id)
				}
				if again, err := b.EndIndexed(t.Context(), c.index); len(again) != 0 || err != nil {
					t.Errorf("a second time: %v, %v, want nothing: %s", again, err, c.reason)
				}
			}
			for _, x := range []session.Index{{}, {Issuer: issuer}, {SID: "1"}, {Subject: "alice"}} {
				if ended, err := b.EndIndexed(t.Context(), x); err == nil {
					t.Errorf("EndIndexed(%+v) ended %v, want an error", x, ended)
				}
			}
		})
	}
}

func TestAnIndexFollowsItsSession(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			id := b.create(t, func(s *session.Session) { s.SID = "old" })
			s := b.mustPeek(t, id)
			s.SID = "new"
			if err := b.Update(t.Context(), id, s); err != nil {
				t.Fatal(err)
			}
			if ended, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, SID: "old"}); err != nil || len(ended) != 0 {
				t.Errorf("the old id of the provider's session ended %v, %v", ended, err)
			}
			if ended, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, SID: "new"}); err != nil || len(ended) != 1 {
				t.Errorf("the new id of the provider's session ended %v, %v, want one", ended, err)
			}
			b.gone(t, id, "it was ended by the new id")
		})
	}
}

func TestAnIndexLeavesOutWhatHasRunOut(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			b.create(t, func(s *session.Session) { s.CSRF, s.Ends = "over", s.Created.Add(time.Minute) })
			b.forward(2 * time.Minute)
			b.create(t, func(s *session.Session) { s.CSRF = "idle" })
			b.forward(idle)
			b.create(t, func(s *session.Session) { s.CSRF = "first" })
			b.forward(time.Minute)
			b.create(t, func(s *session.Session) { s.CSRF = "second" })

			ended, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: "alice"})
			if err != nil || len(ended) != 2 || ended[0].CSRF != "first" || ended[1].CSRF != "second" {
				t.Errorf("EndIndexed answered %v, %v, want the first and the second", names(ended), err)
			}
		})
	}
}
