package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNothingChanged: a refresh without news writes nothing and asks IAM once
// for every thousand users.
func TestNothingChanged(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.later()
	writes, calls := w.writes(), w.aws.Calls("ListUsers")
	for range 5 {
		w.later()
	}
	if n := w.writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	if n := w.aws.Calls("ListUsers") - calls; n != 5 {
		t.Errorf("%d ListUsers calls in 5 refreshes of 1 user, want 5", n)
	}
	for _, other := range []string{"GetUser", "ListRoles"} {
		if n := w.aws.Calls(other); n != 0 {
			t.Errorf("%d %s calls, want none", n, other)
		}
	}
	names := make([]string, 2500)
	for i := range names {
		names[i] = fmt.Sprintf("other-%d", i)
	}
	w.createUsers(names...)
	calls = w.aws.Calls("ListUsers")
	w.later()
	if n := w.aws.Calls("ListUsers") - calls; n != 3 {
		t.Errorf("%d ListUsers calls for 2,501 users, want 3", n)
	}
	if n := w.writes() - writes; n != 0 {
		t.Errorf("%d writes for users that no rule selects", n)
	}
}

// TestChangesBetweenListingsNeedNoIAM: aws-auth changed by somebody else is
// mended at once, from what is known.
func TestChangesBetweenListingsNeedNoIAM(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	calls := w.aws.Calls("ListUsers")
	w.awsAuth("# all new\n")
	w.refresh()
	w.expectMapUsers("what is ours is put back", "# all new\n"+entry("tmp-foo-1", "foo", "system:masters"))
	if n := w.aws.Calls("ListUsers") - calls; n != 0 {
		t.Errorf("%d ListUsers calls, want none", n)
	}
	if w.events.count("EntriesPutBack") != 1 {
		t.Errorf("drift is reported once: %q", w.events.notes)
	}
}

// TestSomebodyElsesEntryWins, in any case and either list; ours comes back when
// theirs goes.
func TestSomebodyElsesEntryWins(t *testing.T) {
	ours := entry("tmp-foo-1", "foo", "system:masters")
	for name, theirs := range map[string]string{
		"OtherContent": entry("tmp-foo-1", "somebody", "viewers"),
		"OtherCase":    entry("TMP-FOO-1", "somebody", "viewers"),
		"Looser":       "- userarn: arn:aws:iam::123456789012:user/tmp-foo-1\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, "tmp-foo-1")
			w.awsAuth(person + ours + theirs)
			w.refresh()
			w.expectMapUsers("ours is withdrawn", person+theirs)
			if given := w.get("aws-auth-refresher-status").Data["givenWay"]; !strings.Contains(given, "tmp-foo-1") {
				t.Errorf("the status does not say so: %q", given)
			}
			w.later()
			w.expectMapUsers("and stays so", person+theirs)
			w.awsAuth(person)
			w.later()
			w.expectMapUsers("theirs is gone", person+ours)
		})
	}
}

// TestRecordLost: without a record nothing of ours is known to be; it stays
// until --adopt takes over what is exactly as the rules say.
func TestRecordLost(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	full := w.mapUsers()
	w.delete("aws-auth-refresher-state")
	w.restart()
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("nothing is deleted by guess", full)
	if given := w.get("aws-auth-refresher-status").Data["givenWay"]; !strings.Contains(given, "--adopt") {
		t.Errorf("the status does not name the way out: %q", given)
	}
	w.config.Adopt = true
	w.restart()
	w.settle()
	w.expectMapUsers("what no rule produces is not adopted", full)
	w.config.Adopt = false
	w.restart()
	w.deleteUsers("tmp-foo-2")
	w.settle()
	w.expectMapUsers("what was adopted is ours again", person+entry("tmp-foo-1", "foo", "system:masters"))
}

