package rules_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const goodRule = "- arnRegex: ^arn:aws:iam::000000000001:user/a$\n  username: a\n"

const otherFields = "permissionSet, iamGroups, tags, permissionsBoundary, maxAge, username, groups, maxMatches"

func TestDecode(t *testing.T) {
	t.Parallel()
	one := []v1alpha1.Rule{{ArnRegex: "^arn:aws:iam::000000000001:user/a$", Username: "a"}}
	tests := []struct {
		reason string
		data   map[string]string
		want   v1alpha1.Rules
	}{
		{"no data is no rules", nil, v1alpha1.Rules{}},
		{"an empty value", map[string]string{"mapUsers": "", "mapRoles": "\n"}, v1alpha1.Rules{}},
		{"null, in words", map[string]string{"mapUsers": "null", "mapRoles": "~\n"}, v1alpha1.Rules{}},
		{"comments only", map[string]string{"mapUsers": "# nobody\n"}, v1alpha1.Rules{}},
		{"an empty list", map[string]string{"mapUsers": "[]"}, v1alpha1.Rules{}},
		{"a rule", map[string]string{"mapUsers": goodRule}, v1alpha1.Rules{MapUsers: one}},
		{"a byte order mark and CRLF", map[string]string{"mapUsers": "\ufeff" + strings.ReplaceAll(goodRule, "\n", "\r\n")},
			v1alpha1.Rules{MapUsers: one}},
		{"a document's begin and end", map[string]string{"mapUsers": "---\n" + goodRule + "...\n"}, v1alpha1.Rules{MapUsers: one}},
		{"JSON is YAML", map[string]string{"mapRoles": `[{"arnRegex":"^arn:aws:iam::000000000001:user/a$","username":"a"}]`},
			v1alpha1.Rules{MapRoles: one}},
		{"every field", map[string]string{"mapRoles": `
- arnRegex: ^a$
  pathPrefix: /p/
  permissionSet: Admin
  username: "{{SessionName}}"
  groups: [a, "1"]
  maxMatches: 7
`}, v1alpha1.Rules{MapRoles: []v1alpha1.Rule{{
			ArnRegex: "^a$", PathPrefix: "/p/", PermissionSet: "Admin",
			Username: "{{SessionName}}", Groups: []string{"a", "1"}, MaxMatches: 7,
		}}}},
		{"quotes make text of anything", map[string]string{"mapUsers": `[{username: "yes"}, {username: '1'}, {username: !!str 1}]`},
			v1alpha1.Rules{MapUsers: []v1alpha1.Rule{{Username: "yes"}, {Username: "1"}, {Username: "1"}}}},
		{"anchors and aliases", map[string]string{"mapUsers": "- &r {username: a, groups: &g [x]}\n- *r\n- {username: b, groups: *g}\n"},
			v1alpha1.Rules{MapUsers: []v1alpha1.Rule{
				{Username: "a", Groups: []string{"x"}}, {Username: "a", Groups: []string{"x"}}, {Username: "b", Groups: []string{"x"}},
			}}},
		{"an empty list of groups", map[string]string{"mapUsers": "- {username: a, groups: []}"},
			v1alpha1.Rules{MapUsers: []v1alpha1.Rule{{Username: "a", Groups: []string{}}}}},
	}
	for _, tc := range tests {
		got, err := rules.Decode(tc.data)
		if err != nil {
			t.Errorf("%s: %v", tc.reason, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ reason, value, want string }{
		{"the older tool took this for an empty pattern and mapped everybody",
			"- arnRegexp: ^a$\n  username: a\n",
			`mapUsers rule 1 (line 1): unknown field "arnRegexp"; did you mean "arnRegex"?`},
		{"case counts", goodRule + "- arnRegex: ^a$\n  userName: a\n",
			`mapUsers rule 2 (line 4): unknown field "userName"; did you mean "username"?`},
		{"a word from elsewhere", "- arnRegex: ^a$\n  username: a\n  description: x\n",
			`mapUsers rule 1 (line 3): unknown field "description"; the fields are arnRegex, pathPrefix, ` + otherFields},
		{"a huge name is not repeated", "- username: a\n  " + strings.Repeat("x", 200) + ": a\n",
			`mapUsers rule 1 (line 2): unknown field "` + strings.Repeat("x", 100) + `…"; the fields are arnRegex, pathPrefix, ` + otherFields},
		{"twice", "- username: a\n  username: b\n", `mapUsers rule 1 (line 2): username stands there twice; keep one`},
		{"groups as a word", "- username: a\n  groups: x\n",
			`mapUsers rule 1 (line 2): groups must be a list and is the text "x"; write groups: [x]`},
		{"groups as nothing", "- username: a\n  groups:\n",
			`mapUsers rule 1 (line 2): groups must be a list and is empty; write groups: [developers]`},
		{"groups as a mapping", "- username: a\n  groups: {a: b}\n",
			`mapUsers rule 1 (line 2): groups must be a list and is a mapping; write groups: [developers]`},
		{"a group that is a number", "- username: a\n  groups:\n  - a\n  - 12\n",
			`mapUsers rule 1 (line 4): groups number 2 must be text, but YAML reads 12 as a number; write "12"`},
		{"a group that is nothing", "- username: a\n  groups: [a, ]\n- username: a\n  groups: [~]",
			`mapUsers rule 2 (line 4): groups number 1 has no value; write one or drop the field`},
		{"yes", "- username: yes\n", `mapUsers rule 1 (line 1): username must be text, but YAML reads yes as true or false; write "yes"`},
		{"a number in hexadecimal", "- username: 0x1F\n", `mapUsers rule 1 (line 1): username must be text, but YAML reads 0x1F as a number; write "0x1F"`},
		{"a number with an exponent", "- username: 1e3\n", `mapUsers rule 1 (line 1): username must be text, but YAML reads 1e3 as a number; write "1e3"`},
		{"a number to the base of 60", "- username: 1:30\n", `mapUsers rule 1 (line 1): username must be text, but YAML reads 1:30 as a number; write "1:30"`},
		{"a date", "- username: 2026-01-01\n", `mapUsers rule 1 (line 1): username must be text, but YAML reads 2026-01-01 as a date; write "2026-01-01"`},
		{"nothing", "- username:\n", `mapUsers rule 1 (line 1): username has no value; write one or drop the field`},
		{"empty", "- username: a\n  arnRegex: ''\n", `mapUsers rule 1 (line 2): arnRegex is empty; write a value or drop the field`},
		{"a list", "- username: [a]\n", `mapUsers rule 1 (line 1): username must be text and is a list`},
		{"a template without quotes", "- username: {{SessionName}}\n",
			`mapUsers rule 1 (line 1): username must be text and is a mapping; put a value that begins with { in quotes`},
		{"a tag", "- username: !secret a\n", `mapUsers rule 1 (line 1): username must be text and is tagged !secret; drop the tag`},
		{"a limit of nothing", "- username: a\n  maxMatches: 0\n", `mapUsers rule 1 (line 2): maxMatches must be at least 1; drop the field for no limit`},
		{"a limit of no value", "- username: a\n  maxMatches:\n", `mapUsers rule 1 (line 2): maxMatches has no value; write a number or drop the field`},
		{"two lines where one was asked for", "- username: a\n  groups: \"a\\nb\"\n",
			`mapUsers rule 1 (line 2): groups must be a list and is the text "a\nb"; write groups: [a�b]`},
		{"a list of limits", "- username: a\n  maxMatches: [1]\n", `mapUsers rule 1 (line 2): maxMatches must be a number and is a list`},
		{"a negative limit", "- username: a\n  maxMatches: -1\n", `mapUsers rule 1 (line 2): maxMatches must be at least 1; drop the field for no limit`},
		{"a limit in quotes", "- username: a\n  maxMatches: '5'\n", `mapUsers rule 1 (line 2): maxMatches must be a number and is text; write it without quotes`},
		{"an octal limit", "- username: a\n  maxMatches: 010\n", `mapUsers rule 1 (line 2): maxMatches must be a whole number in decimal digits and is the text "010"`},
		{"a limit that is no number", "- username: a\n  maxMatches: many\n", `mapUsers rule 1 (line 2): maxMatches must be a whole number in decimal digits and is the text "many"`},
		{"a limit beyond all", "- username: a\n  maxMatches: 99999999\n", `mapUsers rule 1 (line 2): maxMatches must be at most 1000000; drop the field for no limit`},
		{"merge keys", "- &a {username: a}\n- <<: *a\n  groups: [x]\n", `mapUsers rule 2 (line 2): merge keys (<<) are not read; write the fields out`},
		{"a list as a field's name", "- ? [a]\n  : b\n", `mapUsers rule 1 (line 1): a field's name must be a word and is a list`},
		{"a rule that is a word", "- a\n", `mapUsers rule 1 (line 1): must be a rule, as in "arnRegex: ^…$", and is the text "a"`},
		{"a rule that is nothing", "-\n", `mapUsers rule 1 (line 1): must be a rule, as in "arnRegex: ^…$", and is empty`},
		{"a rule that is its own part", "- &a [*a]\n", `mapUsers rule 1 (line 1): must be a rule, as in "arnRegex: ^…$", and is a list`},
		{"one rule instead of a list", "\narnRegex: ^a$\n", `mapUsers (line 2): must be a list of rules and is a mapping; begin each rule with "- "`},
		{"text", "everybody", `mapUsers (line 1): must be a list of rules and is the text "everybody"; begin each rule with "- "`},
		{"a second document", goodRule + "---\n" + goodRule, `mapUsers (line 3): a second YAML document begins here; keep all rules in one list`},
		{"an empty second document", goodRule + "---\n", `mapUsers (line 3): a second YAML document begins here; keep all rules in one list`},
		{"an indent by tab", "- username: a\n\tarnRegex: ^a$\n", `mapUsers (line 2): is not YAML: found a tab character that violates indentation; indent with spaces, not with tabs`},
		{"a bad indent", goodRule + goodRule + " groups: [a]\n", `mapUsers (line 5): is not YAML: did not find expected '-' indicator`},
		{"an open bracket", "- username: a\n  groups: [a\n", `mapUsers (line 2): is not YAML: did not find expected ',' or ']'`},
		{"an open quote", "- username: 'a\n", `mapUsers (line 1): is not YAML: found unexpected end of stream`},
		{"a colon too many", "- username: vault: ${1}\n", `mapUsers (line 1): is not YAML: mapping values are not allowed in this context`},
		{"an unknown alias", "- username: *a\n", `mapUsers (line 1): is not YAML: unknown anchor 'a' referenced`},
		{"a directive", "%YAML 9.0\n---\n" + goodRule, `mapUsers (line 1): is not YAML: found incompatible YAML document`},
		{"not text", goodRule + "- username: \xff\n", `mapUsers (line 3): is not UTF-8 text`},
		{"a NUL", goodRule + "- username: \x00\n", `mapUsers (line 3): is not YAML: control characters are not allowed`},
		{"more rules than anybody needs", strings.Repeat(goodRule, 501), `mapUsers (line 1): 501 rules are more than the 500 that are allowed`},
	}
	for _, tc := range tests {
		got, err := rules.Decode(map[string]string{"mapUsers": tc.value})
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: the error is\n  %v\nwant\n  %s", tc.reason, err, tc.want)
		}
		if diff := cmp.Diff(v1alpha1.Rules{}, got); diff != "" {
			t.Errorf("%s: rules beside the error:\n%s", tc.reason, diff)
		}
	}
}

func TestDecodeRefusesKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"mapUser":  `mapUser: unknown key; did you mean "mapUsers"?`,
		"mapusers": `mapusers: unknown key; did you mean "mapUsers"?`,
		"mapRole":  `mapRole: unknown key; did you mean "mapRoles"?`,
		"users":    `users: unknown key; the keys are mapUsers and mapRoles`,
		"example":  `example: unknown key; the keys are mapUsers and mapRoles`,
	}
	for key, want := range tests {
		_, err := rules.Decode(map[string]string{key: goodRule})
		if err == nil || err.Error() != want {
			t.Errorf("key %s: the error is %v, want %s", key, err, want)
		}
	}
}

