package rules_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const whoRegex = `^arn:aws:iam::000000000001:user/(?:[!-~]*/)?(?P<who>[A-Za-z]*)(?:-?([0-9]+))?$`

func TestUsernames(t *testing.T) {
	t.Parallel()
	const builtins = "${userName}, ${roleName}, ${accountID}, ${path} and ${userID}"
	tests := []struct{ reason, username, want string }{
		{"a word", "foo", ""},
		{"a group by number", "v:${1}", ""},
		{"a group by name", "v:${who}", ""},
		{"without braces", "v:$who", ""},
		{"the whole ARN", "${0}", ""},
		{"the principal's own", "${userName}@${accountID}${path}${userID}", ""},
		{"a dollar sign", "a$$b", ""},
		{"aws-auth's templates", "key:{{AccessKeyID}}", ""},
		{"aws-auth's templates beside references", "{{AccountID}}:${who}", ""},
		{"another alphabet", "имя", ""},

		{"no such number", "${3}", "username refers to ${3}, which does not exist; arnRegex has 2 groups; the others are " + builtins},
		{"no such name", "${Who}", "username refers to ${Who}, which does not exist; did you mean ${who}?"},
		{"no such builtin", "${username}", "username refers to ${username}, which does not exist; did you mean ${userName}?"},
		{"what Go reads as the name 1dev", "$1dev",
			"username refers to $1dev, which does not exist, because letters and digits that follow belong to the name; write ${1}dev"},
		{"what Go reads as the name who_x", "$who_x",
			"username refers to $who_x, which does not exist, because letters and digits that follow belong to the name; write ${who}_x"},
		{"a number that Go reads as a name", "${01}", "username refers to ${01}, which does not exist; arnRegex has 2 groups; the others are " + builtins},
		{"the other kind's", "${roleName}", "username refers to ${roleName}, which does not exist for users; write ${userName}"},
		{"a lone dollar sign", "5$", `username has a $ that begins no reference, before ""; write $$ for a dollar sign`},
		{"an open brace", "${who", `username has a $ that begins no reference, before "{who"; write $$ for a dollar sign`},
		{"a shell's way", "${who:-x}", `username has a $ that begins no reference, before "{who:-x}"; write $$ for a dollar sign`},
		{"nothing in braces", "${}", `username has a $ that begins no reference, before "{}"; write $$ for a dollar sign`},
		{"whoever names the user could choose the template", "{{${who}}}",
			"username has a reference inside {{ }}; what aws-auth's templates are called must stand in the rule"},
		{"no name", "", "has no username; write whom the cluster is to take the principal for, as in username: foo"},
		{"spaces", "  ", "username is empty"},
		{"two lines", "a\nb", "username has the character U+000A, which cannot be printed"},
		{"text that runs backwards", "a\u202eb", "username has the character U+202E, which cannot be printed"},
		{"bytes", "a\xff", "username is not UTF-8 text"},
		{"a book", strings.Repeat("a", 1025), "username is longer than 1024 bytes"},
	}
	for _, tc := range tests {
		got := refusal(t, v1alpha1.Rule{ArnRegex: whoRegex, Username: tc.username}, rules.Options{})
		if got != tc.want {
			t.Errorf("%s: %.40s gives\n  %s\nwant\n  %s", tc.reason, tc.username, got, tc.want)
		}
	}
	want := "username refers to ${1}, which does not exist without arnRegex; the others are " + builtins
	if got := refusal(t, v1alpha1.Rule{PathPrefix: "/p/", Username: "${1}"}, rules.Options{}); got != want {
		t.Errorf("a group of no pattern gives\n  %s\nwant\n  %s", got, want)
	}
}