// TestRecordUnusable: a record that cannot be read stops everything but the
// report.
func TestRecordUnusable(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	state := w.get("aws-auth-refresher-state")
	state.BinaryData[recordKey] = []byte("garbage")
	if _, err := w.admin.Update(t.Context(), state, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := w.mapUsers()
	w.restart()
	w.createUsers("tmp-foo-2")
	w.settle()
	w.expectMapUsers("nothing is changed", before)
	if c := w.condition(ConditionApplied); c.Reason != "RecordUnusable" || !strings.Contains(c.Message, "--adopt") {
		t.Errorf("condition %+v does not name the way out", c)
	}
}

// TestRemarshaledByOthers: eksctl and others rewrite the whole list; what is
// ours stays ours.
func TestRemarshaledByOthers(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	rewritten := "- groups:\n    - system:masters\n  userarn: arn:aws:iam::123456789012:user/tmp-foo-1\n  username: foo\n" +
		"- groups: [dev]\n  userarn: arn:aws:iam::123456789012:user/alice\n  username: alice\n"
	w.awsAuth(rewritten)
	w.later()
	w.expectMapUsers("another layout is no drift", rewritten)
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("it is still known as ours", "- groups: [dev]\n  userarn: arn:aws:iam::123456789012:user/alice\n  username: alice\n")
}

// TestOldCopyWrittenBack: somebody who read aws-auth before a removal and
// writes it back does not make the removed entry theirs.
func TestOldCopyWrittenBack(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	old := w.mapUsers()
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.createUsers("tmp-foo-3") // a change, which brings the record up to date
	w.later()
	w.pass(20 * time.Minute)
	w.awsAuth(old)
	w.settle()
	w.expectMapUsers("gone for good", person+entry("tmp-foo-2", "foo", "system:masters")+entry("tmp-foo-3", "foo", "system:masters"))
}

// TestTwoReplicas that both believe to lead do no harm.
func TestTwoReplicas(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule)
	a := w.refresher
	w.restart()
	b := w.refresher
	for i, name := range []string{"tmp-foo-1", "tmp-foo-2", "tmp-foo-3", "tmp-foo-4"} {
		w.createUsers(name)
		w.pass(16 * time.Second)
		done := make(chan error, 2)
		for _, r := range []*AWSAuthReconciler{a, b} {
			go func() { _, err := r.Reconcile(t.Context(), request()); done <- err }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Logf("round %d: %v", i, err) // one may have to give way
			}
		}
	}
	w.later()
	want := person
	for _, name := range []string{"tmp-foo-1", "tmp-foo-2", "tmp-foo-3", "tmp-foo-4"} {
		want += entry(name, "foo", "system:masters")
	}
	w.expectMapUsers("everybody is in once", want)
	w.approved("")
	w.settle()
	w.expectMapUsers("and out again", person)
}

// TestOvertaken: a replica that is overtaken by another in the middle of its
// write goes on with what the other one has read and counted.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	w.config.Removal.MaxPercent = 100 // no breaker
	w.restart()
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	other := w.refresher
	w.createUsers("tmp-foo-3")
	w.interfere("apply", func() {
		w.rules(barRule)
		if _, err := other.Reconcile(t.Context(), request()); err != nil {
			t.Error(err)
		}
	})
	w.refresh()
	w.expectMapUsers("the rules of the other one count", person)
	_, record, err := w.refresher.store.readRecord(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(record.Removals) != 1 || record.Removals[0].Count != 2 {
		t.Errorf("removals %+v, want the 2 of the other one", record.Removals)
	}
}

// TestMadeAgain: a user that was deleted and made again under the same name
// keeps its entry, and the event says so.
func TestMadeAgain(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.deleteUsers("tmp-foo-1")
	w.createUsers("tmp-foo-1")
	writes := w.writes()
	w.later()
	w.expectMapUsers("the entry stays", person+entry("tmp-foo-1", "foo", "system:masters"))
	if n := w.writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	if w.events.count("PrincipalMadeAgain") != 1 {
		t.Errorf("no event says so: %q", w.events.notes)
	}
}

// TestClockJumps ahead and back remove nobody and free nothing for ever.
func TestClockJumps(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	want := w.mapUsers()
	for _, jump := range []time.Duration{1000 * time.Hour, -2000 * time.Hour, 1000 * time.Hour} {
		w.pass(jump)
		w.restart()
		w.settle()
		w.expectMapUsers("a jump of "+jump.String(), want)
	}
	w.deleteUsers("tmp-foo-1")
	w.pass(-500 * time.Hour)
	w.settle()
	w.expectMapUsers("and who is gone still leaves", person)
}
