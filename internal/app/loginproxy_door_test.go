package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// policyFile is a role policy with these rules for the role of good options.
func policyFile(t *testing.T, rules ...string) string {
	t.Helper()
	text := "rules:\n"
	for _, r := range rules {
		text += "- {" + r + ", identities: ['arn:aws:iam::123456789012:role/dev']}\n"
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// door is a row of TestOpenDoors.
type door struct {
	reason   string
	issuer   string
	domain   string
	ignore   bool
	policy   []string
	want     string // part of the one note; "": none
	notAlone bool   // the note is not the only one
}

func doors() []door {
	const google, entra = "https://accounts.google.com", "https://login.microsoftonline.com/"
	const byGroup, everyone = "claim: groups, values: [platform]", "everyone: true"
	return []door{
		{reason: "Google, and nothing says who", issuer: google, want: "anybody in the world who has an account at https://accounts.google.com gets in"},
		{reason: "the same with a slash", issuer: google + "/", want: "anybody in the world"},
		{reason: "Google with a domain", issuer: google, domain: "example.com"},
		{reason: "Google with a policy", issuer: google, policy: []string{byGroup}},
		{reason: "Google with a policy for everyone", issuer: google, policy: []string{byGroup, everyone}, want: "anybody in the world"},
		{reason: "Google with a policy for everyone of a domain", issuer: google, domain: "example.com", policy: []string{everyone}},
		{reason: "Google with a domain of anybody's", issuer: google, domain: "Gmail.com", want: "--email-domain Gmail.com lets in anybody"},
		{reason: "the same with a policy by group", issuer: google, domain: "gmail.com", policy: []string{byGroup}},
		{reason: "any Entra tenant", issuer: entra + "common/v2.0", want: "anybody in the world who has an account at https://login.microsoftonline.com/common/v2.0"},
		{reason: "any Entra organization", issuer: entra + "organizations/v2.0", want: "anybody in the world"},
		{reason: "personal Microsoft accounts", issuer: entra + "consumers/v2.0", want: "anybody in the world"},
		{reason: "the same by number", issuer: entra + "9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", want: "anybody in the world"},
		{reason: "one Entra tenant", issuer: entra + "11111111-2222-3333-4444-555555555555/v2.0", want: "everybody who has an account at"},
		{reason: "one Entra tenant, with a policy", issuer: entra + "11111111-2222-3333-4444-555555555555/v2.0", policy: []string{byGroup}},
		{
			reason: "any Entra tenant, unverified", issuer: entra + "common/v2.0", ignore: true, policy: []string{byGroup},
			want: "anybody can make a tenant of their own there and name any address in it",
		},
		{
			reason: "any Entra tenant, unverified, of a domain", issuer: entra + "organizations/v2.0", ignore: true, domain: "example.com",
			want: "anybody can make a tenant of their own there and name any address in it",
		},
		{
			reason: "any Entra tenant, unverified, and nothing says who", issuer: entra + "common/v2.0", ignore: true,
			want: "anybody can make a tenant of their own there and name any address in it", notAlone: true,
		},
		{
			reason: "one tenant, unverified", issuer: entra + "11111111-2222-3333-4444-555555555555/v2.0", ignore: true, policy: []string{byGroup},
			want: "the cluster knows people by their address",
		},
		{reason: "the code host's own login", issuer: "https://gitlab.com", want: "anybody in the world"},
		{reason: "a tenant of Auth0, where people sign up themselves", issuer: "https://corp.eu.auth0.com/", want: "where people can often sign up themselves"},
		{reason: "a user pool of Cognito", issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCd", want: "where people can often sign up themselves"},
		{reason: "one's own provider, and nothing says who", issuer: "https://login.example.com", want: "everybody who has an account at https://login.example.com gets in"},
		{reason: "one's own provider with a policy for everyone", issuer: "https://login.example.com", policy: []string{everyone}},
		{reason: "one's own provider with a domain", issuer: "https://login.example.com", domain: "example.com"},
		{reason: "a rule that everybody meets", issuer: google, policy: []string{"claim: email_verified, values: ['true']"}, want: "anybody in the world", notAlone: true},
		{
			reason: "a rule by what all logins have", issuer: "https://login.example.com", domain: "example.com",
			policy: []string{"claim: aud, values: [id]"}, want: "the claim aud, which is the same in every login",
		},
		{
			reason: "a rule by what people write themselves", issuer: "https://login.example.com", domain: "example.com",
			policy: []string{"claim: preferred_username, values: [jane]"}, want: "the claim preferred_username, which people can set themselves",
		},
	}
}

// TestOpenDoors: options that let in people whom nobody has named are called so,
// with the way out, and those that do not are not.
func TestOpenDoors(t *testing.T) {
	for _, row := range doors() {
		t.Run(row.reason, func(t *testing.T) {
			o := good()
			o.OIDCIssuer, o.EmailDomains, o.IgnoreEmailVerification = row.issuer, nil, row.ignore
			if row.domain != "" {
				o.EmailDomains = []string{row.domain}
			}
			if row.policy != nil {
				o.RolePolicy = policyFile(t, row.policy...)
			}
			_, f := o.settings()
			if len(f.problems) > 0 {
				t.Errorf("problems %q", f.problems)
			}
			found := 0
			for _, note := range f.notes {
				if row.want != "" && strings.Contains(note, row.want) {
					found++
				}
				if strings.Contains(note, "\n") || strings.HasSuffix(note, ".") || !strings.Contains(note, "; ") && !strings.Contains(note, ": ") {
					t.Errorf("%q is not one sentence with a way out", note)
				}
			}
			if wanted := min(len(row.want), 1); found != wanted || len(f.notes) != wanted && !row.notAlone {
				t.Errorf("notes %q, want %d with %q", f.notes, wanted, row.want)
			}
		})
	}
}

// TestTheFirstExamplesAreClosedDoors, both on the page and in the help: most people
// change the names and keep the rest.
func TestTheFirstExamplesAreClosedDoors(t *testing.T) {
	page, err := os.ReadFile("../../docs/login-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)<<'EOF'\n(.*?)EOF\n.*?\./start(.*?)` + "```").FindSubmatch(page)
	if m == nil {
		t.Fatal("the page begins with another example")
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	for name, row := range map[string]struct{ policy, args string }{
		"the page": {string(m[1]), string(m[2])},
		"the help": {
			"rules: [{claim: groups, values: [a], identities: ['arn:aws:iam::123456789012:role/my-role']}]",
			strings.TrimPrefix(strings.TrimSpace(exampleLoginProxy), "aws-auth-refresher login-proxy"),
		},
	} {
		if err := os.WriteFile(file, []byte(row.policy), 0o600); err != nil {
			t.Fatal(err)
		}
		args := strings.ReplaceAll(row.args, `"$(openssl rand -base64 32)"`, strings.Repeat("s", minSecret))
		args = regexp.MustCompile(`\S*policy\.yaml`).ReplaceAllString(strings.ReplaceAll(args, "\\\n", " "), file)
		var o LoginProxyOptions
		flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
		o.BindFlags(flags)
		if err := flags.Parse(strings.Fields(args)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, f := o.settings()
		if len(f.problems) > 0 || len(o.EmailDomains) == 0 || o.RolePolicy != file {
			t.Errorf("%s: problems %q, domains %q, policy %q", name, f.problems, o.EmailDomains, o.RolePolicy)
		}
		for _, note := range f.notes {
			if !strings.Contains(note, "--public-url") {
				t.Errorf("%s: %s", name, note)
			}
		}
	}
}
