package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestSlowPatternsShareOneBudget: what has no table is matched step by step, so
// there is an end to how much of it is accepted, and the rule that is too much
// is named.
func TestSlowPatternsShareOneBudget(t *testing.T) {
	const head = "^arn:aws:iam::123456789012:user/"
	for _, row := range []struct {
		reason, pattern string // of the rules, with their number
		n               int
		refused         int // the first rule that is refused; 0: none
		steps           int // what it says of that rule
	}{
		{"patterns with tables are fast, however many", head + `vault-.*-%d$`, 150, 0, 0},
		{"counted repetitions with tables, too", head + `vault-[a-z]{20}-[0-9]{10}-%d$`, 150, 0, 0},
		{"one pattern that is as large as it may be", head + `.{0,1000}.{0,1000}z%dN$`, 1, 0, 0},
		{"some of them", head + `.{0,1000}.{0,1000}z%03dN$`, 9, 0, 0},
		{"hundreds of them", head + `.{0,1000}.{0,1000}z%03dN$`, 500, 10, 4041},
		{"a few small ones without a table", head + `\b.*\b%d$`, 100, 0, 0},
		{"too many small ones", head + `\b.*\b%d$`, 101, 101, 400},
		{"small ones that would need a large table", head + `.*a[^/]{10}%d$`, 101, 101, 400},
	} {
		var list strings.Builder
		for i := range row.n {
			fmt.Fprintf(&list, "- arnRegex: "+row.pattern+"\n  username: u\n", i)
		}
		data := map[string]string{"mapUsers": list.String()}
		want := ""
		if row.refused > 0 {
			want = fmt.Sprintf("mapUsers rule %d (line %d): arnRegex is slow to match, and too slow together with those before it: it counts for %d steps of 40000 in all; "+
				`write [^/]* instead of counted repetitions such as .{0,1000}, without \b, or one pattern for several rules`, row.refused, 2*row.refused-1, row.steps)
		}
		got := ""
		if _, err := Parse(data, Options{}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", row.reason, got, want)
		}
		if row.n != 101 {
			continue
		}
		if _, err := Parse(data, Options{Accepted: true}); err != nil {
			t.Errorf("%s: rules that are in force stay in force, got %v", row.reason, err)
		}
	}
}

// TestSlowPatternsLookOnlyWhereTheyMayMatch: a pattern without a table is run on
// the ARNs that begin and end as it does, and finds what it should.
func TestSlowPatternsLookOnlyWhereTheyMayMatch(t *testing.T) {
	const account = "arn:aws:iam::123456789012:user/"
	set, err := Parse(map[string]string{"mapUsers": "- arnRegex: ^" + account + "(ci/.{0,600}-.{0,600}N)$\n  username: ${1}\n" +
		"- arnRegex: (?i)^" + account + "CI/.{0,600}-.{0,600}x$\n  username: any-case\n"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := set.users[0].pattern
	if p.fast != nil || p.prefix != account+"ci/" || p.suffix != "N" {
		t.Fatalf("the pattern has a table (%t) or begins with %q and ends with %q", p.fast != nil, p.prefix, p.suffix)
	}
	if got := set.Needs().UserPathPrefix; got != "/" {
		t.Errorf("the second pattern is of any case, so the path is not %s", got)
	}
	var principals []Principal
	for _, name := range []string{"a", "ci/a-N", "ci/a-n", "ci/aN", "ci/b-x", "cj/a-N", "CI/c-X", "zN"} {
		principals = append(principals, Principal{Kind: User, ARN: account + name})
	}
	var got []string
	for _, g := range set.Evaluate(principals, nil).Grants {
		got = append(got, strings.TrimPrefix(g.PrincipalARN, account)+"="+g.Username)
	}
	if want := "ci/a-N=ci/a-N CI/c-X=any-case ci/b-x=any-case"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// endingAfter is a context that ends once it has been asked so many times.
type endingAfter struct {
	context.Context //nolint:containedctx // it is one
	left            int
}

func (c *endingAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestAnEvaluationEndsWithItsContext: soon, with an error that names the slow
// rules, and without half a result.
func TestAnEvaluationEndsWithItsContext(t *testing.T) {
	const head = "arn:aws:iam::123456789012:user/"
	set, err := Parse(map[string]string{"mapUsers": "- {arnRegex: '^" + head + "a-.*$', username: fast}\n" +
		"- {arnRegex: '^" + head + ".{0,600}b.{0,600}$', username: slow}\n" +
		"- {pathPrefix: /, tags: {team: a}, username: tagged}\n" +
		"- {arnRegex: '^" + head + ".{0,700}b.{0,600}$', username: slow, maxMatches: 1}\n"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var principals []Principal
	for i := range 5000 {
		principals = append(principals, Principal{Kind: User, ARN: fmt.Sprintf("%s%06d-b", head, i), Details: &Details{}})
	}
	const want = "matching the rules was not finished: context deadline exceeded; slow to match are mapUsers rule 2 and mapUsers rule 4; " +
		"write [^/]* instead of counted repetitions such as .{0,1000}"
	for reason, left := range map[string]int{"before it begins": 0, "in the middle of a rule": 20, "in the middle of the last one": 100, "while grants are made": 200} {
		ctx := &endingAfter{t.Context(), left}
		got, err := set.EvaluateWithin(ctx, Clock{}, principals, nil)
		if fmt.Sprint(err) != want || !errors.Is(err, ErrUnfinished) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got the error %v, want %s", reason, err, want)
		}
		if got.Grants != nil || got.Rules != nil || got.LeftOut != nil {
			t.Errorf("%s: half a result was given: %d grants, %d rules", reason, len(got.Grants), len(got.Rules))
		}
		if ctx.left < -3 {
			t.Errorf("%s: it went on for %d looks at the context", reason, -ctx.left)
		}
	}

	done, cancel := context.WithCancel(t.Context())
	asked := 0
	got, err := set.EvaluateWithin(done, Clock{}, principals, func(Kind, string, string) (Before, bool) {
		asked++
		cancel()
		return Before{}, true
	})
	if !errors.Is(err, ErrUnfinished) || !errors.Is(err, context.Canceled) || got.Grants != nil {
		t.Errorf("canceled while grants are made: got %d grants and the error %v", len(got.Grants), err)
	}
	if asked > 500 {
		t.Errorf("it went on for %d principals after it was canceled", asked)
	}
}
