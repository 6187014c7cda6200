package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const boundary = "arn:aws:iam::123456789012:policy/limits/developers"

func TestDetailSelectorsAreDecoded(t *testing.T) {
	t.Parallel()
	got, err := rules.Decode(map[string]string{"mapUsers": `
- iamGroups: [Developers, "1"]
  tags: {team: payments, Empty: "", cost: "1234"}
  permissionsBoundary: ` + boundary + `
  maxAge: 24h
  username: a
`})
	if err != nil {
		t.Fatal(err)
	}
	want := []v1alpha1.Rule{{
		IAMGroups: []string{"Developers", "1"}, Tags: map[string]string{"team": "payments", "Empty": "", "cost": "1234"},
		PermissionsBoundary: boundary, MaxAge: "24h", Username: "a",
	}}
	if diff := cmp.Diff(want, got.MapUsers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDetailSelectorsAreRefused(t *testing.T) {
	t.Parallel()
	const known = "arnRegex, pathPrefix, iamGroups, tags or permissionsBoundary"
	tests := []struct{ reason, rule, want string }{
		{"every new user", "maxAge: 24h", "mapUsers rule 1 (line 1): maxAge alone selects every new user; add " + known},
		{"no unit", "{tags: {a: b}, maxAge: 24}", `maxAge "24" is not a duration; write hours or minutes, as in 24h or 90m`},
		{"days", "{tags: {a: b}, maxAge: 7d}", `maxAge "7d" has no unit that is known; write it in hours, as 168h`},
		{"never", "{tags: {a: b}, maxAge: 0s}", `maxAge "0s" lets nobody in; write at least 1s, or drop the field`},
		{"negative", "{tags: {a: b}, maxAge: -5h}", `maxAge "-5h" lets nobody in; write at least 1s, or drop the field`},
		{"a list of ages", "{tags: {a: b}, maxAge: [24h]}", "maxAge must be a duration, as in 24h, and is a list"},
		{"no age", "{tags: {a: b}, maxAge: }", "maxAge must be a duration, as in 24h, and is empty"},
		{"a group that is not in a list", "iamGroups: Developers", `iamGroups must be a list and is the text "Developers"; write iamGroups: [Developers]`},
		{"no groups", "iamGroups: []", "iamGroups is empty, so it selects nobody; name a group or drop the field"},
		{"a group's path", "iamGroups: [/teams/Developers]",
			`iamGroups number 1, "/teams/Developers", is not the name of an IAM group, which is up to 128 letters, digits and _+=,.@- without a path`},
		{"a wildcard", "iamGroups: [a, dev-*]",
			`iamGroups number 2, "dev-*", is not the name of an IAM group, which is up to 128 letters, digits and _+=,.@- without a path`},
		{"tags as AWS writes them", "tags: [{Key: team, Value: payments}]", "tags must be a mapping and is a list; write tags: {team: payments}"},
		{"no tags", "tags: {}", "tags is empty, so it selects everybody; name a tag or drop the field"},
		{"a number", "tags: {cost: 1234}", `the value of the tag "cost" must be text, but YAML reads 1234 as a number; write "1234"`},
		{"a key that YAML 1.1 reads otherwise", "tags: {on: x}", `a key of tags must be text, but YAML reads on as true or false; write "on"`},
		{"a value left out", "tags: {team: }", `the value of the tag "team" has no value; write one or drop the field`},
		{"twice", "tags: {team: a, team: b}", `tags has the key "team" twice; keep one`},
		{"twice for IAM", "tags: {Team: a, team: b}", `tags has the keys "Team" and "team", which are the same for IAM; keep one`},
		{"a long key", "tags: {" + strings.Repeat("k", 129) + ": v}", `tags has the key "` + strings.Repeat("k", 100) + `…"; keys have 1 to 128 characters`},
		{"a long value", "tags: {k: " + strings.Repeat("v", 257) + "}", `tags has a value for "k" that is longer than 256 characters`},
		{"a policy's name", "permissionsBoundary: developers",
			`permissionsBoundary must be the ARN of a policy, as in arn:aws:iam::123456789012:policy/boundary, and is "developers"`},
		{"a role", "permissionsBoundary: arn:aws:iam::123456789012:role/x",
			`permissionsBoundary must be the ARN of a policy, as in arn:aws:iam::123456789012:policy/boundary, and is "arn:aws:iam::123456789012:role/x"`},
	}
	for _, tc := range tests {
		rule := strings.TrimSuffix(strings.TrimPrefix(tc.rule, "{"), "}")
		if !strings.HasPrefix(tc.rule, "{") {
			rule = tc.rule
		}
		_, err := rules.Parse(map[string]string{"mapUsers": "- {username: a, " + rule + "}\n"}, rules.Options{})
		want := tc.want
		if !strings.HasPrefix(want, "mapUsers") {
			want = "mapUsers rule 1 (line 1): " + want
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: the error is\n%v\nwant\n%s", tc.reason, err, want)
		}
	}
	_, err := rules.Parse(map[string]string{"mapRoles": "- {username: a, iamGroups: [x]}\n"}, rules.Options{})
	if want := "mapRoles rule 1 (line 1): iamGroups selects users, because roles are in no IAM group; move the rule to mapUsers or drop the field"; err == nil || err.Error() != want {
		t.Errorf("roles are in no group: %v", err)
	}
}

func TestBoundariesOfAWS(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{boundary, "arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws-cn:iam::aws:policy/job-function/ViewOnlyAccess"} {
		if reason := refusal(t, v1alpha1.Rule{PermissionsBoundary: arn, Username: "a"}, rules.Options{}); reason != "" {
			t.Errorf("%s: %s", arn, reason)
		}
	}
}

// detailed is a user with these groups, tags as key=value, and the boundary.
func detailed(name, boundary string, groups []string, tags ...string) rules.Principal {
	p := user(aws1 + "user/" + name)
	p.Details = &rules.Details{IAMGroups: groups, PermissionsBoundary: boundary}
	for _, tag := range tags {
		key, value, _ := strings.Cut(tag, "=")
		p.Details.Tags = append(p.Details.Tags, rules.Tag{Key: key, Value: value})
	}
	return p
}

func TestDetailSelectors(t *testing.T) {
	t.Parallel()
	everything := detailed("all", boundary, []string{"ops", "Developers"}, "x=1x", "Team=payments", "empty=")
	tests := []struct {
		reason, rule string
		who          rules.Principal
		want         bool
		but          string
	}{
		{"in one of the groups", "iamGroups: [developers, admins]", everything, true, ""},
		{"in none of them", "iamGroups: [develop, admins]", everything, false, "it is in none of the IAM groups develop, admins"},
		{"in no group", "iamGroups: [developers]", detailed("a", "", nil), false, "it is in none of the IAM groups developers"},
		{"all tags", `tags: {team: payments, empty: ""}`, everything, true, ""},
		{"a value in another case", "tags: {team: Payments}", everything, false, `its tag team is "payments" and not "Payments"`},
		{"one tag of two", "tags: {team: payments, other: z}", everything, false, `it has no tag other, which must be "z"`},
		{"an empty value is not a missing tag", `tags: {team: ""}`, detailed("a", "", nil), false, `it has no tag team, which must be ""`},
		{"the boundary", "permissionsBoundary: " + boundary, everything, true, ""},
		{"another boundary", "permissionsBoundary: " + boundary + "2", everything, false, "its permissions boundary is " + boundary + " and not " + boundary + "2"},
		{"no boundary", "permissionsBoundary: " + boundary, detailed("a", "", nil), false, "it has no permissions boundary, which must be " + boundary},
		{"all of them", "iamGroups: [ops]\n  tags: {x: 1x}\n  permissionsBoundary: " + boundary, everything, true, ""},
		{"all but one", "iamGroups: [ops]\n  tags: {x: z}\n  permissionsBoundary: " + boundary, everything, false, `its tag x is "1x" and not "z"`},
		{"with a path", "iamGroups: [ops]\n  pathPrefix: /vault/", everything, false, "its path is /, not under /vault/"},
		{"nothing is known", "iamGroups: [ops]", user(aws1 + "user/a"), false, "its IAM groups, tags and permissions boundary are not known"},
	}
	for _, tc := range tests {
		set := mustParse(t, map[string]string{"mapUsers": "- username: a\n  " + tc.rule + "\n"})
		got := len(set.Evaluate([]rules.Principal{tc.who}, nil).Grants) == 1
		verdict := set.Explain(tc.who, time.Time{})[0]
		if got != tc.want || verdict.Matches != tc.want || strings.Join(verdict.But, ", ") != tc.but {
			t.Errorf("%s: granted %t, explained %t because %q", tc.reason, got, verdict.Matches, verdict.But)
		}
		if !set.CouldMatch(rules.User, aws1+"user/vault/whoever") {
			t.Errorf("%s: an ARN that the rule could match counts as one that it cannot", tc.reason)
		}
		if n := set.Needs(); !n.UserDetails || n.RoleDetails || !n.Details(rules.User) || n.Details(rules.Role) {
			t.Errorf("%s: needs %+v", tc.reason, n)
		}
	}
}

func TestCouldMatchLooksAtTheRestOfTheRule(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": "- {username: a, iamGroups: [x], pathPrefix: /vault/, maxAge: 1h}\n"})
	if set.CouldMatch(rules.User, aws1+"user/x") || !set.CouldMatch(rules.User, aws1+"user/vault/x") {
		t.Error("the path decides here")
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	made := func(name string, ago time.Duration) rules.Principal {
		p := user(aws1 + "user/" + name)
		p.CreateDate = now.Add(-ago)
		return p
	}
	set := mustParse(t, map[string]string{"mapUsers": `
- {username: short, groups: [x], arnRegex: '^arn:aws:iam::000000000001:user/.*$', maxAge: 1h}
- {username: long, groups: [w], arnRegex: '^arn:aws:iam::000000000001:user/.*$', maxAge: 24h}
- {username: ever, groups: [z], arnRegex: '^arn:aws:iam::000000000001:user/e.*$'}
`})
	all := []rules.Principal{
		made("young", 10*time.Minute), made("mid", 2*time.Hour), made("moment", time.Hour), made("old", 24*time.Hour), made("ever", 99*time.Hour),
	}
	got := set.EvaluateAt(rules.Clock{Now: now}, all, nil)
	want := []string{
		"user arn:aws:iam::000000000001:user/young as short in x,w by 0",
		"user arn:aws:iam::000000000001:user/mid as long in w by 1",
		"user arn:aws:iam::000000000001:user/moment as long in w by 1",
		"user arn:aws:iam::000000000001:user/ever as ever in z by 2",
	}
	if diff := cmp.Diff(want, accesses(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := now.Add(50 * time.Minute); !got.Until.Equal(want) {
		t.Errorf("it is good until %s, want %s", got.Until, want)
	}
	if got.Rules[0].Matched != 1 || got.Rules[0].TooOld != 4 || got.Rules[1].TooOld != 2 {
		t.Errorf("counts are %+v", got.Rules)
	}

	before := set.EvaluateAt(rules.Clock{Now: now.Add(-time.Nanosecond)}, all, nil)
	if before.Rules[0].Matched != 2 {
		t.Error("a moment before it is not yet too old")
	}
	if got := set.Evaluate(all, nil); got.Rules[0].Matched != 5 || !got.Until.IsZero() {
		t.Errorf("without a clock there are no ages: %+v", got.Rules)
	}

	short := rules.RuleDigest(rules.User, v1alpha1.Rule{ArnRegex: "^arn:aws:iam::000000000001:user/.*$", MaxAge: "60m", Groups: []string{"x"}})
	inBefore := func(_ rules.Kind, arn, rule string) (rules.Before, bool) {
		return rules.Before{}, arn == aws1+"user/old" && rule == short
	}
	doubted := set.EvaluateAt(rules.Clock{Now: now, Doubted: true}, all, inBefore)
	if diff := cmp.Diff("user arn:aws:iam::000000000001:user/old as short in x by 0", accesses(doubted)[0]); diff != "" {
		t.Errorf("by a clock in doubt nobody goes, and nobody old comes (-want +got):\n%s", diff)
	}
	if doubted.Rules[0].Matched != 2 {
		t.Errorf("counts are %+v", doubted.Rules)
	}
	if verdicts := set.Explain(all[1], now); verdicts[0].Matches || !verdicts[0].Near || verdicts[0].But[0] != "it is older than 1h, since 2030-01-02T02:04:05Z" || !verdicts[1].Matches {
		t.Errorf("explained as %+v", verdicts)
	}
}

func TestOutgrew(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	set := mustParse(t, map[string]string{"mapUsers": `
- {username: a, arnRegex: '^arn:aws:iam::000000000001:user/.*$', maxAge: 1h}
- {username: b, tags: {team: a}, maxAge: 1h}
- {username: c, pathPrefix: /c/}
`})
	p := detailed("x", "", nil, "team=a")
	p.CreateDate = now.Add(-time.Hour)
	digest := func(r v1alpha1.Rule) string { return rules.SelectorDigest(rules.User, r) }
	first := digest(v1alpha1.Rule{ArnRegex: "^arn:aws:iam::000000000001:user/.*$", MaxAge: "1h"})
	second := digest(v1alpha1.Rule{Tags: map[string]string{"team": "a"}, MaxAge: "1h"})
	longer := digest(v1alpha1.Rule{ArnRegex: "^arn:aws:iam::000000000001:user/.*$", MaxAge: "24h"})
	unlimited := digest(v1alpha1.Rule{PathPrefix: "/c/"})
	tests := []struct {
		reason    string
		selectors []string
		ago       time.Duration
		want      bool
	}{
		{"by the rule that let it in", []string{first}, 0, true},
		{"by both that let it in", []string{first, second}, 0, true},
		{"not yet", []string{first}, time.Second, false},
		{"the age was edited since", []string{longer}, 0, false},
		{"one of them was edited since", []string{first, longer}, 0, false},
		{"one of them has no age", []string{first, unlimited}, 0, false},
		{"nothing is known of who let it in", nil, 0, false},
	}
	for _, tc := range tests {
		since, got := set.Outgrew(p, tc.selectors, now.Add(-tc.ago))
		if got != tc.want || got && !since.Equal(now) {
			t.Errorf("%s: %t, since %s", tc.reason, got, since)
		}
	}
	p.Details.Tags[0].Value = "b"
	if _, ok := set.Outgrew(p, []string{second}, now); ok {
		t.Error("it lost its tag, so it is not its age")
	}
}

func TestSelectorDigestOfDetails(t *testing.T) {
	t.Parallel()
	old := map[string]v1alpha1.Rule{
		"39e63b84aebc0adf": {ArnRegex: "^a$", PathPrefix: "/p/", Username: "u"},
	}
	for want, r := range old {
		if got := rules.SelectorDigest(rules.User, r); got != want {
			t.Errorf("the digest of a rule without the newer selectors is %s and was always %s", got, want)
		}
	}
	base := v1alpha1.Rule{
		IAMGroups: []string{"A", "b"}, Tags: map[string]string{"k": "v", "l": "w"}, PermissionsBoundary: boundary, MaxAge: "24h",
	}
	change := func(f func(*v1alpha1.Rule)) string {
		r := base
		f(&r)
		return rules.SelectorDigest(rules.User, r)
	}
	want := rules.SelectorDigest(rules.User, base)
	for reason, got := range map[string]string{
		"order and case of groups": change(func(r *v1alpha1.Rule) { r.IAMGroups = []string{"B", "a", "a"} }),
		"case of keys":             change(func(r *v1alpha1.Rule) { r.Tags = map[string]string{"K": "v", "l": "w"} }),
		"the same age":             change(func(r *v1alpha1.Rule) { r.MaxAge = "1440m" }),
	} {
		if got != want {
			t.Errorf("%s changes the digest", reason)
		}
	}
	seen := map[string]string{want: "nothing"}
	for reason, got := range map[string]string{
		"a group":                     change(func(r *v1alpha1.Rule) { r.IAMGroups = []string{"a"} }),
		"no groups":                   change(func(r *v1alpha1.Rule) { r.IAMGroups = nil }),
		"a value":                     change(func(r *v1alpha1.Rule) { r.Tags = map[string]string{"k": "V", "l": "w"} }),
		"no tags":                     change(func(r *v1alpha1.Rule) { r.Tags = nil }),
		"no boundary":                 change(func(r *v1alpha1.Rule) { r.PermissionsBoundary = "" }),
		"an age":                      change(func(r *v1alpha1.Rule) { r.MaxAge = "25h" }),
		"no age":                      change(func(r *v1alpha1.Rule) { r.MaxAge = "" }),
		"tags that look like groups":  change(func(r *v1alpha1.Rule) { r.IAMGroups, r.Tags = nil, map[string]string{"A": "b"} }),
		"groups that look like a tag": change(func(r *v1alpha1.Rule) { r.IAMGroups, r.Tags = []string{"A", "b", "k", "v"}, nil }),
	} {
		if other, taken := seen[got]; taken {
			t.Errorf("%s gives the same digest as %s", reason, other)
		}
		seen[got] = reason
	}
}

func BenchmarkDetails(b *testing.B) {
	set, err := rules.Parse(map[string]string{"mapUsers": `
- {username: a, iamGroups: [developers], maxAge: 24h}
- {username: b, tags: {team: t-7}}
- {username: c, permissionsBoundary: ` + boundary + `}
`}, rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var all []rules.Principal
	for i := range 5000 {
		all = append(all, detailed(fmt.Sprint("user-", i), boundary, []string{"ops", "developers"}, "a=b", fmt.Sprint("team=t-", i%50)))
	}
	b.ReportAllocs()
	for b.Loop() {
		set.EvaluateAt(rules.Clock{Now: time.Unix(0, 0)}, all, nil)
	}
}

// Until is the next change: nothing changes before it, and something does then.
func TestUntilIsTheNextChange(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": `
- {username: a, groups: [x], arnRegex: '^arn:aws:iam::000000000001:user/a.*$', maxAge: 1h}
- {username: b, groups: [w], arnRegex: '^arn:aws:iam::000000000001:user/.*$', maxAge: 2h}
- {username: c, groups: [z], tags: {k: v}, maxAge: 30m}
`, "mapRoles": "- {username: r, pathPrefix: /p/, maxAge: 90m}\n"})
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		var all []rules.Principal
		for i := range rapid.IntRange(0, 6).Draw(t, "n") {
			p := detailed(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")+fmt.Sprint(i), "", nil, "k="+rapid.SampledFrom([]string{"v", "w"}).Draw(t, "tag"))
			if rapid.Bool().Draw(t, "role") {
				p = rules.Principal{Kind: rules.Role, ARN: aws1 + "role/p/r" + fmt.Sprint(i), AccountID: "1", Path: "/p/", Name: "r" + fmt.Sprint(i)}
			}
			p.CreateDate = start.Add(-time.Duration(rapid.IntRange(0, 200).Draw(t, "minutes")) * time.Minute)
			all = append(all, p)
		}
		for now := start; ; {
			got := set.EvaluateAt(rules.Clock{Now: now}, all, nil)
			if got.Until.IsZero() {
				if later := set.EvaluateAt(rules.Clock{Now: now.Add(1000 * time.Hour)}, all, nil); !cmp.Equal(accesses(got), accesses(later)) {
					t.Fatalf("nothing was to change any more:\n%s", cmp.Diff(accesses(got), accesses(later)))
				}
				return
			}
			before := set.EvaluateAt(rules.Clock{Now: got.Until.Add(-1)}, all, nil)
			then := set.EvaluateAt(rules.Clock{Now: got.Until}, all, nil)
			if !got.Until.After(now) || !cmp.Equal(accesses(got), accesses(before)) || cmp.Equal(got.Rules, then.Rules) {
				t.Fatalf("at %s it says that it is good until %s:\n%v\n%v\n%v", now, got.Until, accesses(got), accesses(before), accesses(then))
			}
			now = got.Until
		}
	})
}

func TestAccount(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": `
- {username: a, arnRegex: '^arn:aws:iam::123456789012:user/a-.*$'}
- {username: b, arnRegex: '^arn:aws:iam::1234[0-9]+:user/a-.*$'}
- {username: c, arnRegex: '^arn:aws:iam::(123456789012|210987654321):user/a-.*$'}
- {username: d, pathPrefix: /c/}
`})
	for rule, want := range []string{"123456789012", "", "", ""} {
		if got := set.Account(rules.User, rule); got != want {
			t.Errorf("rule %d is about the account %q, want %q", rule+1, got, want)
		}
	}
}
