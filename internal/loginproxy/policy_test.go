package loginproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
)

const goodPolicy = `rules:
- claim: groups
  values: [platform]
  identities: ["` + admin + `", "` + viewer + `"]
- claim: realm_access.roles
  values: [view]
  identities: ["` + viewer + `"]
- claim: level
  values: ["7"]
  identities: ["` + viewer + `"]
`

func policy(t testing.TB, text string) *loginproxy.Policy {
	t.Helper()
	p, err := loginproxy.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParsePolicy(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{goodPolicy, ""},
		{"rules: [{everyone: true, identities: [a]}]", ""},
		{"", "role policy: there is no rule in it, so that nobody could log in"},
		{"rules: []", "role policy: there is no rule in it, so that nobody could log in"},
		{"rule: []", `role policy: line 1: there is no field "rule" beside rules`},
		{"rules: [{claims: groups}]", `role policy: line 1: a rule has no field "claims"; it has claim, values, everyone and identities`},
		{"rules: [{claim: groups, values: [a]}]", "role policy: rule 1 grants no identities"},
		{"rules: [{values: [a], identities: [b]}]", "role policy: rule 1 names no claim; if it is meant for everyone, say everyone: true"},
		{"rules: [{claim: a, identities: [b]}]", "role policy: rule 1 lists no values of the claim"},
		{"rules: [{claim: a, values: [''], identities: [b]}]", "role policy: rule 1 lists an empty value"},
		{"rules: [{everyone: true, claim: a, identities: [b]}]", "role policy: rule 1 is for everyone and also names a claim; make two of it"},
		{"rules: [{everyone: true, identities: [a]}]\n---\nrules: []", "role policy: there is more than one document in it"},
		{"rules: [{everyone: true, everyone: true, identities: [a]}]", `role policy: line 1: mapping key "everyone" already defined at line 1`},
		{"rules: {", "role policy: yaml: line 1: did not find expected node content"},
	} {
		_, err := loginproxy.ParsePolicy([]byte(row.text))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.text, diff)
		}
	}
}

// TestPolicyMistakesInWords: people who write a policy do not know Go.
func TestPolicyMistakesInWords(t *testing.T) {
	for text, want := range map[string]string{
		"rule: []": `line 1: there is no field "rule" beside rules`,
		"rules:\n- claims: groups\n  everyone: true\n  identities: [a]":  `line 2: a rule has no field "claims"; it has claim, values, everyone and identities`,
		"rules:\n- claim: groups\n  values: platform\n  identities: [a]": "line 3: here belongs a list, as [one, two]",
		"rules:\n- claim: [groups]\n  values: [a]\n  identities: [a]":    "line 2: here belongs one text",
		"rules:\n- everyone: please\n  identities: [a]":                  "line 2: here belongs true or false",
		"rules: everyone": "line 1: here belongs a list of rules, each of which begins with a dash",
		"rules: [all]":    "line 1: here belongs a rule, with claim, values and identities",
		"- everyone":      "line 1: here belongs rules: with a list of rules",
	} {
		if _, err := loginproxy.ParsePolicy([]byte(text)); err == nil || err.Error() != "role policy: "+want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	got, err := loginproxy.ParsePolicy([]byte(goodPolicy))
	if err != nil || !got.Names("groups") || got.Names("email") || got.Everyone() {
		t.Errorf("names groups %t, email %t, is for everyone %t, %v", got.Names("groups"), got.Names("email"), got.Everyone(), err)
	}
	if !policy(t, "rules: [{everyone: true, identities: [a]}]").Everyone() {
		t.Error("a rule for everyone is none")
	}
}

// TestAPolicyThatGrantsWhatIsNotThere would be without effect, silently.
func TestAPolicyThatGrantsWhatIsNotThere(t *testing.T) {
	b := newBed(t)
	c := b.config
	c.Registerer = nil
	c.Policy = policy(t, "rules: [{everyone: true, identities: ['"+admin+"', 'arn:aws:iam::111122223333:role/typo']}]")
	if _, err := loginproxy.New(c); err == nil || !strings.Contains(err.Error(), "rule 1 grants arn:aws:iam::111122223333:role/typo, which is not among the identities") {
		t.Errorf("%v", err)
	}
}

func TestThePolicyDecidesWhoMayTakeWhat(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
	b.idp.SetUser(fakeidp.User{Username: "view", Email: "v@corp.example", Claims: map[string]any{"realm_access": map[string]any{"roles": []string{"x", "view"}}}})
	b.idp.SetUser(fakeidp.User{Username: "seven", Email: "7@corp.example", Claims: map[string]any{"level": 7}})
	b.idp.SetUser(fakeidp.User{Username: "tricky", Email: "t@corp.example", Claims: map[string]any{"groups": "platform,dev", "level": []any{map[string]any{"7": "7"}}}})
	for _, row := range []struct{ user, role string }{{"view", viewer}, {"seven", viewer}} {
		br := b.browser(t)
		b.login(br, row.user, "")
		if s, _ := b.session(t, br); s.Identity != row.role {
			t.Errorf("%s has %q", row.user, s.Identity)
		}
		a := br.page("/login")
		if strings.Contains(a.body, "role/admin") {
			t.Errorf("%s is shown a role that is not theirs", row.user)
		}
		if a := br.submit(a, "/login/oauth", "role", admin); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s switches to admin: %d", row.user, a.StatusCode)
		}
	}
	calls := b.aws.count()
	for _, user := range []string{"joe", "tricky"} {
		br := b.browser(t)
		a := br.page(b.begin(br, user, "", "/pods"))
		if a.StatusCode != http.StatusForbidden || strings.Contains(a.body, "role/") || b.aws.count() != calls {
			t.Errorf("%s: %d %s", user, a.StatusCode, a.body)
		}
	}
}

