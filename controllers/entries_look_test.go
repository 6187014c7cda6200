package controllers

import (
	"context"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// watchedEntries tells of each Look.
type watchedEntries struct {
	EntryTarget
	look func()
}

func (w watchedEntries) Look(ctx context.Context, r accessentry.Record, ids map[string]string) accessentry.View {
	w.look()
	return w.EntryTarget.Look(ctx, r, ids)
}

// TestPauseCountsForAccessEntries: a pause that came after the rules were read
// is seen also where access entries are all that there is to change.
func TestPauseCountsForAccessEntries(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.createUsers("tmp-foo-2")
	w.config.Entries = watchedEntries{w.config.Entries, func() {
		if err := w.operator().Pause(t.Context(), "maintenance"); err != nil {
			t.Error(err)
		}
	}}
	w.restart()
	w.later()
	w.expectEntries("paused", "tmp-foo-1 foo [developers]")
}

// TestAnnouncementsListNoAccessEntries: they come in bursts, and what this
// process did itself it knows.
func TestAnnouncementsListNoAccessEntries(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.aws.SendEvents(fakeaws.EventRule{Queue: "events"})
	w.rules(devRule)
	w.listens()
	w.refresh()
	w.await("the queue is read")
	calls := w.aws.Calls("ListAccessEntries")
	for _, name := range []string{"tmp-foo-1", "tmp-foo-2"} {
		w.pass(25 * time.Minute)
		w.createUsers(name)
		w.await("a user was made")
		if next := w.refresh().RequeueAfter; next > 45*time.Minute {
			t.Errorf("what has IAM listed earlier puts off access entries, by %s", next)
		}
	}
	w.expectEntries("both are in at once", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")
	if n := w.aws.Calls("ListAccessEntries") - calls; n != 0 {
		t.Errorf("%d listings of access entries within the interval", n)
	}
	w.pass(time.Hour)
	w.refresh()
	if n := w.aws.Calls("ListAccessEntries") - calls; n != 1 {
		t.Errorf("%d listings of access entries after the interval", n)
	}
}
