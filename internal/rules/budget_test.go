package rules

import (
	"fmt"
	"strings"
	"testing"
)

// TestAutomataShareOneBudget: the tables of many rules stay within the budget,
// and patterns without one match as before.
func TestAutomataShareOneBudget(t *testing.T) {
	var list strings.Builder
	const n = 160
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_="
	for i := range n {
		fmt.Fprintf(&list, "- arnRegex: ^arn:aws:iam::123456789012:user/%03d%s[a-z]{50}[0-9]{50}[A-Z]{50}/x$\n  username: u%d\n", i, letters, i)
	}
	set, err := Parse(map[string]string{"mapUsers": list.String()}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	size, without := 0, 0
	for _, r := range set.users {
		if r.pattern.fast == nil {
			without++
			continue
		}
		size += 2*len(r.pattern.fast.next) + len(r.pattern.fast.accept)
	}
	if size > maxTables {
		t.Errorf("the tables take %d bytes, more than %d", size, maxTables)
	}
	if without == 0 {
		t.Fatalf("%d rules fit into the budget; the test needs larger ones", n)
	}
	for _, i := range []int{0, n - 1} {
		arn := fmt.Sprintf("arn:aws:iam::123456789012:user/%03d%s%s%s%s/x", i, letters, strings.Repeat("x", 50), strings.Repeat("7", 50), strings.Repeat("Z", 50))
		if !set.CouldMatch(User, arn) || set.CouldMatch(User, arn+"!") {
			t.Errorf("rule %d does not match as its pattern says", i+1)
		}
	}
}
