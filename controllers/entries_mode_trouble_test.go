package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestNothingWaitsForTheMode: while EKS does not tell the authentication mode
// the last one counts, over a restart, too.
func TestNothingWaitsForTheMode(t *testing.T) {
	cases := map[string]struct {
		reason        string
		target        Target
		mode          accessentry.Mode
		mapUsers      bool
		accessEntries bool
	}{
		"Both":    {"both are targets", TargetBoth, accessentry.ModeAPIConfigMap, true, true},
		"Entries": {"access entries are the target", TargetAccessEntries, accessentry.ModeAPIConfigMap, false, true},
		"AutoCM":  {"auto means aws-auth", TargetAuto, accessentry.ModeAPIConfigMap, true, false},
		"AutoAPI": {"auto means access entries", TargetAuto, accessentry.ModeAPI, false, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newEntryWorld(t, c.target, c.mode)
			w.awsAuth(person)
			w.rules(devRule)
			w.createUsers("tmp-foo-1")
			w.refresh()
			w.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Throttled})
			expect := func(when string, names ...string) {
				mapUsers, entries := person, []string(nil)
				for _, n := range names {
					if c.mapUsers {
						mapUsers += entry(n, "foo", "developers")
					}
					if c.accessEntries {
						entries = append(entries, n+" foo [developers]")
					}
				}
				w.expectMapUsers(c.reason+", "+when, mapUsers)
				w.expectEntries(c.reason+", "+when, entries...)
			}
			w.createUsers("tmp-foo-2")
			w.pass(5 * time.Minute)
			w.later()
			expect("a new user", "tmp-foo-1", "tmp-foo-2")
			if got := w.condition(ConditionDegraded); got.Status != "True" || !strings.Contains(got.Message, "authentication mode") {
				t.Errorf("it is told: got %+v", got)
			}
			w.choose(c.target)
			w.createUsers("tmp-foo-3")
			w.later()
			expect("after a restart", "tmp-foo-1", "tmp-foo-2", "tmp-foo-3")
			w.approved("")
			w.later()
			expect("and out again")
			w.aws.ClearFaults()
			w.later()
			if got := w.condition(ConditionDegraded); got.Status != "False" {
				t.Errorf("the trouble is over: got %+v", got)
			}
		})
	}
}

// TestAModeInDoubtEmptiesNothing: it may have become API, and then the access
// entries are all that lets people in.
func TestAModeInDoubtEmptiesNothing(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.setMode(fakeaws.ModeAPI)
	w.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Throttled})
	w.choose(TargetConfigMap)
	for range 4 {
		w.later()
		w.pass(accessentry.SettleTime)
	}
	w.expectEntries("the mode is not known", "tmp-foo-1 foo [developers]")
	w.aws.ClearFaults()
	w.settle()
	w.expectEntries("aws-auth is not read", "tmp-foo-1 foo [developers]")
}
