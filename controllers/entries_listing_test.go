package controllers

import (
	"fmt"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestBadListingsOfEKSDelayRemovalsByOneRefresh: what such a listing lacks is
// asked for, 10 entries at a time, but not for longer than until the next
// listing, which shows all of them again.
func TestBadListingsOfEKSDelayRemovalsByOneRefresh(t *testing.T) {
	for _, tt := range []struct {
		reason        string
		good          int // pages before the one that is bad
		entries, left int // how many are left after it
	}{
		{"an empty listing", 0, 35, 25},
		{"a listing that ends after its first page", 1, 135, 25},
	} {
		w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
		w.config.Removal.MaxPercent = 100 // no breaker
		w.rules(devRule)
		for i := range tt.entries {
			w.createUsers(fmt.Sprintf("tmp-foo-%03d", i))
		}
		w.choose(TargetAccessEntries)
		w.refresh()
		w.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, After: tt.good, Times: 1})
		w.rules("")
		w.later()
		w.aws.ClearFaults()
		if n := len(w.aws.AccessEntries(eksCluster)); n != tt.left {
			t.Errorf("%s: %d entries are left, want %d", tt.reason, n, tt.left)
		}
		w.later()
		w.expectEntries(tt.reason + ": one refresh later")
	}
}

// TestABadListingOfEKSBetweenTwoOfIAM: entries of principals that are gone need
// evidence, which a bad listing of EKS does not hold up for long either.
func TestABadListingOfEKSBetweenTwoOfIAM(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	for i := range 35 {
		w.createUsers(fmt.Sprintf("tmp-foo-%03d", i))
	}
	w.refresh()
	for i := range 35 {
		w.deleteUsers(fmt.Sprintf("tmp-foo-%03d", i))
	}
	w.later()
	w.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
	w.settle()
	w.expectEntries("two refreshes after the bad listing")
}
