package accessentry_test

import (
	"regexp"
	"testing"
	"time"
)

// TestEntryWithoutDateStays: an EKS that does not say when an entry was made is
// no reason to delete it.
func TestEntryWithoutDateStays(t *testing.T) {
	b := newBed(t)
	b.answers(regexp.MustCompile(`"createdAt":[^,}]*,?`), "")
	ann := wants(b.user("ann"), "devs")
	b.reconcile(ann)
	for range 3 {
		b.pass(2 * time.Minute)
		b.restart()
		b.reconcile(ann)
	}
	if n := b.aws.Calls("DeleteAccessEntry"); n > 0 {
		t.Errorf("an entry that is right was deleted %d times", n)
	}
}
