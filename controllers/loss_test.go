package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// lost is what is said after the record was lost.
func (w *world) lost() metav1.Condition {
	w.Helper()
	c := w.condition(ConditionRecordKept)
	if d := w.condition(ConditionDegraded); c.Status != metav1.ConditionFalse || d.Status != metav1.ConditionTrue {
		w.Errorf("conditions %+v and %+v", c, d)
	}
	return c
}

// TestALostRecordIsSaid: our entries stay, as somebody else's, and until somebody
// has looked after each of them people hear of it.
func TestALostRecordIsSaid(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule + barRule)
	w.createUsers("tmp-foo-1", "tmp-bar-1")
	w.refresh()
	in := w.mapUsers()
	if c := w.condition(ConditionRecordKept); c.Status != metav1.ConditionTrue {
		t.Errorf("before: %+v", c)
	}
	w.delete("aws-auth-refresher-state")
	w.restart()
	w.later()
	if n := w.events.count("Warning RecordKeptLost"); n != 1 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
	w.rules(barRule)
	w.later()
	w.deleteUsers("tmp-bar-1")
	w.restart()
	w.settle()
	w.expectMapUsers("nothing is deleted by guess", in)
	c := w.lost()
	for _, part := range []string{"aws-auth-refresher-state", "2 entries", "--adopt", LossSeenAnnotation + "="} {
		if !strings.Contains(c.Message, part) {
			t.Errorf("%q does not say %s", c.Message, part)
		}
	}
	unowned := w.get("aws-auth-refresher-status").Data["unowned"]
	if !strings.Contains(unowned, "tmp-foo-1") || !strings.Contains(unowned, "tmp-bar-1") || strings.Contains(unowned, "alice") {
		t.Errorf("unowned: %s", unowned)
	}
	if got := testutil.ToFloat64(w.config.Metrics.unowned); got != 2 {
		t.Errorf("the metric says %v", got)
	}

	w.awsAuth(person + entry("tmp-foo-1", "foo", "system:masters"))
	w.later()
	if unowned := w.get("aws-auth-refresher-status").Data["unowned"]; strings.Contains(unowned, "tmp-bar-1") {
		t.Errorf("taken out by hand, it is still said: %s", unowned)
	}
	if n := w.typed(w.lost().Message); n != 1 {
		t.Errorf("%d commands", n)
	}
	w.later()
	if c := w.condition(ConditionRecordKept); c.Status != metav1.ConditionTrue {
		t.Errorf("somebody has looked after it, and the condition says %+v", c)
	}
}

// TestALostRecordIsAdopted: what the rules grant is ours again.
func TestALostRecordIsAdopted(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	w.delete("aws-auth-refresher-state")
	w.later()
	w.lost()
	w.config.Adopt = true
	w.restart()
	w.later()
	if c := w.condition(ConditionRecordKept); c.Status != metav1.ConditionTrue {
		t.Errorf("adopted, and the condition says %+v", c)
	}
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("it is ours", person+entry("tmp-foo-2", "foo", "system:masters"))
}

// TestALossOfEverythingIsSaid: everything of ours deleted, by its label, say.
func TestALossOfEverythingIsSaid(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	for _, name := range []string{"", "-state", "-status", "-history"} {
		if name != "-history" || w.config.History > 0 {
			_ = w.admin.Delete(t.Context(), "aws-auth-refresher"+name, metav1.DeleteOptions{})
		}
	}
	w.restart()
	w.refresh()
	w.lost()
	w.rules(fooRule)
	w.restart()
	w.later()
	w.lost()
}

// TestThereWasNoRecordYet: a first start is no loss, whatever stands in aws-auth,
// and whatever trouble there was before the first rules.
func TestThereWasNoRecordYet(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person + entry("tmp-foo-1", "foo", "system:masters"))
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.restart()
	w.later()
	w.rules(fooRule)
	w.later()
	if c := w.condition(ConditionRecordKept); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
}

// newLostEntryWorld has let in tmp-foo-1 by an access entry, and lost the record.
func newLostEntryWorld(t *testing.T) *entryWorld {
	t.Helper()
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.delete("aws-auth-refresher-state")
	w.choose(TargetAccessEntries)
	w.later()
	return w
}

// TestALostRecordOfAccessEntriesIsSaid.
func TestALostRecordOfAccessEntriesIsSaid(t *testing.T) {
	w := newLostEntryWorld(t)
	w.lost()
	if unowned := w.get("aws-auth-refresher-status").Data["unowned"]; !strings.Contains(unowned, "tmp-foo-1") {
		t.Errorf("unowned: %s", unowned)
	}
}

// TestOurConfigMapsShareNoLabel: deleting by the label of what is installed must
// not take the record along.
func TestOurConfigMapsShareNoLabel(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	for _, name := range []string{"aws-auth-refresher-state", "aws-auth-refresher-history"} {
		if labels := w.get(name).Labels; labels["app"] != "" || labels["app.kubernetes.io/name"] != "" || labels["app.kubernetes.io/managed-by"] == "" {
			t.Errorf("%s has the labels %v", name, labels)
		}
	}
}

