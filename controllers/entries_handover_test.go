package controllers

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// TestHandoverWaitsUntilTheOtherTargetCounts: a new access entry, or a new
// entry of aws-auth, lets nobody in for some seconds.
func TestHandoverWaitsUntilTheOtherTargetCounts(t *testing.T) {
	w := newEntryWorld(t, TargetConfigMap, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	ours := entry("tmp-foo-1", "foo", "developers")
	w.choose(TargetAccessEntries)
	w.settle()
	w.expectEntries("made", "tmp-foo-1 foo [developers]")
	w.expectMapUsers("less than a minute ago", person+ours)
	w.pass(time.Minute)
	w.refresh()
	w.expectMapUsers("a minute ago", person)

	w.choose(TargetConfigMap)
	w.settle()
	w.expectMapUsers("back", person+ours)
	w.expectEntries("less than a minute ago", "tmp-foo-1 foo [developers]")
	w.pass(time.Minute)
	w.refresh()
	w.expectEntries("a minute ago")
}
