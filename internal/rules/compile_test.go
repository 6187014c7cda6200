package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	mustAnchor = "arnRegex must begin with ^ and end with $ in each of its alternatives, so that it matches whole ARNs; "
	wholeARN   = "write the whole ARN, as in ^arn:aws:iam::123456789012:user/vault/.*$"
	everything = "arnRegex matches every user of every account; name what is meant, as in ^arn:aws:iam::123456789012:user/vault/.*$"
	impossible = "arnRegex can match no user's ARN; those look like arn:aws:iam::123456789012:user/vault/name"
)

// refusal compiles one rule for users and gives the only reason to refuse it.
func refusal(t *testing.T, r v1alpha1.Rule, o rules.Options) string {
	t.Helper()
	_, err := rules.Compile(v1alpha1.Rules{MapUsers: []v1alpha1.Rule{r}}, o)
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "mapUsers rule 1: ")
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	tests := []struct{ reason, pattern, want string }{
		{"the plain case", `^arn:aws:iam::123456789012:user/tmp-.*$`, ""},
		{"every alternative is anchored", `^arn:aws:iam::000000000001:user/a$|^arn:aws:iam::000000000001:user/b$`, ""},
		{"anchors inside a group", `(^arn:aws:iam::000000000001:user/a$)`, ""},
		{"anchors by their other names", `\Aarn:aws:iam::000000000001:user/a\z`, ""},
		{"any case", `(?i)^arn:aws:iam::000000000001:user/a$`, ""},
		{"every user of one account", `^arn:aws:iam::123456789012:user/.*$`, ""},
		{"one path in all accounts", `^arn:aws:iam::[0-9]+:user/vault/.*$`, ""},

		{"no anchors", `arn:aws:iam::000000000001:user/a`, mustAnchor + "write ^arn:aws:iam::000000000001:user/a$"},
		{"no end", `^arn:aws:iam::000000000001:user/a`, mustAnchor + "write ^arn:aws:iam::000000000001:user/a$"},
		{"no beginning", `arn:aws:iam::000000000001:user/a$`, mustAnchor + "write ^arn:aws:iam::000000000001:user/a$"},
		{"each alternative has one of them", `^arn:aws:iam::000000000001:user/a|arn:aws:iam::000000000001:user/b$`,
			mustAnchor + "write ^(?:^arn:aws:iam::000000000001:user/a|arn:aws:iam::000000000001:user/b$)$"},
		{"one alternative has none", `^arn:aws:iam::000000000001:user/a$|.*b`, mustAnchor + "write ^(?:^arn:aws:iam::000000000001:user/a$|.*b)$"},
		{"an anchor that need not be there", `^?arn:aws:iam::000000000001:user/a$`, mustAnchor + "write ^^?arn:aws:iam::000000000001:user/a$"},
		{"lines instead of texts", `(?m)^arn:aws:iam::000000000001:user/a$`, mustAnchor + "write ^(?:(?m)^arn:aws:iam::000000000001:user/a$)$"},
		{"a literal dollar sign", `^arn:aws:iam::000000000001:user/a\$`, mustAnchor + wholeARN},
		{"an open literal", `^arn:aws:iam::000000000001:user/\Qa$`, `arnRegex leaves \Q open; close it with \E`},
		{"the end of an ARN", `user/tmp-.*`, mustAnchor + "write ^arn:aws:iam::[0-9]+:user/tmp-.*$"},
		{"a part of an ARN", `tmp-foo-1`, mustAnchor + wholeARN},
		{"a name with anchors", `^tmp-foo-.*$`, impossible},
		{"nothing with anchors", `^$`, impossible},
		{"the other kind", `^arn:aws:iam::000000000001:role/a$`, impossible},
		{"an ARN with a region", `^arn:aws:iam:us-east-1:000000000001:user/a$`, impossible},
		{"a trailing space", `^arn:aws:iam::000000000001:user/a $`, impossible},

		{"everything", `.*`, everything},
		{"everything with anchors", `^.*$`, everything},
		{"everything in other words", `^[^ ]+$`, everything},
		{"everything or something", `^(.*|arn:aws:iam::000000000001:user/a)$`, everything},
		{"every user", `^arn:aws:iam::.*:user/.*$`, everything},
		{"every user there is", `^arn:[a-z-]+:iam::\d{12}:user/.+$`, everything},
		{"every user of AWS in China", `^arn:aws-cn:iam::\d+:user/.*$`, everything},

		{"not an expression", `^arn:aws:iam::000000000001:user/(a$`,
			"arnRegex is not a regular expression: missing closing ): ^arn:aws:iam::000000000001:user/(a$; https://golang.org/s/re2syntax tells what can be written"},
		{"what other dialects leave out", `^arn:aws:iam::000000000001:user/(?!a).*$`,
			"arnRegex uses (?!, but RE2 cannot look ahead or behind; write what is to match, not what is not to"},
		{"what other dialects ask for before it", `^arn:aws:iam::000000000001:user/.*(?<=a)$`,
			"arnRegex uses (?<=, but RE2 cannot look ahead or behind; write what is to match, not what is not to"},
		{"what other dialects refer back to", `^arn:aws:iam::000000000001:user/(a|b)-\1$`,
			`arnRegex uses \1, but RE2 cannot refer back to a group; write out what is to match`},
		{"what other dialects do not go back on", `^arn:aws:iam::000000000001:user/(?>a)$`,
			"arnRegex is not a regular expression: invalid or unsupported Perl syntax: (?>; https://golang.org/s/re2syntax tells what can be written"},
		{"a character too many", `^arn:aws:iam::000000000001:user/` + strings.Repeat("a", 992) + `$`, "arnRegex has 1025 characters; at most 1024 are allowed"},
		{"small to write, large to run", `^arn:aws:iam::000000000001:user/` + strings.Repeat(".{900}", 6) + `$`,
			"arnRegex is too large: with its repetitions written out it has more than 5000 steps"},
		{"small to write, large to run by its upper bound", `^arn:aws:iam::000000000001:user/` + strings.Repeat(".{0,900}", 6) + `$`,
			"arnRegex is too large: with its repetitions written out it has more than 5000 steps"},
		{"a name twice", `^arn:aws:iam::000000000001:user/(?P<a>x)(?P<a>y)$`, `arnRegex has two groups named "a"; rename one`},
		{"a name that is taken", `^arn:aws:iam::000000000001:user/(?P<userName>x)$`,
			`arnRegex has a group named "userName", which already means the principal's own; rename the group`},
		{"a name that is a number", `^arn:aws:iam::000000000001:user/(x)(?P<1>y)$`,
			`arnRegex has a group named "1", which reads like a number; let it begin with a letter`},
	}
	for _, tc := range tests {
		got := refusal(t, v1alpha1.Rule{ArnRegex: tc.pattern, Username: "a"}, rules.Options{})
		if got != tc.want {
			t.Errorf("%s: %.80s gives\n  %s\nwant\n  %s", tc.reason, tc.pattern, got, tc.want)
		}
	}
}

