package rules

import (
	"context"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
)

// expressions draws arbitrary regular expressions over few letters, so that
// matches are not rare.
func expressions() *rapid.Generator[string] {
	leaf := rapid.SampledFrom([]string{
		"a", "b", "ab", ":", "/", "-", ".", "[ab]", "[^a]", `\w`, `\d`, "[!-~]", "^", "$", "", `\A`, `\z`, "(?i:aB)", "(?s:.)",
		"(?m:^)", "(?m:$)", `\b`, `\B`, "é", "[^x-z]", `\x00`, `[\s]`,
	})
	suffix := rapid.SampledFrom([]string{"", "", "", "*", "+", "?", "{0,2}", "{2}", "{1,}", "*?", "+?"})
	var node func(depth int) *rapid.Generator[string]
	node = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			if depth == 0 || rapid.Bool().Draw(t, "leaf") {
				return "(?:" + leaf.Draw(t, "text") + ")" + suffix.Draw(t, "suffix")
			}
			parts := rapid.SliceOfN(node(depth-1), 1, 3).Draw(t, "parts")
			if rapid.Bool().Draw(t, "alternate") {
				return "(" + strings.Join(parts, "|") + ")" + suffix.Draw(t, "suffix")
			}
			return "(" + strings.Join(parts, "") + ")" + suffix.Draw(t, "suffix")
		})
	}
	return node(3)
}

// TestAutomatonIsTheRegexp holds the table against package regexp for
// arbitrary expressions and texts of the characters that ARNs have.
func TestAutomatonIsTheRegexp(t *testing.T) {
	t.Parallel()
	texts := rapid.SliceOfN(rapid.StringMatching(`[ab:/_x~!B0-]{0,8}`), 1, 12)
	rapid.Check(t, func(t *rapid.T) {
		text := expressions().Draw(t, "expression")
		for _, unanchored := range []bool{false, true} {
			tree, err := syntax.Parse(text, syntax.Perl)
			if err != nil {
				return
			}
			p, err := compilePattern(text, tree, unanchored)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range texts.Draw(t, "texts") {
				want := p.re.MatchString(s)
				if got := p.match(s); got != want {
					t.Fatalf("%q on %q: %v, package regexp says %v", text, s, got, want)
				}
				if want && (!strings.HasPrefix(s, p.literal) || !strings.HasSuffix(s, p.suffix)) {
					t.Fatalf("%q matches %q, which is not %q…%q", text, s, p.literal, p.suffix)
				}
			}
		}
	})
}

// TestFastEvaluationIsTheRegexp holds a whole evaluation, with sorted ARNs that
// share beginnings, against package regexp pair by pair.
func TestFastEvaluationIsTheRegexp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ends := rapid.SampledFrom([]string{"", "a", "(?i:a)", "(b)$"})
		text := "arn:" + expressions().Draw(t, "expression") + ends.Draw(t, "end")
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			return
		}
		p, err := compilePattern(text, tree, rapid.Bool().Draw(t, "unanchored"))
		if err != nil {
			t.Fatal(err)
		}
		var ps []Principal
		for _, s := range rapid.SliceOfN(rapid.StringMatching(`[ab:/AB-]{0,8}`), 1, 30).Draw(t, "texts") {
			ps = append(ps, Principal{Kind: User, ARN: "arn:" + s})
		}
		slow := *p
		slow.fast = nil
		e := evaluation{ended: endOf(context.Background()), kind: User, rules: []rule{{pattern: p}, {pattern: &slow}}, subjects: subjectsOf(User, ps)}
		e.match()
		for i, s := range e.subjects {
			for n, way := range []string{"its table", "its beginning and end"} {
				if got, want := e.matched[i]>>n&1 == 1, p.re.MatchString(s.ARN); got != want {
					t.Fatalf("%q on %q: %v by %s, package regexp says %v", text, s.ARN, got, way, want)
				}
			}
		}
	})
}

