package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestAccountsHave12Digits: a slip in an account's number would take everybody
// of the rule out, so it is refused.
func TestAccountsHave12Digits(t *testing.T) {
	t.Parallel()
	const (
		out  = "; write the 12 digits that AWS prints, as in 123456789012"
		none = "arnRegex can match nobody, because an account has 12 digits" + out
	)
	names := func(account, digits string) string {
		return "arnRegex names the account " + account + ", which has not 12 digits but " + digits + ", so it matches nobody" + out
	}
	for _, row := range []struct{ reason, pattern, want string }{
		{"12 digits", `^arn:aws:iam::123456789012:user/a$`, ""},
		{"12 digits that begin with zeros", `^arn:aws:iam::000000000012:user/a$`, ""},
		{"any account", `^arn:aws:iam::[0-9]+:user/a$`, ""},
		{"any account of as many digits", `^arn:aws:iam::\d{12}:user/a$`, ""},
		{"two accounts", `^arn:aws:iam::(?:123456789012|210987654321):user/a$`, ""},
		{"two beginnings of accounts", `^arn:aws:iam::(12|34)[0-9]+:user/a$`, ""},
		{"digits in a path", `^arn:aws:iam::123456789012:user/12:34:/::5:/a$`, ""},

		{"a digit lost", `^arn:aws:iam::12345678901:user/a$`, names("12345678901", "11")},
		{"a digit too many", `^arn:aws:iam::1234567890123:user/a$`, names("1234567890123", "13")},
		{"ten digits", `^arn:aws:iam::1234567890:user/tmp-foo-.*$`, names("1234567890", "10")},
		{"in another partition", `^arn:aws-us-gov:iam::1:user/a$`, names("1", "1")},
		{"in any partition", `^arn:[a-z-]+:iam::1:user/a$`, names("1", "1")},
		{"behind anything", `^.*:iam::12345678901:user/a$`, names("12345678901", "11")},
		{"the second of two patterns", `^arn:aws:iam::123456789012:user/a$|^arn:aws:iam::21098765432:user/a$`, names("21098765432", "11")},
		{"the second of two accounts", `^arn:aws:iam::(123456789012|21098765432):user/a$`, names("21098765432", "11")},
		{"of a group that captures nothing", `^arn:aws:iam::(?:21098765432|123456789012):user/a$`, names("21098765432", "11")},
		{"of a group with a name", `^arn:aws:iam::(?P<account>21098765432):user/a$`, names("21098765432", "11")},
		{"of a group with the other name", `^arn:aws:iam::(?<account>21098765432):user/a$`, names("21098765432", "11")},
		{"digits counted wrongly", `^arn:aws:iam::[0-9]{11}:user/a$`, none},
		{"some digits and a count", `^arn:aws:iam::1234\d{7}:user/a$`, none},
		{"no digits", `^arn:aws:iam::[0-9]*x:user/a$`, impossible},
	} {
		rule := v1alpha1.Rule{ArnRegex: row.pattern, Username: "a"}
		if diff := cmp.Diff(row.want, refusal(t, rule, rules.Options{})); diff != "" {
			t.Errorf("%s: %s: -want +got\n%s", row.reason, row.pattern, diff)
		}
		for name, o := range map[string]rules.Options{"allowed": {AllowShortAccounts: true}, "in force": {Accepted: true}} {
			if got := refusal(t, rule, o); got != "" && got != row.want || row.want != impossible && got != "" {
				t.Errorf("%s: %s, %s: got %s", row.reason, row.pattern, name, got)
			}
		}
	}
	part := v1alpha1.Rule{ArnRegex: `iam::12345678901:user/tmp-`, Username: "a"}
	if diff := cmp.Diff(names("12345678901", "11"), refusal(t, part, rules.Options{AllowUnanchored: true})); diff != "" {
		t.Errorf("a part of an ARN: -want +got\n%s", diff)
	}
	boundary := v1alpha1.Rule{PermissionsBoundary: "arn:aws:iam::12345678901:policy/limits", Username: "a"}
	want := `permissionsBoundary must be the ARN of a policy, as in arn:aws:iam::123456789012:policy/boundary, and is "arn:aws:iam::12345678901:policy/limits"`
	if diff := cmp.Diff(want, refusal(t, boundary, rules.Options{})); diff != "" {
		t.Errorf("a boundary: -want +got\n%s", diff)
	}
}
