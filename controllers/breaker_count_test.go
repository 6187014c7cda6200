package controllers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// TestBreakerCountsWhatNoEditCauses: those who lose a tag count towards the
// limits like those who lose a rule, however few go at a time.
func TestBreakerCountsWhatNoEditCauses(t *testing.T) {
	for _, target := range []Target{TargetConfigMap, TargetAccessEntries} {
		t.Run(string(target), func(t *testing.T) {
			w := newEntryWorld(t, target, accessentry.ModeAPIConfigMap)
			w.awsAuth("")
			w.rules(teamRule)
			const all = 21
			for i := range all {
				w.createUsers(fmt.Sprint("u-", i))
				w.tag(fmt.Sprint("u-", i), "team", "payments")
			}
			w.refresh()
			w.later()
			in := func() int {
				return strings.Count(w.mapUsers(), "username: pay") + len(w.aws.AccessEntries(eksCluster))
			}
			if n := in(); n != all {
				t.Fatalf("%d of %d are in", n, all)
			}
			for i := range 10 {
				w.tag(fmt.Sprint("u-", i), "team", "billing")
			}
			w.later()
			w.later()
			if n := in(); n != all-10 {
				t.Fatalf("%d are in after ten lost their tag, want %d", n, all-10)
			}
			for i := 10; i < 20; i++ {
				w.tag(fmt.Sprint("u-", i), "team", "billing")
			}
			w.later()
			w.later()
			if n := in(); n != all-10 || w.condition(ConditionRemovalHeld).Status != "True" {
				t.Errorf("%d are in after ten more, want them to be held", n)
			}
		})
	}
}