// TestSkippedSubjectsAreNotForgotten: between two that are read others are
// passed over by their end, and share less with both.
func TestSkippedSubjectsAreNotForgotten(t *testing.T) {
	t.Parallel()
	in := v1alpha1.Rules{MapUsers: []v1alpha1.Rule{
		{ArnRegex: "^arn:aws:iam::000000000001:user/(a.*-)*x$", Username: "u"},
		{ArnRegex: "^arn:aws:iam::000000000001:user/[^b]*x$", Username: "u"},
	}}
	set, err := Compile(in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var ps []Principal
	for _, name := range []string{"aax", "aay", "aby", "abz/cx", "b/ax", "b/ay", "c/ax"} {
		ps = append(ps, Principal{Kind: User, ARN: "arn:aws:iam::000000000001:user/" + name})
	}
	var got []string
	for _, g := range set.Evaluate(ps, nil).Grants {
		got = append(got, strings.TrimPrefix(g.EntryARN, "arn:aws:iam::000000000001:user/"))
	}
	if want := "aax c/ax"; strings.Join(got, " ") != want {
		t.Errorf("granted to %v, want %s", got, want)
	}
}

// TestAnchorsInTheMiddle: what begins a text and what ends it may be asked for
// anywhere.
func TestAnchorsInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a*$^", "^^a$$", "(^|a)b", "a*(?:$|b)", "(a|^)*$", "(?m)^a$", "$^", "a^", "$a", "(?i)a$", "(?:)a", "(a|)$"} {
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		p, err := compilePattern(text, tree, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"", "a", "A", "b", "ab", "ba", "aa", "aab"} {
			if got, want := p.match(s) && strings.HasSuffix(s, p.suffix), p.re.MatchString(s); got != want {
				t.Errorf("%s on %q: %v, package regexp says %v", text, s, got, want)
			}
		}
	}
}

func TestAutomatonBounds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reason, pattern, literal string
		table                    bool
	}{
		{"the plain case", "^arn:aws:iam::000000000001:user/tmp-.*$", "arn:aws:iam::000000000001:user/tmp-", true},
		{"a literal goes on into what alternatives share", "^arn:(aws|aws-cn):iam$", "arn:aws", true},
		{"a class of one", "^a[b]c+$", "abc", true},
		{"any case has no literal", "(?i)^a$", "", true},
		{"exponentially many states", "^[ab]*a[ab]{12}$", "", false},
		{"many instructions", "^a(b|c){400}$", "a", true},
		{"very many states", "^a(b|c){800}$", "", false},
		{"word boundaries", `^arn:aws:iam::000000000001:user/a\b.*$`, "", false},
		{"nothing, after any number of the same: any beginning is right", `^a+[^\x00-\x{10FFFF}]$`, "aaaa", true},
		{"nothing ever", `^arn:[^\x00-\x{10FFFF}]$`, "arn:", true},
	}
	for _, tc := range tests {
		tree, err := syntax.Parse(tc.pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		p, err := compilePattern(tc.pattern, tree, false)
		if err != nil {
			t.Fatal(err)
		}
		if (p.fast != nil) != tc.table || p.literal != tc.literal {
			t.Errorf("%s: %s has table %v and literal %q, want %v and %q",
				tc.reason, tc.pattern, p.fast != nil, p.literal, tc.table, tc.literal)
		}
	}
}

// TestPatternsWithoutTablesMatch keeps the way through package regexp honest.
func TestPatternsWithoutTablesMatch(t *testing.T) {
	t.Parallel()
	in := v1alpha1.Rules{MapUsers: []v1alpha1.Rule{{ArnRegex: `^arn:aws:iam::000000000001:user/(\w+)\b-x$`, Username: "${1}"}}}
	set, err := Compile(in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if set.users[0].pattern.fast != nil {
		t.Fatal("the pattern has a table, choose another one")
	}
	got := set.Evaluate([]Principal{
		{Kind: User, ARN: "arn:aws:iam::000000000001:user/a-x"}, {Kind: User, ARN: "arn:aws:iam::000000000001:user/a-y"},
	}, nil)
	if len(got.Grants) != 1 || got.Grants[0].Username != "a" {
		t.Errorf("got %+v", got.Grants)
	}
	if !set.CouldMatch(User, "arn:aws:iam::000000000001:user/b-x") || set.CouldMatch(User, "arn:aws:iam::000000000001:user/b-y") {
		t.Error("CouldMatch does not say what Evaluate does")
	}
}

func TestMeets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"ab.*", ".*cd", true},
		{"ab.*", "b.*", false},
		{"a{3}", "a{4,}", false},
		{"(a|b)+c", "b*c", true},
		{"a*", "b*", true}, // nothing at all
	}
	for _, tc := range tests {
		var automata []*automaton
		for _, s := range []string{tc.a, tc.b} {
			tree, err := syntax.Parse(s, syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			automata = append(automata, newAutomaton(tree))
		}
		if got := automata[0].meets(automata[1]); got != tc.want {
			t.Errorf("%s meets %s: %v", tc.a, tc.b, got)
		}
		if got := automata[1].meets(automata[0]); got != tc.want {
			t.Errorf("%s meets %s: %v", tc.b, tc.a, got)
		}
	}
	if re := regexp.MustCompile(`\A(?:` + shape(Role, "/a.b/") + `)\z`); !re.MatchString("arn:aws:iam::000000000001:role/a.b/c/d") ||
		re.MatchString("arn:aws:iam::000000000001:role/axb/c") || re.MatchString("arn:aws:iam::000000000001:user/a.b/c") {
		t.Error("the shape of a role's ARN is another one")
	}
}
