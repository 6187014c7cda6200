package controllers

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	devsRule    = "- arnRegex: ^arn:aws:iam::123456789012:user/dev-.*$\n  username: dev\n  groups: [developers]\n"
	frozenAdmin = "- arnRegex: ^arn:aws:iam::123456789012:user/[^/]*$\n  username: admin\n  groups: [system:masters]\n  maxMatches: 2\n"
)

// TestAFrozenRuleGivesNothingToOthers: edits of other rules make nobody somebody
// whom a frozen rule has let in, nor does a restart.
func TestAFrozenRuleGivesNothingToOthers(t *testing.T) {
	for name, edited := range map[string]string{
		"Edited": strings.Replace(devsRule, "dev-.*", "dev-.+", 1) + frozenAdmin, "Deleted": frozenAdmin, "Moved": frozenAdmin + devsRule,
		"Both": strings.Replace(devsRule, "dev-.*", "dev-.+", 1) + strings.Replace(frozenAdmin, "[^/]*", "[^/]+", 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.awsAuth(person)
			w.rules(devsRule + frozenAdmin)
			w.createUsers("dev-1", "dev-2", "dev-3", "x-1", "x-2")
			w.refresh()
			w.rules(edited)
			for range 2 {
				w.refresh()
				w.settle()
				if text := w.mapUsers(); strings.Contains(text, "masters") || strings.Contains(text, "admin") {
					t.Fatalf("a frozen rule has let somebody in:\n%s", text)
				}
				w.restart()
			}
		})
	}
}

// TestAFrozenRuleKeepsItsOwn: whom the rule's former text let in stays, with what
// both texts give.
func TestAFrozenRuleKeepsItsOwn(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	limited := "- arnRegex: ^arn:aws:iam::123456789012:user/dev-.*$\n  username: dev\n  groups: [developers, viewers]\n  maxMatches: 2\n"
	w.rules(limited)
	w.createUsers("dev-1", "dev-2")
	w.refresh()
	w.createUsers("dev-3")
	w.rules(strings.Replace(strings.Replace(limited, "dev-.*", "dev-.+", 1), "viewers", "admins", 1))
	w.refresh()
	want := person + entry("dev-1", "dev", "developers") + entry("dev-2", "dev", "developers")
	w.expectMapUsers("frozen, and what was added is given to nobody", want)
	w.restart()
	w.settle()
	w.expectMapUsers("also after a restart", want)

	c := w.condition(ConditionRulesEffective)
	if c.Status != metav1.ConditionFalse || c.Reason != "Frozen" || !strings.Contains(c.Message, "mapUsers rule 1") || !strings.Contains(c.Message, "raise its maxMatches") {
		t.Errorf("condition %+v", c)
	}
	if n := w.events.count("Warning RulesEffectiveFrozen"); n == 0 {
		t.Errorf("no event: %q", w.events.notes)
	}
	if got := testutil.ToFloat64(w.config.Metrics.frozen); got != 1 {
		t.Errorf("the metric says %v", got)
	}
	w.deleteUsers("dev-3")
	w.settle()
	w.expectMapUsers("thawed", person+entry("dev-1", "dev", "developers", "admins")+entry("dev-2", "dev", "developers", "admins"))
	if c := w.condition(ConditionRulesEffective); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
}

// TestFrozenRulesHideNoOther that has no effect.
func TestFrozenRulesHideNoOther(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	w.rules(fooRule + "  maxMatches: 1\n" + strings.Replace(barRule, accountID, "123456789021", 1))
	w.refresh()
	c := w.condition(ConditionRulesEffective)
	for _, part := range []string{"mapUsers rule 1; more", "raise its maxMatches. mapUsers rule 2: it is about the account 123456789021", "Correct the account"} {
		if c.Reason != "Frozen" || !strings.Contains(c.Message, part) {
			t.Errorf("%+v does not say %q", c, part)
		}
	}
}