func TestExpansion(t *testing.T) {
	t.Parallel()
	const head = "arn:aws:iam::000000000001:user"
	tests := []struct{ reason, username, arn, want, leftOut string }{
		{"a group", "v:${who}", head + "/alice-7", "v:alice", ""},
		{"two groups", "$2/$who", head + "/alice-7", "7/alice", ""},
		{"the principal's own", "${userName} ${accountID} ${path} ${userID}", head + "/p/q/alice-7", "alice-7 000000000001 /p/q/ AIDA7", ""},
		{"no path is /", "${path}", head + "/alice", "/", ""},
		{"the whole ARN", "${0}", head + "/alice", head + "/alice", ""},
		{"a dollar sign", "$$$who$$", head + "/alice", "$alice$", ""},
		{"templates in the rule", "{{AccountID}}:$who", head + "/alice", "{{AccountID}}:alice", ""},
		{"an empty group beside text", "v:$who", head + "/7", "v:", ""},
		{"system: not at the beginning", "v${path}$who", head + "/system:/alice", "v/system:/alice", ""},
		{"a literal needs no captures", "foo", head + "/alice", "foo", ""},

		{"nothing is left", "$who", head + "/7", "", "its user name would be empty"},
		{"a template from a path", "v:${path}", head + "/{{AccountID}}/alice", "",
			`its name or path would bring the braces of "/{{AccountID}}/" into the user name`},
		{"half a template from a path", "{${path}", head + "/{x/alice", "",
			`its name or path would bring the braces of "/{x/" into the user name`},
		{"the end of a template from a path", "v:${path}", head + "/}}/alice", "",
			`its name or path would bring the braces of "/}}/" into the user name`},
		{"an alternative that did not match", "v:${1}${2}", head + "/alice", "v:alice", ""},
		{"too long", strings.Repeat("a", 1000) + "${0}", head + "/alice", "", "its user name would be longer than 1024 bytes"},
		{"far too long", strings.Repeat("${0}", 60), head + "/alice", "", "its user name would be longer than 1024 bytes"},
	}
	for _, tc := range tests {
		data := map[string]string{"mapUsers": "- arnRegex: " + whoRegex + "\n  username: '" + tc.username + "'\n"}
		got := mustParse(t, data).Evaluate([]rules.Principal{user(tc.arn)}, nil)
		name, leftOut := "", ""
		for _, g := range got.Grants {
			name = g.Username
		}
		for _, l := range got.LeftOut {
			leftOut = l.Reason
		}
		if name != tc.want || leftOut != tc.leftOut {
			t.Errorf("%s: %s for %s is %q, left out %q; want %q, %q", tc.reason, tc.username, tc.arn, name, leftOut, tc.want, tc.leftOut)
		}
	}
}

// TestNobodyNamesThemselvesSystem tries every way for a path to put system:
// before a user name that the rule did not begin with it.
func TestNobodyNamesThemselvesSystem(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:iam::000000000001:user/system:masters/tem:x/a"
	for _, tc := range []struct{ pattern, username string }{
		{`^arn:aws:iam::000000000001:user/([a-z:]+)/.*$`, "${1}"},
		{`^arn:aws:iam::000000000001:user/sys(tem:[a-z]+)/.*$`, "sys${1}"},
		{`^arn:aws:iam::000000000001:user/sys(tem:.*)$`, "sys$1"},
		{`^arn:aws:iam::000000000001:user/(system)(:.*)$`, "$1$2"},
		{`^arn:aws:iam::000000000001:user/(system):.*$`, "$1:x"},
	} {
		data := map[string]string{"mapUsers": "- arnRegex: " + tc.pattern + "\n  username: " + tc.username + "\n"}
		got := mustParse(t, data).Evaluate([]rules.Principal{user(arn)}, nil)
		if len(got.Grants) != 0 || len(got.LeftOut) != 1 || !strings.Contains(got.LeftOut[0].Reason, "system: is Kubernetes' own") {
			t.Errorf("%s with %s: %+v", tc.pattern, tc.username, got)
		}
	}
}

func TestUniqueIDsMustBePrintable(t *testing.T) {
	t.Parallel()
	set := mustParse(t, map[string]string{"mapUsers": "- {pathPrefix: /p/, username: '${userID}'}"})
	got := set.Evaluate([]rules.Principal{{Kind: rules.User, ARN: "arn:aws:iam::000000000001:user/p/a", ID: "AIDA\n"}}, nil)
	if len(got.Grants) != 0 || len(got.LeftOut) != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestExpansionIsThatOfPackageRegexp holds every accepted user name against
// regexp.Expand, whose syntax it borrows.
func TestExpansionIsThatOfPackageRegexp(t *testing.T) {
	t.Parallel()
	re := regexp.MustCompile(whoRegex)
	piece := rapid.SampledFrom([]string{
		"a", ":", "-", "_", "$$", "$1", "${1}", "$2", "${2}", "$who", "${who}", "$0", "${0}", "}", "$3", "${wh}", "$", "é", "1",
	})
	rapid.Check(t, func(t *rapid.T) {
		username := strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pieces"), "")
		arn := "arn:aws:iam::000000000001:user/" + rapid.SampledFrom([]string{"alice-7", "alice", "7", "p/Bob"}).Draw(t, "name")
		set, err := rules.Compile(v1alpha1.Rules{MapUsers: []v1alpha1.Rule{{ArnRegex: whoRegex, Username: username}}}, rules.Options{})
		if err != nil {
			return
		}
		want := string(re.ExpandString(nil, username, arn, re.FindStringSubmatchIndex(arn)))
		got := set.Evaluate([]rules.Principal{user(arn)}, nil)
		if strings.TrimSpace(want) == "" {
			if len(got.Grants) != 0 {
				t.Fatalf("%q for %s gives %+v, want nobody", username, arn, got.Grants)
			}
			return
		}
		if len(got.Grants) != 1 || got.Grants[0].Username != want {
			t.Fatalf("%q for %s gives %+v, want %q", username, arn, got, want)
		}
	})
}