// TestAnOlderCopyRevivesNobody: what was revoked stays revoked, and whoever wrote
// it back is named.
func TestAnOlderCopyRevivesNobody(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule + barRule)
	w.createUsers("tmp-foo-1", "tmp-bar-1", "tmp-bar-2")
	w.refresh()
	backup := w.mapUsers()
	w.approved(strings.Replace(fooRule, "system:masters", "viewers", 1)) // foo is no admin any longer; bar is out
	w.later()
	w.deleteUsers("tmp-bar-2")
	w.settle()
	right := person + entry("tmp-foo-1", "foo", "viewers")
	w.expectMapUsers("as it should be", right)
	// The second clock is behind the first, as another replica's may be.
	for _, wait := range []time.Duration{2 * time.Hour, -4 * time.Hour, 30 * 24 * time.Hour} {
		w.pass(wait)
		w.later()
		w.awsAuth(backup)
		w.refresh()
		w.expectMapUsers("taken out again at once", right)
		c := w.condition(ConditionEntriesClean)
		if c.Status != metav1.ConditionFalse || c.Reason != "WrittenBack" || !strings.Contains(c.Message, "kubectl-edit") {
			t.Errorf("condition %+v", c)
		}
	}
	if n := w.events.count("Warning RevokedWrittenBack"); n != 3 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
	for _, part := range []string{"tmp-bar-1 as bar [developers] taken out on ", "tmp-foo-1 as foo [system:masters] taken out on ", ", written back by kubectl-edit"} {
		if w.events.count(part) == 0 {
			t.Errorf("no event says %q: %q", part, w.events.notes)
		}
	}
	w.later()
	if status := w.get("aws-auth-refresher-status").Data["revived"]; !strings.Contains(status, "tmp-bar-1") || !strings.Contains(status, "written back by kubectl-edit") {
		t.Errorf("as long as the condition says so, the list does: %q", status)
	}
	if got := testutil.ToFloat64(w.config.Metrics.revived); got < 5 {
		t.Errorf("the metric says %v", got)
	}
	w.pass(revivedFor)
	w.later()
	if c := w.condition(ConditionEntriesClean); c.Status != metav1.ConditionTrue {
		t.Errorf("an hour later: %+v", c)
	}
}

// TestABackupLocksNobodyOut: where a backup replaced what somebody has and IAM
// does not list them, what it says stays until they are listed.
func TestABackupLocksNobodyOut(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	w.refresh()
	backup := w.mapUsers()
	w.rules(strings.Replace(fooRule, "system:masters", "viewers", 1))
	w.later()
	w.deleteUsers("tmp-foo-2")
	w.settle()
	right := person + entry("tmp-foo-1", "foo", "viewers")
	w.expectMapUsers("as it should be", right)
	w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.EmptyListing})
	w.pass(time.Hour)
	w.awsAuth(backup)
	for range 3 {
		w.later()
		w.expectMapUsers("nobody knows whether they exist", person+entry("tmp-foo-1", "foo", "system:masters"))
	}
	w.aws.ClearFaults()
	w.later()
	w.expectMapUsers("listed again", right)
}

// TestABackupOfThoseWhoWereHeld: somebody took out who was held after a slip, and a
// backup brings back what they had before that. They are held for the rest of the
// time.
func TestABackupOfThoseWhoWereHeld(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	backup := w.mapUsers()
	w.rules(strings.Replace(fooRule, "username: foo", "username: fou", 1))
	w.later()
	w.later()
	w.rules("")
	w.later()
	w.awsAuth(person)
	w.later()
	w.awsAuth(backup)
	w.later()
	w.expectMapUsers("held", backup)
	if c := w.condition(ConditionRemovalHeld); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
	w.pass(w.config.Removal.Hold)
	w.refresh()
	w.expectMapUsers("held for long enough", person)
}

// TestABackupOfManyIsNotHeld: the breaker has let them go before.
func TestABackupOfManyIsNotHeld(t *testing.T) {
	w := newWorldWith(t, manyUsers(30)...)
	backup := w.mapUsers()
	w.approved("")
	w.refresh()
	w.pass(time.Hour)
	w.restart()
	w.awsAuth(backup)
	w.later()
	w.expectMapUsers("all out again", person)
}

// TestWhoIsGrantedAgainIsNotRevoked: rules that come back bring their people back,
// and an older copy of aws-auth then says what is right.
func TestWhoIsGrantedAgainIsNotRevoked(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	in := w.mapUsers()
	w.approved("")
	w.later()
	w.rules(fooRule)
	w.later()
	w.expectMapUsers("in again", in)
	w.awsAuth(in)
	w.later()
	w.expectMapUsers("and stays", in)
	if n := w.events.count("RevokedWrittenBack"); n != 0 {
		t.Errorf("%q", w.events.notes)
	}
}

// TestEntriesOfOthersWithoutAPrincipal are said, and left alone.
func TestEntriesOfOthersWithoutAPrincipal(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	theirs := entry("gone", "gone", "system:masters")
	elsewhere := strings.ReplaceAll(entry("else", "else", "x"), accountID, "999999999999")
	w.awsAuth(person + theirs + elsewhere)
	w.settle()
	if status := w.get("aws-auth-refresher-status").Data["orphans"]; strings.Contains(status, "user/gone") {
		t.Errorf("somebody made a moment ago may not be listed yet: %s", status)
	}
	w.settle()
	w.settle()
	c := w.condition(ConditionEntriesClean)
	status := w.get("aws-auth-refresher-status").Data["orphans"]
	if c.Status != metav1.ConditionFalse || c.Reason != "NoSuchPrincipal" || !strings.Contains(status, "user/gone") ||
		strings.Contains(status, "alice") || strings.Contains(status, "user/else") {
		t.Errorf("%+v, and %s", c, status)
	}
	if !strings.Contains(w.mapUsers(), theirs) {
		t.Error("it was touched")
	}
	if got := testutil.ToFloat64(w.config.Metrics.orphans); got != 1 {
		t.Errorf("the metric says %v", got)
	}
	if d := w.condition(ConditionDegraded); d.Status != metav1.ConditionFalse {
		t.Errorf("it is nobody's fault here: %+v", d)
	}
}
