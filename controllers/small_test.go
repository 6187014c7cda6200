package controllers

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestASlipInASmallCluster: a digit of the account mistyped takes out nobody, in
// clusters of all sizes, and the way out is printed.
func TestASlipInASmallCluster(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8} {
		w := newWorldWith(t, manyUsers(n)...)
		in := w.mapUsers()
		w.rules(strings.Replace(fooRule, accountID, "123456789021", 1))
		w.refresh()
		w.expectMapUsers("all stay", in)
		c := w.condition(ConditionRemovalHeld)
		if c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "their rule names an account now that is not listed") {
			t.Errorf("%d users: %+v", n, c)
		}
		if c := w.condition(ConditionRulesEffective); c.Reason != "AccountNotListed" || !strings.Contains(c.Message, "123456789021") {
			t.Errorf("%d users: %+v", n, c)
		}
		w.rules(fooRule)
		w.refresh()
		w.expectMapUsers("and nothing was lost", in)
	}
}

// TestAnAccountThatIsNotListedHoldsAFew: who goes may be few of many.
func TestAnAccountThatIsNotListedHoldsAFew(t *testing.T) {
	w := newWorldWith(t, manyUsers(20)...)
	w.createUsers("tmp-bar-1", "tmp-bar-2")
	w.rules(fooRule + barRule)
	w.later()
	in := w.mapUsers()
	w.rules(fooRule + strings.Replace(barRule, accountID, "123456789021", 1))
	w.refresh()
	w.expectMapUsers("both stay", in)
}

// TestOnePersonsRule deleted takes her out at once, in whatever cluster.
func TestOnePersonsRule(t *testing.T) {
	jane := "- arnRegex: ^arn:aws:iam::123456789012:user/jane$\n  username: jane\n  groups: [system:masters]\n"
	joe := strings.ReplaceAll(jane, "jane", "joe")
	w := newWorld(t)
	w.awsAuth(person)
	w.createUsers("jane", "joe")
	w.rules(jane + joe)
	w.refresh()
	w.rules(joe)
	w.refresh()
	w.expectMapUsers("one of two", person+entry("joe", "joe", "system:masters"))
	w.rules("")
	w.refresh()
	w.expectMapUsers("and the last one", person)
}