func TestEveryProblemIsListed(t *testing.T) {
	t.Parallel()
	data := map[string]string{
		"mapUser": goodRule,
		"mapRoles": `
- permissionSet: Admin
  username: ${sessionName}
  groups: admins
`,
		"mapUsers": `
- arnRegexp: ^a$
  username: yes
- arnRegex: .*
  groups: [a, '']
- just words
- {}
- arnRegex: tmp-foo-1
  username: ${2}
  maxMatches: none
`,
	}
	_, err := rules.Parse(data, rules.Options{})
	want := strings.Join([]string{
		`mapUsers rule 1 (line 2): unknown field "arnRegexp"; did you mean "arnRegex"?`,
		`mapUsers rule 1 (line 3): username must be text, but YAML reads yes as true or false; write "yes"`,
		`mapUsers rule 2 (line 4): arnRegex matches every user of every account; name what is meant, as in ^arn:aws:iam::123456789012:user/vault/.*$`,
		`mapUsers rule 2 (line 4): has no username; write whom the cluster is to take the principal for, as in username: foo`,
		`mapUsers rule 2 (line 5): groups number 2 is empty; write a value or drop the field`,
		`mapUsers rule 3 (line 6): must be a rule, as in "arnRegex: ^…$", and is the text "just words"`,
		`mapUsers rule 4 (line 7): selects nobody; write arnRegex, pathPrefix, iamGroups, tags or permissionsBoundary`,
		`mapUsers rule 4 (line 7): has no username; write whom the cluster is to take the principal for, as in username: foo`,
		`mapUsers rule 5 (line 8): arnRegex must begin with ^ and end with $ in each of its alternatives, so that it matches whole ARNs; write the whole ARN, as in ^arn:aws:iam::123456789012:user/vault/.*$`,
		`mapUsers rule 5 (line 10): maxMatches must be a whole number in decimal digits and is the text "none"`,
		`mapUser: unknown key; did you mean "mapUsers"?`,
		`mapRoles rule 1 (line 3): username refers to ${sessionName}, which does not exist without arnRegex; the others are ${userName}, ${roleName}, ${accountID}, ${path} and ${userID}`,
		`mapRoles rule 1 (line 4): groups must be a list and is the text "admins"; write groups: [admins]`,
	}, "\n")
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var problems *rules.Problems
	if !errors.As(err, &problems) || len(problems.List) != 13 {
		t.Errorf("the error is a %T", err)
	}
}

