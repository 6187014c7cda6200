package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestDeletedAWSAuthWaitsWithoutEntriesOfOurs: also where nothing of ours was
// in it, its owner may be about to make it again, with the nodes in it.
func TestDeletedAWSAuthWaitsWithoutEntriesOfOurs(t *testing.T) {
	w := newWorldWith(t)
	w.delete("aws-auth")
	w.createUsers("tmp-foo-1")
	w.restart()
	w.later()
	if _, err := w.admin.Get(t.Context(), "aws-auth", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("it is back, without what its creator put in: %v", err)
	}
	w.pass(time.Minute)
	w.later()
	w.expectMapUsers("nobody came", entry("tmp-foo-1", "foo", "system:masters"))
}

// TestFrozenByAnEdit: an edit that makes a rule match too many lets nobody new
// in and nobody out.
func TestFrozenByAnEdit(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule + "  maxMatches: 3\n")
	w.createUsers("tmp-foo-1", "tmp-foo-2", "other-1", "other-2")
	w.refresh()
	in := w.mapUsers()
	w.rules(strings.Replace(fooRule, "tmp-foo-", "[a-z]+-", 1) + "  maxMatches: 3\n")
	w.settle()
	w.expectMapUsers("nobody new, and nobody out", in)
	w.deleteUsers("tmp-foo-1")
	w.createUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("made again within an interval", in)
}

// TestAdoptNeverChoosesAmongDuplicates: of two entries that somebody else wrote
// for one ARN, EKS takes the last; taking either out changes who somebody is.
func TestAdoptNeverChoosesAmongDuplicates(t *testing.T) {
	w := newWorld(t)
	text := person + entry("tmp-foo-1", "viewer", "viewers") + entry("tmp-foo-1", "foo", "system:masters")
	w.awsAuth(text)
	w.rules(fooRule)
	w.createUsers("tmp-foo-1")
	w.config.Adopt = true
	w.restart()
	w.settle()
	w.expectMapUsers("both are somebody else's", text)
}

// TestHoldIsNotProlonged by a moment in which aws-auth cannot be read.
func TestHoldIsNotProlonged(t *testing.T) {
	w := newWorldWith(t, manyUsers(20)...)
	full := w.mapUsers()
	w.rules("")
	w.refresh()
	w.pass(9 * time.Minute)
	w.awsAuth("{" + full)
	w.refresh()
	w.awsAuth(full)
	w.later()
	w.expectMapUsers("still held", full)
	w.pass(2 * time.Minute)
	w.refresh()
	w.expectMapUsers("held for ten minutes in all", person)
}

// TestEmptyRulesAreHeldLikeAnyOther: emptying the rules by mistake is the same
// slip as any other.
func TestEmptyRulesAreHeldLikeAnyOther(t *testing.T) {
	w := newWorldWith(t, manyUsers(20)...)
	full := w.mapUsers()
	w.apply("aws-auth-refresher", nil)
	w.later()
	w.expectMapUsers("held", full)
}

// TestBreakerCountsOverEdits: two edits within the window count together, also
// over a restart.
func TestBreakerCountsOverEdits(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	rule := func(digits string) string { return strings.Replace(fooRule, "tmp-foo-.*", "tmp-foo-["+digits+"].", 1) }
	w.rules(rule("0-9"))
	w.createUsers(manyUsers(18)...)
	w.refresh()
	w.rules(rule("1-9")) // 10 of 18 go: not more than 10
	w.refresh()
	if n := strings.Count(w.mapUsers(), "tmp-foo-"); n != 8 {
		t.Fatalf("%d entries after the first edit, want 8", n)
	}
	w.pass(time.Minute)
	w.restart()
	w.rules(rule("2-9")) // the other 8 within the window
	w.refresh()
	if n := strings.Count(w.mapUsers(), "tmp-foo-"); n != 8 {
		t.Errorf("%d entries after the second edit, want 8: held", n)
	}
}

