package controllers

import (
	"errors"
	"strings"
	"testing"
)

// TestAFailedRollbackSaysThatItPaused: else the refresher would stand still
// without anybody knowing.
func TestAFailedRollbackSaysThatItPaused(t *testing.T) {
	broken := errors.New("broken")
	for at := 1; ; at++ {
		w := newWorldWith(t, "tmp-foo-1")
		plan, err := w.operator().PlanRollback(t.Context(), 1, false)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		err = w.operatorWith(interfered{w.admin, func(string, string) error {
			if calls++; calls == at {
				return broken
			}
			return nil
		}}).Roll(t.Context(), plan)
		if calls < at {
			return
		}
		paused := isPaused(w.get("aws-auth-refresher"))
		if err != nil && (!errors.Is(err, broken) || strings.Contains(err.Error(), "the refresher is paused") != paused) {
			t.Errorf("call %d fails; paused: %t, error: %v", at, paused, err)
		}
	}
}
