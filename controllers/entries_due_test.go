package controllers

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestListingOfAccessEntriesThatFailedIsRepeated with the next refresh, whatever
// that is for.
func TestListingOfAccessEntriesThatFailedIsRepeated(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.refresh()
	w.createUsers("tmp-foo-1")
	w.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.Failing, Times: 1})
	w.later()
	w.expectEntries("EKS did not answer")
	w.pass(time.Second)
	w.refresh()
	w.expectEntries("EKS is well again", "tmp-foo-1 foo [developers]")
}