func TestWithAPolicyTheRoleIsChosenAfterTheLogin(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
	br := b.browser(t)
	a := br.page(b.begin(br, "jane", "", "/pods"))
	if a.StatusCode != http.StatusSeeOther || a.location() != "/login?return_to=%2Fpods" {
		t.Fatalf("%d to %q", a.StatusCode, a.location())
	}
	if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a role: %d", a.StatusCode)
	}
	if a := br.get("/login/check"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a check without a role: %d", a.StatusCode)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
	picker := br.page(a.location())
	if !strings.Contains(picker.body, admin) || !strings.Contains(picker.body, "jane@corp.example") {
		t.Errorf("the picker: %s", picker.body)
	}
	a = br.submit(picker, "/login/oauth", "role", viewer, "return_to", "/pods")
	if a.StatusCode != http.StatusSeeOther || a.location() != "/pods" {
		t.Fatalf("%d to %q: %s", a.StatusCode, a.location(), a.body)
	}
	if s, _ := b.session(t, br); s.Identity != viewer || s.Ends.Sub(s.Created) < time.Hour {
		t.Errorf("%q for %s", s.Identity, s.Ends.Sub(s.Created))
	}
	b.token(t, br)
	// another tab's picker, which was made for a login without a role
	if a := br.submit(picker, "/login/oauth", "role", admin); a.StatusCode != http.StatusForbidden {
		t.Errorf("the old picker: %d", a.StatusCode)
	}
}

// TestAPersonWhoLeavesAGroupLosesTheRole at the next renewal.
func TestAPersonWhoLeavesAGroupLosesTheRole(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) {
		c.Policy = policy(t, "rules: [{claim: groups, values: [platform], identities: ['"+admin+"']}]")
	})
	br := b.signedIn(t, "jane", "")
	s := webSocket(t, b.address(), br.cookies[cookie])
	b.idp.SetUser(fakeidp.User{Username: "jane", Email: "jane@corp.example", Groups: []string{"sales"}})
	b.clock.Add(56 * time.Minute)
	if took := s.closes(t, time.Now()); took > 2*time.Second {
		t.Errorf("closed after %s", took)
	}
	if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", a.StatusCode)
	}
}
