package controllers

import (
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// typed runs the kubectl annotate commands that a message prints, as a shell
// would, and reports how many there were.
func (w *world) typed(message string) (n int) {
	w.Helper()
	for _, m := range regexp.MustCompile(`kubectl -n (\S+) annotate configmap (\S+)( --overwrite)? (\S+?)(?:=(\S+)|-)(?:[\s.,]|$)`).FindAllStringSubmatch(message, -1) {
		if m[1] != w.namespace {
			w.Errorf("%q is about another namespace", m[0])
		}
		cm := w.get(m[2])
		before, there := cm.Annotations[m[4]]
		value := strings.TrimRight(m[5], ".,;")
		switch {
		case m[5] == "":
			delete(cm.Annotations, m[4])
			if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{}); err != nil {
				w.Fatal(err)
			}
		case there && before == value:
			w.Errorf("%q changes nothing: the value stands there already", m[0])
		case there && m[3] == "":
			w.Errorf("%q does nothing without --overwrite", m[0])
		default:
			w.annotate(cm, m[4], value)
		}
		n++
	}
	return n
}

// TestThePrintedApprovalWorksInEveryState: whatever approvals were used, or are
// left behind, what the condition prints lets the entries go that are held now.
func TestThePrintedApprovalWorksInEveryState(t *testing.T) {
	w := newWorldWith(t, manyUsers(12)...)
	full := w.mapUsers()
	for round := range 3 {
		cm := w.get("aws-auth-refresher")
		cm.Data = map[string]string{"mapUsers": ""} // kubectl apply leaves the annotations
		if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.refresh()
		w.expectMapUsers("held", full)
		if n := w.typed(w.condition(ConditionRemovalHeld).Message); n != 1 {
			t.Fatalf("round %d: %d commands in %q", round, n, w.condition(ConditionRemovalHeld).Message)
		}
		w.refresh()
		w.expectMapUsers("let go", person)
		cm = w.get("aws-auth-refresher")
		cm.Data = map[string]string{"mapUsers": fooRule}
		if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.refresh()
		w.expectMapUsers("in again", full)
		w.restart()
	}
}

// TestAnApprovalEnds: one that nothing needed expires, and one that was used does
// not count for what comes later.
func TestAnApprovalEnds(t *testing.T) {
	begin := func(t *testing.T) (w *world, users []string) {
		t.Helper()
		w = newWorld(t)
		w.awsAuth(person)
		w.rules(teamRule)
		users = manyUsers(20)
		w.createUsers(users...)
		for _, u := range users {
			w.tag(u, "team", "payments")
		}
		w.refresh()
		return w, users
	}
	count := func(w *world) int { return strings.Count(w.mapUsers(), "username: pay") }
	t.Run("Unused", func(t *testing.T) {
		w, users := begin(t)
		cm := w.get("aws-auth-refresher")
		w.annotate(cm, ApproveAnnotation, rules.DataDigest(cm.Data))
		w.later()
		w.pass(approvalFor)
		w.restart()
		w.later()
		for _, u := range users {
			w.tag(u, "team", "payment")
		}
		w.later()
		if c := w.condition(ConditionRemovalHeld); count(w) != 20 || c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "expired") {
			t.Errorf("an hour after the approval %d are left, and %+v", count(w), c)
		}
	})
	t.Run("Used", func(t *testing.T) {
		w, users := begin(t)
		for _, u := range users[:12] {
			w.tag(u, "team", "x")
		}
		w.later()
		if count(w) != 20 {
			t.Fatalf("not held")
		}
		w.typed(w.condition(ConditionRemovalHeld).Message)
		w.refresh()
		if count(w) != 8 {
			t.Fatalf("%d are left, want 8", count(w))
		}
		w.pass(time.Minute)
		for _, u := range users[12:] {
			w.tag(u, "team", "x")
		}
		w.later()
		if c := w.condition(ConditionRemovalHeld); count(w) != 8 || c.Status != metav1.ConditionTrue {
			t.Errorf("used, it let go of more: %d are left, and %+v", count(w), c)
		}
		w.typed(w.condition(ConditionRemovalHeld).Message)
		w.refresh()
		if count(w) != 0 {
			t.Errorf("the command that is printed then leaves %d", count(w))
		}
	})
}

// TestPlanKnowsSpentApprovals: plan shows what the controller does.
func TestPlanKnowsSpentApprovals(t *testing.T) {
	w := newWorldWith(t, manyUsers(12)...)
	w.approved("")
	w.refresh()
	w.rules(fooRule)
	w.refresh()
	cm := w.get("aws-auth-refresher")
	none := map[string]string{"mapUsers": ""}
	cm.Data, cm.Annotations = none, map[string]string{ApproveAnnotation: rules.DataDigest(none)}
	data := PlanData{
		Rules: cm, AWSAuth: w.get("aws-auth"), State: w.get("aws-auth-refresher-state"), Listed: rules.Kinds(),
		Accounts: []string{accountID}, Removal: w.config.Removal, Now: w.clock.Now(),
	}
	out, err := NewPlan(t.Context(), data)
	if err != nil || len(out.Removal.Held) != 12 || data.Approval(out) != rules.DataDigest(none)+".2" {
		t.Errorf("%d held, to be approved by %s: %v", len(out.Removal.Held), data.Approval(out), err)
	}
}
