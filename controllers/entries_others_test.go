package controllers

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestEntryThatAnotherProcessDeletedIsNobodys: what was listed before is not
// somebody else's because our other process has struck it off the record.
func TestEntryThatAnotherProcessDeletedIsNobodys(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPIConfigMap)
	w.config.RefreshInterval = time.Hour
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.restart()
	w.refresh()
	w.choose(TargetConfigMap)
	w.refresh()
	w.refresh()
	first := w.refresher
	w.choose(TargetConfigMap)
	w.refresh()
	w.expectEntries("both have listed them", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")

	second := w.refresher
	w.refresher = first
	w.pass(accessentry.SettleTime)
	w.aws.Inject(fakeaws.Fault{Action: "DeleteAccessEntry", After: 1, Effect: fakeaws.Failing})
	w.refresh()
	if n := len(w.aws.AccessEntries(eksCluster)); n != 1 {
		t.Fatalf("the first one deletes one of them: %d are left", n)
	}
	w.refresher = second
	w.refresh()
	w.expectMapUsers("the second one knows", person+entry("tmp-foo-1", "foo", "developers")+entry("tmp-foo-2", "foo", "developers"))
}
