package controllers

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// immutable has every write of aws-auth refused.
func (w *world) immutable() {
	w.Helper()
	cm := w.get("aws-auth")
	cm.Immutable = new(true)
	if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// TestNumbersAreOfWhatStandsThere: where aws-auth cannot be written, summary and
// metrics count what EKS sees, not what the rules want.
func TestNumbersAreOfWhatStandsThere(t *testing.T) {
	check := func(w *world, summary string, ours float64) {
		w.Helper()
		if got := w.get("aws-auth-refresher-status").Data["summary"]; !strings.HasPrefix(got, summary) {
			w.Errorf("summary is %q, want %q", got, summary)
		}
		if got := testutil.ToFloat64(w.config.Metrics.entries.WithLabelValues("user", "ours")); got != ours {
			w.Errorf("the metric says %v, want %v", got, ours)
		}
		if got := testutil.ToFloat64(w.config.Metrics.bytes); int(got) != len(w.mapUsers())+len("mapUsers") && int(got) != len(w.mapUsers()) {
			w.Errorf("the size is %v, aws-auth has %d", got, len(w.mapUsers()))
		}
		if c := w.condition(ConditionApplied); c.Status != metav1.ConditionFalse {
			w.Errorf("condition %+v", c)
		}
	}
	t.Run("Removals", func(t *testing.T) {
		w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
		w.immutable()
		w.approved("")
		_, _ = w.refresher.Reconcile(t.Context(), request())
		check(w, "2 users and 0 roles of ours in aws-auth, 1 entries of others; not written yet: 0 to add, 0 to change and 2 to remove", 2)
	})
	t.Run("Additions", func(t *testing.T) {
		w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
		w.immutable()
		w.createUsers("tmp-foo-3")
		w.pass(w.config.Removal.Hold)
		_, _ = w.refresher.Reconcile(t.Context(), request())
		check(w, "2 users and 0 roles of ours in aws-auth, 1 entries of others; not written yet: 1 to add, 0 to change and 0 to remove", 2)
	})
}

// TestThereIsNoAWSAuth: nothing stands in what is not there.
func TestThereIsNoAWSAuth(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	w.delete("aws-auth")
	w.refresh()
	if got := w.get("aws-auth-refresher-status").Data["summary"]; !strings.HasPrefix(got, "there is no aws-auth; not written yet: 2 to add") {
		t.Errorf("summary is %q", got)
	}
	if got := testutil.ToFloat64(w.config.Metrics.entries.WithLabelValues("user", "ours")); got != 0 {
		t.Errorf("the metric says %v", got)
	}
}
