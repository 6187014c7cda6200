package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// mustParse is a set of rules that the test takes for granted.
func mustParse(t testing.TB, data map[string]string) *rules.Set {
	t.Helper()
	set, err := rules.Parse(data, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func user(arn string) rules.Principal {
	return rules.Principal{Kind: rules.User, ARN: arn, ID: "AIDA" + arn[len(arn)-1:]}
}

func role(arn string) rules.Principal {
	return rules.Principal{Kind: rules.Role, ARN: arn, ID: "AROA" + arn[len(arn)-1:]}
}

// TestEvaluateReadme is the example that the project opens with.
func TestEvaluateReadme(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": `
- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-.*$
  username: foo
  groups:
  - system:masters
- arnRegex: ^arn:aws:iam::123456789012:user/tmp-bar-.*$
  username: bar
  groups:
  - developers
`})
	got := set.Evaluate([]rules.Principal{
		user("arn:aws:iam::123456789012:user/tmp-bar-two"),
		user("arn:aws:iam::123456789012:user/tmp-foo-one"),
		user("arn:aws:iam::123456789012:user/tmp-bar-one"),
		user("arn:aws:iam::123456789012:user/team/tmp-foo-one/evil"),
		role("arn:aws:iam::123456789012:role/tmp-foo-one"),
	}, nil)
	type line struct {
		ARN, User string
		Groups    []string
	}
	var lines []line
	for _, g := range got.Grants {
		lines = append(lines, line{g.EntryARN, g.Username, g.Groups})
	}
	want := []line{
		{"arn:aws:iam::123456789012:user/tmp-foo-one", "foo", []string{"system:masters"}},
		{"arn:aws:iam::123456789012:user/tmp-bar-one", "bar", []string{"developers"}},
		{"arn:aws:iam::123456789012:user/tmp-bar-two", "bar", []string{"developers"}},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(rules.Needs{Users: true, UserPathPrefix: "/", RolePathPrefix: "/"}, set.Needs()); diff != "" {
		t.Error(diff)
	}
}
