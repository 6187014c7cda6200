package controllers

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pause annotates the rules ConfigMap, as kubectl does.
func (w *world) pause(why string) {
	w.Helper()
	cm := w.get("aws-auth-refresher")
	metav1.SetMetaDataAnnotation(&cm.ObjectMeta, PausedAnnotation, why)
	if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{FieldManager: "kubectl-annotate"}); err != nil {
		w.Fatal(err)
	}
}

// TestAPauseOutlivesTheRules: the annotation goes with the rules ConfigMap, the
// pause does not, not even for another process.
func TestAPauseOutlivesTheRules(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in, record := w.mapUsers(), w.get("aws-auth-refresher-state").BinaryData[recordKey]
	w.pause("maintenance")
	w.later()
	w.delete("aws-auth-refresher")
	w.createUsers("tmp-foo-2")
	w.settle()
	w.restart()
	w.settle()
	w.expectMapUsers("paused", in)
	if !bytes.Equal(record, w.get("aws-auth-refresher-state").BinaryData[recordKey]) {
		t.Error("the record was written")
	}
	c := w.condition(ConditionPaused)
	for _, part := range []string{`"maintenance"`, "is missing", "kubectl-annotate", w.get("aws-auth-refresher-state").Annotations[pausedSinceAnnotation], "aws-auth-refresher resume"} {
		if c.Status != metav1.ConditionTrue || c.Reason != "Remembered" || part == "" || !strings.Contains(c.Message, part) {
			t.Errorf("condition %+v lacks %q", c, part)
		}
	}
	writes := w.writes()
	w.settle()
	if again := w.writes(); again != writes {
		t.Errorf("%d writes while paused and nothing changes", again-writes)
	}

	// There again, the rules tell.
	w.rules(fooRule)
	w.later()
	w.expectMapUsers("not paused any longer", in+entry("tmp-foo-2", "foo", "system:masters"))
	w.delete("aws-auth-refresher")
	w.createUsers("tmp-foo-3")
	w.settle()
	w.expectMapUsers("and no old pause comes back", in+entry("tmp-foo-2", "foo", "system:masters")+entry("tmp-foo-3", "foo", "system:masters"))
}

// TestResumeWithoutRules: there is a way out.
func TestResumeWithoutRules(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	if _, err := w.operator().Resume(t.Context()); err != nil {
		t.Error(err)
	}
	w.pause("")
	w.later()
	w.delete("aws-auth-refresher")
	w.createUsers("tmp-foo-2")
	w.later()
	w.expectMapUsers("paused", in)
	if paused, err := w.operator().Resume(t.Context()); !paused || err != nil {
		t.Errorf("resume: %t, %v", paused, err)
	}
	w.later()
	w.expectMapUsers("on again", in+entry("tmp-foo-2", "foo", "system:masters"))
	if _, err := w.operator().Resume(t.Context()); !errors.Is(err, errRulesMissing) {
		t.Errorf("nothing to resume: %v", err)
	}
}

// TestARollbacksPauseOutlivesTheRules, also where no refresher has seen it yet.
func TestARollbacksPauseOutlivesTheRules(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.rollback(1, false)
	w.delete("aws-auth-refresher")
	w.settle()
	w.expectMapUsers("the rollback stands", person)
	if c := w.condition(ConditionPaused); !strings.Contains(c.Message, `"rollback to version 1"`) {
		t.Errorf("condition %+v", c)
	}
}

// TestPausedFromTheStart: the state ConfigMap that remembers the pause has a
// record like any other.
func TestPausedFromTheStart(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule)
	w.pause("true")
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.delete("aws-auth-refresher")
	w.restart()
	w.later()
	w.expectMapUsers("paused", person)
	w.rules(fooRule)
	w.later()
	w.expectMapUsers("on", person+entry("tmp-foo-1", "foo", "system:masters"))
}

// TestAPauseThatCannotBeRememberedHolds.
func TestAPauseThatCannotBeRememberedHolds(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	w.pause("maintenance")
	broken := errors.New("broken")
	w.refresher.store.configMaps = interfered{w.core.ConfigMaps(w.namespace), func(verb, name string) error {
		if verb != "get" && name == "aws-auth-refresher-state" {
			return broken
		}
		return nil
	}}
	w.createUsers("tmp-foo-2")
	w.pass(16 * time.Second)
	if _, err := w.refresher.Reconcile(t.Context(), request()); !errors.Is(err, broken) {
		t.Errorf("refresh: %v", err)
	}
	w.expectMapUsers("paused", in)
	if c := w.condition(ConditionPaused); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
}

// TestResumedPauseStaysEnded: also if the rules ConfigMap is deleted before any
// refresher has seen it without the pause.
func TestResumedPauseStaysEnded(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	w.pause("maintenance")
	w.later()
	w.resume()
	w.delete("aws-auth-refresher")
	w.createUsers("tmp-foo-2")
	w.settle()
	w.expectMapUsers("it goes on", in+entry("tmp-foo-2", "foo", "system:masters"))
}