// TestCorrectionsAreAccepted takes the messages at their word.
func TestCorrectionsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`arn:aws:iam::000000000001:user/a`, `^arn:aws:iam::000000000001:user/a|arn:aws:iam::000000000001:user/b$`, `(?m)^arn:aws:iam::000000000001:user/a$`,
		`user/tmp-.*`, `tmp-foo-1`, `.*`, `^^?arn:aws:iam::000000000001:user/a`, `arn:aws:iam::000000000001:user/a|`, `$`, `^`,
	} {
		reason := refusal(t, v1alpha1.Rule{ArnRegex: pattern, Username: "a"}, rules.Options{})
		at := strings.LastIndex(reason, " ^")
		if at < 0 {
			t.Errorf("%s: no correction in %q", pattern, reason)
			continue
		}
		if again := refusal(t, v1alpha1.Rule{ArnRegex: reason[at+1:], Username: "a"}, rules.Options{}); again != "" {
			t.Errorf("%s: the correction %s is refused: %s", pattern, reason[at+1:], again)
		}
	}
}

func TestUnanchored(t *testing.T) {
	t.Parallel()
	o := rules.Options{AllowUnanchored: true}
	for pattern, want := range map[string]string{
		`tmp-foo-1`: "",
		`user/tmp-`: "",
		`^arn:aws:iam::000000000001:user/a|^arn:aws:iam::000000000002:`: "",
		`.*`:      everything,
		`arn:`:    everything,
		`user`:    everything,
		`role/`:   "", // a user's path may say so
		`^user/a`: impossible,
	} {
		if got := refusal(t, v1alpha1.Rule{ArnRegex: pattern, Username: "a"}, o); got != want {
			t.Errorf("%s gives %q, want %q", pattern, got, want)
		}
	}
	set, err := rules.Compile(v1alpha1.Rules{MapUsers: []v1alpha1.Rule{{ArnRegex: "tmp-([a-z]+)-1", Username: "${1}"}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	got := set.Evaluate([]rules.Principal{user("arn:aws:iam::000000000001:user/team/tmp-foo-1/evil"), user("arn:aws:iam::000000000001:user/tmp-2")}, nil)
	if len(got.Grants) != 1 || got.Grants[0].Username != "foo" {
		t.Errorf("a substring is what matches then; got %+v", got.Grants)
	}
	if got := set.Needs().UserPathPrefix; got != "/" {
		t.Errorf("a substring says nothing about paths, got %s", got)
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	arnRegex := "^arn:aws:iam::000000000001:%s/vault/a$"
	tests := []struct {
		reason string
		kind   rules.Kind
		rule   v1alpha1.Rule
		want   string
	}{
		{"nobody", rules.User, v1alpha1.Rule{}, "selects nobody; write arnRegex, pathPrefix, iamGroups, tags or permissionsBoundary"},
		{"nobody", rules.Role, v1alpha1.Rule{}, "selects nobody; write arnRegex, pathPrefix, permissionSet, tags or permissionsBoundary"},
		{"a path", rules.User, v1alpha1.Rule{PathPrefix: "/vault/"}, ""},
		{"no slashes", rules.User, v1alpha1.Rule{PathPrefix: "vault"}, "pathPrefix must begin and end with a slash; write /vault/"},
		{"no end", rules.User, v1alpha1.Rule{PathPrefix: "/a/b"}, "pathPrefix must begin and end with a slash; write /a/b/"},
		{"everybody", rules.User, v1alpha1.Rule{PathPrefix: "/"},
			"pathPrefix / alone selects every user; name a path, as in /vault/, or add another selector"},
		{"everybody who matches", rules.User, v1alpha1.Rule{PathPrefix: "/", ArnRegex: arnRegex}, ""},
		{"not a path", rules.User, v1alpha1.Rule{PathPrefix: "//"}, "pathPrefix // is not an IAM path; write /"},
		{"a space", rules.User, v1alpha1.Rule{PathPrefix: "/a b/"}, "pathPrefix has characters that no IAM path has"},
		{"too long", rules.User, v1alpha1.Rule{PathPrefix: "/" + strings.Repeat("a", 600) + "/"},
			"pathPrefix is longer than an IAM path, which has at most 512 characters"},
		{"both", rules.User, v1alpha1.Rule{PathPrefix: "/vault/", ArnRegex: arnRegex}, ""},
		{"both, but never", rules.User, v1alpha1.Rule{PathPrefix: "/other/", ArnRegex: arnRegex},
			"arnRegex matches nothing under the path /other/, which another selector asks for; drop one"},
		{"SSO", rules.Role, v1alpha1.Rule{PermissionSet: "Admin_ReadOnly"}, ""},
		{"SSO users", rules.User, v1alpha1.Rule{PermissionSet: "Admin"}, "permissionSet selects roles; move the rule to mapRoles"},
		{"SSO role", rules.Role, v1alpha1.Rule{PermissionSet: "AWSReservedSSO_Admin_0123456789abcdef"},
			"permissionSet is the name of the permission set, not of its role; drop AWSReservedSSO_ and the hexadecimal end"},
		{"SSO pattern", rules.Role, v1alpha1.Rule{PermissionSet: "Admin.*"},
			"permissionSet must be 1 to 32 letters, digits and _+=,.@- characters, exactly the set's name"},
		{"SSO length", rules.Role, v1alpha1.Rule{PermissionSet: strings.Repeat("a", 33)},
			"permissionSet must be 1 to 32 letters, digits and _+=,.@- characters, exactly the set's name"},
		{"SSO in a region", rules.Role, v1alpha1.Rule{PermissionSet: "A", PathPrefix: "/aws-reserved/sso.amazonaws.com/eu-west-1/"}, ""},
		{"SSO elsewhere", rules.Role, v1alpha1.Rule{PermissionSet: "A", PathPrefix: "/vault/"},
			"pathPrefix excludes permissionSet, whose roles stand under /aws-reserved/sso.amazonaws.com/; drop one"},
		{"SSO and a pattern", rules.Role, v1alpha1.Rule{PermissionSet: "A", ArnRegex: arnRegex},
			"arnRegex matches nothing under the path /aws-reserved/sso.amazonaws.com/, which another selector asks for; drop one"},
		{"below no limit", rules.User, v1alpha1.Rule{PathPrefix: "/vault/", MaxMatches: -1},
			"maxMatches must be at least 1; drop the field for no limit"},
		{"an empty group", rules.User, v1alpha1.Rule{PathPrefix: "/vault/", Groups: []string{"a", " "}}, "groups number 2 is empty"},
		{"two lines in a group", rules.User, v1alpha1.Rule{PathPrefix: "/vault/", Groups: []string{"a\nb"}},
			"groups number 1 has the character U+000A, which cannot be printed"},
		{"a hundred groups and one", rules.User, v1alpha1.Rule{PathPrefix: "/vault/", Groups: make([]string, 101)},
			"groups has 101 groups; at most 100 are allowed"},
		{"Kubernetes' own groups, literally", rules.User, v1alpha1.Rule{PathPrefix: "/vault/", Groups: []string{"system:masters"}}, ""},
	}
	for _, tc := range tests {
		tc.rule.Username = "a"
		tc.rule.ArnRegex = strings.ReplaceAll(tc.rule.ArnRegex, "%s", string(tc.kind))
		in := v1alpha1.Rules{MapUsers: []v1alpha1.Rule{tc.rule}}
		if tc.kind == rules.Role {
			in = v1alpha1.Rules{MapRoles: []v1alpha1.Rule{tc.rule}}
		}
		got := ""
		if _, err := rules.Compile(in, rules.Options{}); err != nil {
			got = strings.TrimPrefix(err.Error(), tc.kind.DataKey()+" rule 1: ")
		}
		if got != tc.want {
			t.Errorf("%s: got\n  %s\nwant\n  %s", tc.reason, got, tc.want)
		}
	}
}

func TestTooManyRules(t *testing.T) {
	t.Parallel()
	_, err := rules.Compile(v1alpha1.Rules{MapRoles: make([]v1alpha1.Rule, 1001)}, rules.Options{})
	if want := "mapRoles: 1001 rules are more than the 500 that are allowed"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	const head = "^arn:aws:iam::000000000001:user"
	tests := []struct {
		reason string
		users  []v1alpha1.Rule
		want   string
	}{
		{"from pathPrefix", []v1alpha1.Rule{{PathPrefix: "/a/b/"}}, "/a/b/"},
		{"from a pattern's beginning", []v1alpha1.Rule{{ArnRegex: head + "/vault/team-.*$"}}, "/vault/"},
		{"from a whole literal", []v1alpha1.Rule{{ArnRegex: head + "/vault/a/b$"}}, "/vault/a/"},
		{"from what all alternatives share", []v1alpha1.Rule{{ArnRegex: head + "/(v/a|v/b)/.*$"}}, "/v/"},
		{"a pattern that ends before its path", []v1alpha1.Rule{{ArnRegex: "^arn:aws:iam::000000000001:u.*/vault/a$"}}, "/"},
		{"a pattern for several accounts says its path too late", []v1alpha1.Rule{{ArnRegex: "^arn:aws:iam::(000000000001|000000000002):user/vault/.*$"}}, "/"},
		{"any case", []v1alpha1.Rule{{ArnRegex: "(?i)" + head + "/vault/.*$"}}, "/"},
		{"the longer of both", []v1alpha1.Rule{{PathPrefix: "/vault/", ArnRegex: head + "/vault/x/.*$"}}, "/vault/x/"},
		{"the longer of both", []v1alpha1.Rule{{PathPrefix: "/vault/x/", ArnRegex: head + "/vault/.*$"}}, "/vault/x/"},
		{"of several rules, what they share", []v1alpha1.Rule{{PathPrefix: "/vault/a/"}, {PathPrefix: "/vault/b/"}}, "/vault/"},
		{"whole elements only", []v1alpha1.Rule{{PathPrefix: "/vault-1/"}, {PathPrefix: "/vault-2/"}}, "/"},
		{"nothing shared", []v1alpha1.Rule{{PathPrefix: "/a/"}, {ArnRegex: head + "/.*x$"}}, "/"},
		{"a double slash alone is not a path", []v1alpha1.Rule{{ArnRegex: head + "//.*$"}}, "/"},
		{"half a double slash is not a path", []v1alpha1.Rule{{ArnRegex: head + "//a/.*$"}, {ArnRegex: head + "//b/.*$"}}, "/"},
		{"a path that AWS would not take", []v1alpha1.Rule{{ArnRegex: head + "/" + strings.Repeat("p", 520) + "/.*$"}}, "/"},
	}
	for _, tc := range tests {
		for i := range tc.users {
			tc.users[i].Username = "a"
		}
		set, err := rules.Compile(v1alpha1.Rules{MapUsers: tc.users}, rules.Options{})
		if err != nil {
			t.Errorf("%s: %v", tc.reason, err)
			continue
		}
		want := rules.Needs{Users: true, UserPathPrefix: tc.want, RolePathPrefix: "/"}
		if diff := cmp.Diff(want, set.Needs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
		}
	}
	for rule, path := range map[string]string{
		"{permissionSet: A, username: a}":                                                         "/aws-reserved/sso.amazonaws.com/",
		"{permissionSet: A, username: a, pathPrefix: /aws-reserved/}":                             "/aws-reserved/sso.amazonaws.com/",
		"{permissionSet: A, username: a, pathPrefix: /aws-reserved/sso.amazonaws.com/eu-west-1/}": "/aws-reserved/sso.amazonaws.com/eu-west-1/",
	} {
		want := rules.Needs{Roles: true, UserPathPrefix: "/", RolePathPrefix: path}
		if diff := cmp.Diff(want, mustParse(t, map[string]string{"mapRoles": "- " + rule}).Needs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rule, diff)
		}
	}
}
