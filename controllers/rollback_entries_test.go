package controllers

import (
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestRollbackTellsOfAccessEntries: they are not rolled back, and where they have
// taken the place of aws-auth, an old aws-auth is not brought back either.
func TestRollbackTellsOfAccessEntries(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.rules(strings.Replace(devRule, "developers", "viewers", 1))
	w.refresh()
	w.expectEntries("the slip", "tmp-foo-1 foo [viewers]")
	plan, err := w.operator().PlanRollback(t.Context(), 0, false)
	if err != nil || !strings.Contains(plan.Elsewhere, "1 access entries of ours in the cluster prod stay as they are") {
		t.Fatalf("nothing tells that access entries stay: %v, %+v", err, plan)
	}

	w.choose(TargetAccessEntries)
	for range 6 {
		w.later()
	}
	w.expectMapUsers("aws-auth is given up", person)
	_, err = w.operator().PlanRollback(t.Context(), 0, false)
	if err == nil || !strings.Contains(err.Error(), "bring the former rules back") {
		t.Errorf("a rollback would fill what was given up: %v", err)
	}
	if plan, err = w.operator().PlanRollback(t.Context(), 0, true); err != nil || plan.Elsewhere == "" {
		t.Errorf("everything is somebody's word: %v, %+v", err, plan)
	}
}

// TestRollbackWhereAccessEntriesAreLeavingToo: one access entry that is left, or
// on its way out, is no reason to leave all others outside.
func TestRollbackWhereAccessEntriesAreLeavingToo(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2", "tmp-foo-3")
	w.refresh()
	in := w.mapUsers()
	w.approved(barRule)
	w.aws.Inject(fakeaws.Fault{Action: "DeleteAccessEntry", Effect: fakeaws.Failing, After: 2})
	w.refresh()
	w.expectMapUsers("a slip takes all out", person)
	w.rollback(0, false)
	w.expectMapUsers("all are back", in)
}