// TestNoTextIsSilentlyTurnedIntoSomethingElse holds every plain scalar against
// the reader that Kubernetes uses, which follows YAML 1.1.
func TestNoTextIsSilentlyTurnedIntoSomethingElse(t *testing.T) {
	t.Parallel()
	words := rapid.OneOf(
		rapid.SampledFrom([]string{"y", "Y", "n", "yes", "No", "ON", "off", "true", "~", "null", ".inf", "-.INF", ".nan", "=", "<<"}),
		rapid.StringMatching(`[-+]?[0-9._:xobe+-]{1,8}`),
		rapid.StringMatching(`[0-9]{1,2}(:[0-9]{1,2}){1,2}(\.[0-9]*)?`),
		rapid.StringMatching(`[A-Za-z0-9:${}._+=,@-]{1,12}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		word := words.Draw(t, "word")
		got, err := rules.Decode(map[string]string{"mapUsers": "- username: " + word + "\n"})
		if err != nil {
			return
		}
		var other []map[string]any
		if err := sigsyaml.Unmarshal([]byte("- username: "+word+"\n"), &other); err != nil {
			t.Fatalf("%q is read as %+v, but Kubernetes says %v", word, got, err)
		}
		if text, ok := other[0]["username"].(string); !ok || text != got.MapUsers[0].Username {
			t.Fatalf("%q is read as %q, but by Kubernetes as %v", word, got.MapUsers[0].Username, other[0]["username"])
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		goodRule, "", "null", "- arnRegexp: ^a$\n", "- &a [*a]\n", "- <<: *a\n", "- username: yes\n",
		"- arnRegex: ^arn:aws:iam::000000000001:user/(?P<who>[a-z]+)-.*$\n  username: v:${who}\n  groups: [a]\n",
		"- {pathPrefix: /vault/, username: '${userName}', maxMatches: 3}\n", "- username: a\n\tb: c\n", "---\n---\n",
		"- arnRegex: (a{30}){30}\n", "- arnRegex: ^((a|b)*a(a|b){12})$\n", "- arnRegex: ^arn:aws:iam::000000000001:user/a\\b$\n",
		"- ? {a: b}\n  : c\n", "!%0A", "- !!binary aGk=\n", "[[[[", "- username: $${{\n",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, value string, unanchored bool) {
		data := map[string]string{"mapUsers": value, "mapRoles": value}
		set, err := rules.Parse(data, rules.Options{AllowUnanchored: unanchored})
		decoded, decodeErr := rules.Decode(data)
		if err != nil {
			var problems *rules.Problems
			if !errors.As(err, &problems) || len(problems.List) == 0 || set != nil {
				t.Fatalf("error %v with set %v", err, set)
			}
			lines := 1 + strings.Count(value, "\n") + strings.Count(value, "\r") +
				strings.Count(value, "\u0085") + strings.Count(value, "\u2028") + strings.Count(value, "\u2029")
			for _, p := range problems.List {
				if p.Line < 0 || p.Line > lines+1 || p.Reason == "" || strings.ContainsAny(p.String(), "\r\n") {
					t.Fatalf("problem %+v in %d lines", p, lines)
				}
			}
			return
		}
		if decodeErr != nil {
			t.Fatalf("Parse accepts what Decode refuses: %v", decodeErr)
		}
		if _, err := rules.Compile(decoded, rules.Options{AllowUnanchored: unanchored}); err != nil {
			t.Fatalf("Parse accepts what Compile refuses: %v", err)
		}
		for _, g := range set.Evaluate([]rules.Principal{user("arn:aws:iam::000000000001:user/a"), role("arn:aws:iam::000000000001:role/p/a")}, nil).Grants {
			if strings.TrimSpace(g.Username) == "" || !set.CouldMatch(g.Kind, g.PrincipalARN) {
				t.Fatalf("grant %+v", g)
			}
		}
	})
}

// TestHugeInputs: whatever is refused is refused in few words.
func TestHugeInputs(t *testing.T) {
	t.Parallel()
	const size = 1 << 16
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	tests := map[string]string{
		"open brackets":      fill("["),
		"nested lists":       fill("- "),
		"nested keys":        fill("? "),
		"one long line":      "- username: " + fill("a"),
		"one long unclosed":  "- username: '" + fill("a\n"),
		"one long group":     "- username: a\n  groups: " + fill("a"),
		"one long tag":       "- username: !" + fill("a") + " b\n",
		"one long number":    "- username: " + fill("1"),
		"one long pattern":   "- username: a\n  arnRegex: " + fill("(a"),
		"one long reference": "- username: $" + fill("a") + "\n",
		"many documents":     fill("---\n"),
		"many rules":         fill("- a\n"),
	}
	for reason, value := range tests {
		_, err := rules.Parse(map[string]string{"mapUsers": value}, rules.Options{})
		if err == nil {
			t.Errorf("%s: accepted", reason)
		} else if n := len(err.Error()); n > 1000 {
			t.Errorf("%s: refused in %d characters", reason, n)
		}
	}
}
