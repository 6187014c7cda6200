package controllers

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

func (w *world) store() store { return w.refresher.store }

// TestApplyTrapDeletedMeanwhile: an apply with a resourceVersion but no uid
// would make a deleted aws-auth again, without its node roles; ours must not.
func TestApplyTrapDeletedMeanwhile(t *testing.T) {
	w := newWorld(t)
	read := w.awsAuth(person)
	w.delete("aws-auth")
	_, err := w.store().applyAWSAuth(t.Context(), read, map[string]string{"mapUsers": "ours"})
	if !errors.Is(err, errStale) {
		t.Errorf("the object is gone: got %v, want to be told to read again", err)
	}
	if _, err := w.admin.Get(t.Context(), "aws-auth", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("aws-auth came back: %v", err)
	}
}

// TestApplyTrapMadeAgain: another object of the same name is not the one read.
func TestApplyTrapMadeAgain(t *testing.T) {
	w := newWorld(t)
	read := w.awsAuth(person)
	w.delete("aws-auth")
	w.awsAuth("# new\n")
	_, err := w.store().applyAWSAuth(t.Context(), read, map[string]string{"mapUsers": "ours"})
	if !errors.Is(err, errStale) {
		t.Errorf("another object: got %v, want to be told to read again", err)
	}
	w.expectMapUsers("the new object is untouched", "# new\n")
}

// TestApplyTrapChangedMeanwhile: a write in between wins.
func TestApplyTrapChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	read := w.awsAuth(person)
	w.awsAuth("# changed\n")
	_, err := w.store().applyAWSAuth(t.Context(), read, map[string]string{"mapUsers": "ours"})
	if !errors.Is(err, errStale) {
		t.Errorf("a stale read: got %v, want to be told to read again", err)
	}
	w.expectMapUsers("the change stays", "# changed\n")
}

// TestApplyTrapOwnedKeysStay: a key that our manager owns and that an apply
// leaves out is deleted with everybody's entries, so every apply carries all.
func TestApplyTrapOwnedKeysStay(t *testing.T) {
	w := newWorld(t)
	w.apply("aws-auth", map[string]string{"mapUsers": person, "mapRoles": "# r\n", "mapAccounts": "[]"})
	now, err := w.store().applyAWSAuth(t.Context(), w.get("aws-auth"), map[string]string{"mapUsers": person + "# u\n", "mapRoles": "# r2\n"})
	if err != nil {
		t.Fatal(err)
	}
	// Only mapRoles changes; mapUsers is ours by now.
	if _, err = w.store().applyAWSAuth(t.Context(), now, map[string]string{"mapUsers": person + "# u\n", "mapRoles": "# r3\n"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"mapUsers": person + "# u\n", "mapRoles": "# r3\n", "mapAccounts": "[]"}
	if diff := cmp.Diff(want, w.get("aws-auth").Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestApplyTrapOwnedByHand: other keys that somebody gave to our manager stay
// as they are, too.
func TestApplyTrapOwnedByHand(t *testing.T) {
	w := newWorld(t)
	apply := applycorev1.ConfigMap("aws-auth", w.namespace).WithData(map[string]string{"extra": "keep", "mapUsers": "# c\n"})
	if _, err := w.admin.Apply(t.Context(), apply, metav1.ApplyOptions{FieldManager: fieldManager}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store().applyAWSAuth(t.Context(), w.get("aws-auth"), map[string]string{"mapUsers": "# d\n"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"extra": "keep", "mapUsers": "# d\n"}, w.get("aws-auth").Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestApplyTrapKeyHeldByAnother: a key that was not there before us goes with
// our last entry; where another manager holds on to it, it is emptied instead
// of silently keeping our entries.
func TestApplyTrapKeyHeldByAnother(t *testing.T) {
	w := newWorld(t)
	w.apply("aws-auth", map[string]string{"mapRoles": "# r\n"})
	_, err := w.store().applyAWSAuth(t.Context(), w.get("aws-auth"), map[string]string{"mapUsers": "ours", "mapRoles": "# r\n"})
	if err != nil {
		t.Fatal(err)
	}
	other := applycorev1.ConfigMap("aws-auth", w.namespace).WithData(map[string]string{"mapUsers": "ours"})
	if _, err = w.admin.Apply(t.Context(), other, metav1.ApplyOptions{FieldManager: "terraform"}); err != nil {
		t.Fatal(err)
	}
	if _, err = w.store().applyAWSAuth(t.Context(), w.get("aws-auth"), map[string]string{"mapRoles": "# r\n"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"mapRoles": "# r\n", "mapUsers": ""}, w.get("aws-auth").Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Alone, the key goes.
	alone := newWorld(t)
	alone.apply("aws-auth", map[string]string{"mapRoles": "# r\n"})
	now, err := alone.store().applyAWSAuth(t.Context(), alone.get("aws-auth"), map[string]string{"mapUsers": "ours", "mapRoles": "# r\n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = alone.store().applyAWSAuth(t.Context(), now, map[string]string{"mapRoles": "# r\n"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"mapRoles": "# r\n"}, alone.get("aws-auth").Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCreateCollides: of two creators one is told so.
func TestCreateCollides(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	if _, err := w.store().createAWSAuth(t.Context()); !errors.Is(err, errStale) {
		t.Errorf("got %v, want to be told to read again", err)
	}
	w.expectMapUsers("the other creator's content stays", person)
}

// TestTerraformConflict: whoever applies server-side without force is told
// about us; the README says what to do then.
func TestTerraformConflict(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	apply := applycorev1.ConfigMap("aws-auth", w.namespace).WithData(map[string]string{"mapUsers": "[]"})
	_, err := w.admin.Apply(t.Context(), apply, metav1.ApplyOptions{FieldManager: "Terraform"})
	if !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict with %q", err, fieldManager)
	}
}
