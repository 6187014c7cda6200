package controllers

import (
	"bytes"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPause: nothing but the status is written, and it says so once.
func TestPause(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in, record := w.mapUsers(), w.get("aws-auth-refresher-state").BinaryData[recordKey]
	if err := w.operator().Pause(t.Context(), "maintenance"); err != nil {
		t.Fatal(err)
	}
	w.createUsers("tmp-foo-2")
	w.awsAuth(person)
	w.settle()
	w.rules(barRule)
	w.settle()
	w.expectMapUsers("paused", person)
	if !bytes.Equal(record, w.get("aws-auth-refresher-state").BinaryData[recordKey]) {
		t.Error("the record was written")
	}
	if c := w.condition(ConditionPaused); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, `"maintenance"`) {
		t.Errorf("condition %+v", c)
	}
	if c := w.condition(ConditionDegraded); c.Status != metav1.ConditionFalse {
		t.Errorf("condition %+v", c)
	}
	if n := w.events.count("Warning Paused"); n != 1 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
	writes := w.writes()
	w.settle()
	if again := w.writes(); again != writes {
		t.Errorf("%d writes while paused and nothing changes", again-writes)
	}
	w.rules(fooRule)
	cm := w.get("aws-auth-refresher")
	cm.Annotations[PausedAnnotation] = "false"
	if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.later()
	w.expectMapUsers("false is no pause", in+entry("tmp-foo-2", "foo", "system:masters"))
	if n := w.events.count("Normal Resumed"); n != 1 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
	if paused, err := w.operator().Resume(t.Context()); paused || err != nil {
		t.Errorf("resume: %t, %v", paused, err)
	}
}
