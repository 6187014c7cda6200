package controllers

import (
	"errors"
	"maps"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestHistoryIsThereWheneverTheProcessDies: at each call that may be its last,
// what stood in aws-auth before is in aws-auth still, or in the history.
func TestHistoryIsThereWheneverTheProcessDies(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	for calls := 1; calls < 12; calls++ {
		before := w.get("aws-auth").Data
		left := calls
		w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(string, string) error {
			if left--; left < 0 {
				return errKilled
			}
			return nil
		}}
		w.restart()
		w.createUsers("tmp-foo-at-" + strings.Repeat("x", calls))
		_, _ = w.refresher.Reconcile(t.Context(), request()) // dies on the way
		w.config.ConfigMaps = w.core.ConfigMaps(w.namespace)
		found := false
		for _, v := range w.versions() {
			found = found || maps.Equal(v.Data, before)
		}
		if !found {
			t.Fatalf("after %d calls what stood in aws-auth is nowhere", calls)
		}
		w.restart()
		w.refresh()
	}
	all := w.versions()
	if n := len(all); n != 11 || !maps.Equal(all[n-1].Data, w.get("aws-auth").Data) {
		t.Errorf("%d versions, want the last ten and the present one", n)
	}
}

// TestHistoryHoldsNobodyUp: where it cannot be written people get in all the
// same, and the status says so.
func TestHistoryHoldsNobodyUp(t *testing.T) {
	w := newWorldWith(t)
	w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(_, name string) error {
		if name == "aws-auth-refresher-history" {
			return errors.New("no rights")
		}
		return nil
	}}
	w.restart()
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.expectMapUsers("let in", person+entry("tmp-foo-1", "foo", "system:masters"))
	if c := w.condition(ConditionHistoryKept); c.Status != metav1.ConditionFalse || c.Reason != "Failed" {
		t.Errorf("condition %+v", c)
	}
	if c := w.condition(ConditionDegraded); c.Reason != "HistoryKeptFailed" {
		t.Errorf("condition %+v", c)
	}
}

// TestTheNextProcessSeesThatTheHistoryIsUnusable, without having to write.
func TestTheNextProcessSeesThatTheHistoryIsUnusable(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.garbage("aws-auth-refresher-history", historyKey)
	w.restart()
	w.later()
	if c := w.condition(ConditionHistoryKept); c.Reason != "Unusable" {
		t.Errorf("condition %+v", c)
	}
	writes := w.writes()
	w.delete("aws-auth-refresher-history")
	w.restart()
	w.later()
	if c := w.condition(ConditionHistoryKept); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
	if n := w.writes() - writes; n > 2 { // the deletion, and the status
		t.Errorf("%d writes to look at a history", n)
	}
}
