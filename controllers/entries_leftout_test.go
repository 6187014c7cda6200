package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestNoAccessEntryGoesForAGrantThatItCannotSay: who is granted access keeps
// the entry that there is, whatever became of the user name.
func TestNoAccessEntryGoesForAGrantThatItCannotSay(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	for _, name := range []string{"ann", "bob"} {
		if _, err := w.aws.CreateUser("/aws:teams/", name); err != nil {
			t.Fatal(err)
		}
	}
	rule := "- arnRegex: ^arn:aws:iam::123456789012:user/(.*)/.*$\n  username: dev\n  groups: [developers]\n"
	w.rules(rule)
	w.refresh()
	w.rules(strings.Replace(rule, "username: dev", "username: ${1}-dev", 1))
	w.later()
	w.later()
	w.expectEntries("they stay as they were", "ann dev [developers]", "bob dev [developers]")
	if got := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(got, "no access entry: its user name") {
		t.Errorf("the status tells: got %s", got)
	}
	w.approved("")
	w.later()
	w.expectEntries("they are ours still")
}

// TestWhoIsTooNewForEKSIsNoTroubleYet: most of those who are new are refused for a
// moment, which nobody wants to hear of each time; who stays refused is told.
func TestWhoIsTooNewForEKSIsNoTroubleYet(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.refresh()
	w.aws.SetLag(fakeaws.Lag{Principal: time.Hour})
	w.createUsers("tmp-foo-1")
	w.later()
	if got := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(got, "tmp-foo-1") {
		t.Errorf("the status names who is not in yet: %q", got)
	}
	if c := w.condition(ConditionGrantsHonored); c.Status != metav1.ConditionTrue || w.events.count("GrantsHonored") != 0 {
		t.Errorf("%+v, %q", c, w.events.notes)
	}
	w.pass(refusedAfter)
	w.later()
	if c := w.condition(ConditionGrantsHonored); c.Reason != "LeftOut" || w.events.count("Warning GrantsHonoredLeftOut") != 1 {
		t.Errorf("%+v, %q", c, w.events.notes)
	}
	if !w.series().hold(t, prefix+metricLeftOut) {
		t.Error("no metric tells")
	}
	w.restart()
	w.aws.SetLag(fakeaws.Lag{})
	w.choose(TargetAccessEntries)
	w.later()
	if c := w.condition(ConditionGrantsHonored); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
}
