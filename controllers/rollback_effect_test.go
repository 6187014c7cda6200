package controllers

import (
	"errors"
	"strings"
	"testing"
)

// lost are the names of the users that a rollback takes out of aws-auth.
func lost(plan *Rollback) string {
	var names []string
	for _, c := range plan.Effect().Lost() {
		names = append(names, c.Before.ARN[strings.LastIndex(c.Before.ARN, "/")+1:])
	}
	return strings.Join(names, " ")
}

// TestRollbackTellsWhoLosesAccess: those who came since that version, whether
// ours leave alone or everything does.
func TestRollbackTellsWhoLosesAccess(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.createUsers("tmp-foo-2")
	w.later()
	w.awsAuth(w.mapUsers() + bob)
	for _, c := range []struct {
		everything bool
		want       string
	}{{false, "tmp-foo-2"}, {true, "tmp-foo-2 bob"}} {
		plan, err := w.operator().PlanRollback(t.Context(), 2, c.everything)
		if err != nil {
			t.Fatal(err)
		}
		if got := lost(plan); got != c.want {
			t.Errorf("everything %t: %q lose access, want %q", c.everything, got, c.want)
		}
	}
}

// TestRollbackTakesNobodyOutUnseen: who got in after the difference was shown
// stays; who did so by somebody else's hand is not touched anyway.
func TestRollbackTakesNobodyOutUnseen(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.createUsers("tmp-foo-2")
	w.later()
	plan, err := w.operator().PlanRollback(t.Context(), 2, false)
	if err != nil {
		t.Fatal(err)
	}
	w.createUsers("tmp-foo-3")
	w.later()
	in := w.mapUsers()
	if err := w.operator().Roll(t.Context(), plan); !errors.Is(err, ErrChanged) {
		t.Errorf("somebody was taken out whom nobody was shown: %v", err)
	}
	w.expectMapUsers("untouched", in)
	if plan, err = w.operator().PlanRollback(t.Context(), 2, false); err != nil {
		t.Fatal(err)
	}
	if err := w.operator().Roll(t.Context(), plan); err != nil {
		t.Error(err)
	}
	w.expectMapUsers("shown and done", person+entry("tmp-foo-1", "foo", "system:masters"))
}