// TestApprovalIsNotReplayed: an approval that was left behind does not approve
// the same slip later.
func TestApprovalIsNotReplayed(t *testing.T) {
	w := newWorldWith(t, manyUsers(20)...)
	full := w.mapUsers()
	approve := func(data map[string]string, digest string) {
		cm := w.get("aws-auth-refresher")
		cm.Data, cm.Annotations = data, map[string]string{ApproveAnnotation: digest}
		if digest == "" {
			cm.Annotations = nil
		}
		if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.restart()
		w.refresh()
	}
	with, none := map[string]string{"mapUsers": fooRule}, map[string]string{"mapUsers": ""}
	digest := rules.DataDigest(none)
	approve(none, digest)
	w.expectMapUsers("approved in the same edit", person)
	approve(with, digest)
	w.expectMapUsers("all are in again", full)
	w.pass(1000 * time.Hour)
	approve(none, digest)
	w.expectMapUsers("the old approval is spent", full)
	approve(none, "")
	approve(none, digest)
	w.expectMapUsers("once used it never counts again", full)
	if c := w.condition(ConditionRemovalHeld); !strings.Contains(c.Message, ApproveAnnotation+"="+digest+".2. The approval "+digest+" that stands there was used, or expired") {
		t.Errorf("what is printed does not help: %s", c.Message)
	}
	approve(none, digest+".2")
	w.expectMapUsers("approved anew", person)
}

// TestForgottenInTheFuture: a tombstone from a clock that was ahead does not
// make an entry ours for ever.
func TestForgottenInTheFuture(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.pass(1000 * time.Hour)
	w.rules("")
	w.refresh()
	w.later() // notes that it is out, by a clock far ahead
	w.pass(-1000 * time.Hour)
	w.restart()
	w.settle()
	w.pass(rememberRevoked + time.Hour)
	theirs := person + entry("tmp-foo-1", "foo", "system:masters")
	w.awsAuth(theirs)
	w.settle()
	w.expectMapUsers("written by somebody, and theirs", theirs)
}

// asking lets a test look at the moment when IAM is asked for one principal.
type asking struct {
	Lister
	asked func()
}

func (a asking) Exists(ctx context.Context, kind rules.Kind, principalARN string) (bool, error) {
	a.asked()
	return a.Lister.Exists(ctx, kind, principalARN)
}

// TestAdditionsDoNotWaitForRemovals: whoever is new is in before IAM is asked
// about those who are gone, which may take long.
func TestAdditionsDoNotWaitForRemovals(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.deleteUsers("tmp-foo-1")
	w.later()
	w.createUsers("tmp-foo-2")
	asked := 0
	w.refresher.Lister = asking{w.lister(), func() {
		asked++
		if !strings.Contains(w.mapUsers(), "tmp-foo-2") {
			t.Errorf("IAM is asked while the new user is still out")
		}
	}}
	w.later()
	if asked != 1 {
		t.Errorf("IAM was asked %d times, want once", asked)
	}
	w.expectMapUsers("one in, one out", person+entry("tmp-foo-2", "foo", "system:masters"))
}

// TestStandstillReadsAgain: a process that stood still while it stored its
// record, as when its machine was frozen, decides anew before it writes
// aws-auth; another replica may have forgotten that record meanwhile.
func TestStandstillReadsAgain(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.createUsers("tmp-foo-2")
	var calls []string
	w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(verb, name string) error {
		calls = append(calls, verb+" "+name)
		if verb == "update" && name == "aws-auth-refresher-state" {
			w.pass(time.Minute)
		}
		return nil
	}}
	w.restart()
	w.refresh()
	reads := 0
	for _, call := range calls {
		switch call {
		case "get aws-auth":
			reads++
		case "apply aws-auth":
			if reads != 2 {
				t.Errorf("written after %d reads, want 2: %v", reads, calls)
			}
		}
	}
	if !strings.Contains(w.mapUsers(), "tmp-foo-2") {
		t.Errorf("not in after all: %v", calls)
	}
}
