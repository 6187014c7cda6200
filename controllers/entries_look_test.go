package controllers

import (
	"context"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// watchedEntries tells of each Look.
type watchedEntries struct {
	EntryTarget
	look func()
}

func (w watchedEntries) Look(ctx context.Context, r accessentry.Record) accessentry.View {
	w.look()
	return w.EntryTarget.Look(ctx, r)
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
