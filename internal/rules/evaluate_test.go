package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	aws1 = "arn:aws:iam::000000000001:"
	sso  = aws1 + "role/aws-reserved/sso.amazonaws.com/"
)

// access is a grant in one line.
func access(g rules.Grant) string {
	return fmt.Sprintf("%s %s as %s in %s by %d", g.Kind, g.EntryARN, g.Username, strings.Join(g.Groups, ","), g.Rule)
}

func accesses(e rules.Evaluation) []string {
	var out []string
	for _, g := range e.Grants {
		out = append(out, access(g))
	}
	return out
}

func TestRulesAddUp(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": `
- {pathPrefix: /vault/, arnRegex: '^arn:aws:iam::000000000001:user/vault/a.*$', username: first, groups: [x, w]}
- {pathPrefix: /vault/, username: second, groups: [w, z, z]}
- {pathPrefix: /vault/, username: third, groups: [x]}
- {arnRegex: '^arn:aws:iam::000000000001:user/other/.*$', username: other}
`})
	got := set.Evaluate([]rules.Principal{
		user(aws1 + "user/vault/b"), user(aws1 + "user/vault/a"), user(aws1 + "user/vault"), user(aws1 + "user/other/c"),
	}, nil)
	want := []string{
		"user arn:aws:iam::000000000001:user/vault/a as first in x,w,z by 0",
		"user arn:aws:iam::000000000001:user/vault/b as second in w,z,x by 1",
		"user arn:aws:iam::000000000001:user/other/c as other in  by 3",
	}
	if diff := cmp.Diff(want, accesses(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	counts := []rules.RuleCount{
		{Kind: rules.User, Rule: 0, Matched: 1}, {Kind: rules.User, Rule: 1, Matched: 2},
		{Kind: rules.User, Rule: 2, Matched: 2}, {Kind: rules.User, Rule: 3, Matched: 1},
	}
	if diff := cmp.Diff(counts, got.Rules); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	appended := got.Grants[0].Selectors
	appended = append(appended, "more")
	if appended[3] != "more" || got.Grants[1].Groups[0] == "more" {
		t.Errorf("what is appended to one grant turns up in another: %v", got.Grants[1].Groups)
	}
	// Rules 1 and 2 select the same and give something else.
	if n := len(got.Grants[0].Selectors); n != 3 {
		t.Errorf("%d rules granted to the first, want 3", n)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapRoles": `
- {permissionSet: Admin, username: 'sso:{{SessionName}}', groups: [admins]}
- {arnRegex: '^arn:aws:iam::000000000001:role/a/b/(.*)$', username: 'role:${1}'}
- {arnRegex: '^arn:aws:iam::000000000001:role/X$', username: '${roleName}'}
`})
	hex := "_0123456789abcdef"
	got := set.Evaluate([]rules.Principal{
		role(sso + "AWSReservedSSO_Admin" + hex),
		role(sso + "eu-west-1/AWSReservedSSO_Admin_fedcba9876543210"),
		role(sso + "AWSReservedSSO_Admin_ReadOnly" + hex),
		role(sso + "AWSReservedSSO_Admin_0123456789ABCDEF"),
		role(sso + "AWSReservedSSO_Admin_0123456789abcde"),
		role(sso + "AWSReservedSSO_Admin_0123456789abcdeg"),
		role(sso + "EU-WEST-1/AWSReservedSSO_Admin" + hex),
		role(sso + "AWSReservedSSO_Admin" + hex + "0"),
		role(sso + "x/y/AWSReservedSSO_Admin" + hex),
		role(aws1 + "role/AWSReservedSSO_Admin" + hex),
		role(aws1 + "role/team/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin" + hex),
		user(strings.Replace(sso, ":role/", ":user/", 1) + "AWSReservedSSO_Admin" + hex),
		role(aws1 + "role/a/b/Deployer"),
		role(aws1 + "role/X"),
	}, nil)
	want := []string{
		"role arn:aws:iam::000000000001:role/AWSReservedSSO_Admin_0123456789abcdef as sso:{{SessionName}} in admins by 0",
		"role arn:aws:iam::000000000001:role/AWSReservedSSO_Admin_fedcba9876543210 as sso:{{SessionName}} in admins by 0",
		"role arn:aws:iam::000000000001:role/Deployer as role:Deployer in  by 1",
		"role arn:aws:iam::000000000001:role/X as X in  by 2",
	}
	if diff := cmp.Diff(want, accesses(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFrozenRules(t *testing.T) {
	t.Parallel()
	text := `
- {pathPrefix: /vault/, username: 'v:${userName}', groups: [v], maxMatches: 2}
- {pathPrefix: /, arnRegex: '^arn:aws:iam::000000000001:user/(vault|ci)/.*$', username: other, groups: [o]}
`
	set := mustParse(t, map[string]string{"mapUsers": text})
	digest := rules.RuleDigest(rules.User, v1alpha1.Rule{PathPrefix: "/vault/", Groups: []string{"v"}})
	before := func(k rules.Kind, folded, rule string) (rules.Before, bool) {
		return rules.Before{}, k == rules.User && folded == aws1+"user/vault/b" && rule == digest
	}
	principals := []rules.Principal{user(aws1 + "user/vault/a"), user(aws1 + "user/vault/B")}
	within := set.Evaluate(principals, before)
	if within.Rules[0].Frozen || len(within.Grants) != 2 || within.Grants[1].Rule != 0 {
		t.Errorf("as many as the limit: %+v", within)
	}
	got := set.Evaluate(append(principals, user(aws1+"user/vault/c")), before)
	want := []string{
		"user arn:aws:iam::000000000001:user/vault/B as v:B in v,o by 0",
		"user arn:aws:iam::000000000001:user/vault/a as other in o by 1",
		"user arn:aws:iam::000000000001:user/vault/c as other in o by 1",
	}
	if diff := cmp.Diff(want, accesses(got)); diff != "" {
		t.Errorf("more than the limit (-want +got):\n%s", diff)
	}
	counts := []rules.RuleCount{{Kind: rules.User, Matched: 3, Frozen: true}, {Kind: rules.User, Rule: 1, Matched: 3}}
	if diff := cmp.Diff(counts, got.Rules); diff != "" {
		t.Errorf("more than the limit (-want +got):\n%s", diff)
	}
	if nobody := set.Evaluate(append(principals, user(aws1+"user/vault/c")), nil); len(nobody.Grants) != 3 || nobody.Grants[0].Rule != 1 {
		t.Errorf("more than the limit and nothing recorded: %+v", nobody.Grants)
	}
}

func TestImitation(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": `
- {arnRegex: '^arn:aws:iam::.*:user/tmp-foo-.*$', username: loose}
- {arnRegex: '^arn:aws:iam::[0-9]+:user/.*tmp-bar-.*$', username: numbers}
- {arnRegex: '^arn:aws:iam::000000000001:user/x:y/.*$', username: fixed}
`})
	got := set.Evaluate([]rules.Principal{
		user(aws1 + "user/tmp-foo-1"),
		user(aws1 + "user/x:user/tmp-foo-2"),
		user(aws1 + "user/tmp-foo-3:/evil"),
		user(aws1 + "user/x:y/tmp-bar-1"),
		user(aws1 + "user/x:y/user:user/tmp-foo-4"),
	}, nil)
	want := []string{
		"user arn:aws:iam::000000000001:user/tmp-foo-1 as loose in  by 0",
		"user arn:aws:iam::000000000001:user/tmp-foo-3:/evil as loose in  by 0",
		"user arn:aws:iam::000000000001:user/x:y/tmp-bar-1 as numbers in  by 1",
		"user arn:aws:iam::000000000001:user/x:y/user:user/tmp-foo-4 as fixed in  by 2",
	}
	if diff := cmp.Diff(want, accesses(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var left []string
	for _, l := range got.LeftOut {
		left = append(left, fmt.Sprint(l.ARN, " by ", l.Rule))
	}
	wantLeft := []string{aws1 + "user/x:user/tmp-foo-2 by 0", aws1 + "user/x:y/user:user/tmp-foo-4 by 0"}
	if diff := cmp.Diff(wantLeft, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

func TestOneEntryEach(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapRoles": "- {pathPrefix: /a/, username: x}\n- {pathPrefix: /b/, username: u}"})
	got := set.Evaluate([]rules.Principal{
		role(aws1 + "role/b/Twin"), role(aws1 + "role/a/twin"), role(aws1 + "role/a/twin"), role(aws1 + "role/a/not a role"),
		{Kind: rules.Role, ARN: aws1 + "user/a/x"}, role("role/a/nothing"),
	}, nil)
	if diff := cmp.Diff([]string{"role arn:aws:iam::000000000001:role/twin as x in  by 0"}, accesses(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var reasons []string
	for _, l := range got.LeftOut {
		reasons = append(reasons, l.Reason)
	}
	want := []string{
		`not an IAM or STS ARN: "arn:aws:iam::000000000001:role/a/not a role": its name is missing or not one`,
		"its entry would be the same as that of arn:aws:iam::000000000001:role/a/twin",
		`not an IAM or STS ARN: "role/a/nothing": it does not begin with "arn:"`,
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if got.Rules[0].Matched != 3 {
		t.Errorf("%d principals matched, want 3: one that is listed twice is one", got.Rules[0].Matched)
	}
}

func TestPrincipalsOfAnotherKind(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapRoles": "- {arnRegex: '^arn:aws:iam::000000000001:(user|role)/.*$', username: x}"})
	got := set.Evaluate([]rules.Principal{{Kind: rules.Role, ARN: aws1 + "user/a"}, {Kind: "group", ARN: aws1 + "role/a"}}, nil)
	if len(got.Grants) != 0 || len(got.LeftOut) != 1 || got.LeftOut[0].Reason != "not an IAM or STS ARN: it is not a role's" {
		t.Errorf("got %+v", got)
	}
	if set.CouldMatch(rules.Role, aws1+"user/a") || !set.CouldMatch(rules.Role, aws1+"role/a") {
		t.Error("CouldMatch does not look at the kind of the ARN")
	}
}

// TestMadeAgain: while a listing has both the old and the new one, which of
// them counts must not depend on the order.
func TestMadeAgain(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": "- {pathPrefix: /p/, username: '${userID}'}"})
	ps := []rules.Principal{
		{Kind: rules.User, ARN: aws1 + "user/p/a", ID: "AIDA2"}, {Kind: rules.User, ARN: aws1 + "user/p/a", ID: "AIDA1"},
	}
	for range 2 {
		if got := set.Evaluate(ps, nil); len(got.Grants) != 1 || got.Grants[0].Username != "AIDA1" {
			t.Errorf("got %+v", got.Grants)
		}
		ps[0], ps[1] = ps[1], ps[0]
	}
}

func TestCouldMatch(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{
		"mapUsers": "- {pathPrefix: /vault/, username: x, maxMatches: 1}\n- {arnRegex: '^arn:aws:iam::000000000001:user/ci/[a-z]+$', username: u}",
		"mapRoles": "- {permissionSet: Admin, username: z}",
	})
	tests := []struct {
		kind rules.Kind
		arn  string
		want bool
	}{
		{rules.User, "arn:aws-cn:iam::000000000002:user/vault/a", true},
		{rules.User, aws1 + "user/vaultx/a", false},
		{rules.User, aws1 + "user/ci/a", true},
		{rules.User, aws1 + "user/ci/7", false},
		{rules.User, aws1 + "user/ci/a/b", false},
		{rules.Role, aws1 + "role/vault/a", false},
		{rules.Role, sso + "AWSReservedSSO_Admin_0123456789abcdef", true},
		{rules.Role, aws1 + "role/AWSReservedSSO_Admin_0123456789abcdef", false},
		{rules.Role, aws1 + "user/vault/a", false},
		{rules.User, aws1 + "user/vault/a b", false},
		{rules.User, "user/vault/a", false},
		{"group", aws1 + "group/vault/a", false},
	}
	for _, tc := range tests {
		if got := set.CouldMatch(tc.kind, tc.arn); got != tc.want {
			t.Errorf("CouldMatch(%s, %s) = %v", tc.kind, tc.arn, got)
		}
	}
}

// randomRules draws rules whose patterns overlap, some too large for a table.
func randomRules(t *rapid.T) v1alpha1.Rules {
	tail := rapid.SampledFrom([]string{
		".*", "a.*", "[a-c]+", "(a|b)*", "x/.*", "(?i:A)b?.*", "[^/]*", "(?P<who>[a-z]+)-.*", "a{0,3}b*", `\w+\b.*`, ".*c",
	})
	one := func(kind rules.Kind) *rapid.Generator[v1alpha1.Rule] {
		return rapid.Custom(func(t *rapid.T) v1alpha1.Rule {
			r := v1alpha1.Rule{
				Username:   rapid.SampledFrom([]string{"u", "${accountID}${path}", "n:${userID}"}).Draw(t, "username"),
				Groups:     rapid.SliceOfN(rapid.SampledFrom([]string{"g", "h", "i"}), 0, 3).Draw(t, "groups"),
				MaxMatches: rapid.IntRange(0, 6).Draw(t, "max"),
			}
			switch rapid.IntRange(0, 2).Draw(t, "selectors") {
			case 0:
				r.PathPrefix = rapid.SampledFrom([]string{"/x/", "/a/", "/x/a/"}).Draw(t, "path")
			default:
				r.ArnRegex = "^arn:aws:iam::00000000000[12]:" + string(kind) + "/" + tail.Draw(t, "tail") + "$"
			}
			return r
		})
	}
	return v1alpha1.Rules{
		MapUsers: rapid.SliceOfN(one(rules.User), 0, 70).Draw(t, "users"),
		MapRoles: rapid.SliceOfN(one(rules.Role), 0, 3).Draw(t, "roles"),
	}
}

func randomPrincipals(t *rapid.T) []rules.Principal {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rules.Principal {
		kind := rapid.SampledFrom(rules.Kinds()).Draw(t, "kind")
		resource := rapid.StringMatching(`(x/|a/|x:/){0,2}[abcAB]{1,3}`).Draw(t, "resource")
		return rules.Principal{
			Kind: kind, ID: "ID",
			ARN: fmt.Sprintf("arn:aws:iam::%d:%s/%s", rapid.IntRange(1, 2).Draw(t, "account"), kind, resource),
		}
	}), 0, 40).Draw(t, "principals")
}

func TestEvaluationProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set, err := rules.Compile(randomRules(t), rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ps := randomPrincipals(t)
		before := func(_ rules.Kind, folded, _ string) (rules.Before, bool) { return rules.Before{}, len(folded)%2 == 0 }
		got := set.Evaluate(ps, before)

		shuffled := append([]rules.Principal(nil), ps...)
		rand.New(rand.NewPCG(1, uint64(len(ps)))).Shuffle(len(ps), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		if diff := cmp.Diff(got, set.Evaluate(shuffled, before)); diff != "" {
			t.Fatalf("the order of principals counts:\n%s", diff)
		}
		entries := make(map[string]bool)
		for i, g := range got.Grants {
			folded := string(g.Kind) + arn.Fold(g.EntryARN)
			switch {
			case entries[folded]:
				t.Fatalf("two entries for %s", folded)
			case g.Username == "" || len(g.Selectors) == 0:
				t.Fatalf("an empty grant: %+v", g)
			case !set.CouldMatch(g.Kind, g.PrincipalARN):
				t.Fatalf("granted to what could not match: %s", access(g))
			case i > 0 && g.Kind == got.Grants[i-1].Kind && g.Rule < got.Grants[i-1].Rule:
				t.Fatalf("%s after %s", access(g), access(got.Grants[i-1]))
			}
			entries[folded] = true
		}
	})
}
