package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/mappings"
)

const (
	account  = "arn:aws:iam::123456789012:"
	admin    = account + "role/AWSReservedSSO_Admin_0123456789abcdef"
	goodSSO  = `{permissionSetName: Admin, accountID: "123456789012"}`
	nobody   = "nobody"
	wholeOne = "the account"
)

// reading is an aws-auth and what is asked of it.
type reading struct {
	reason              string
	roles, users, accts string
	// why says why we read it otherwise than the reference does, and ours how;
	// both are empty where we do not.
	why, ours string
	// whyGate and oursGate say the same with the reference's gate SSORoleMatch on, for our
	// authenticator.
	whyGate, oursGate string
}

func role(name, more string) string { return "- rolearn: " + account + "role/" + name + "\n" + more }
func user(name, more string) string { return "- userarn: " + account + "user/" + name + "\n" + more }
func named(name string) string      { return "  username: " + name + "\n" }

const roleAfter = "- rolearn: " + account + "role/after\n  username: after\n"

// readings are items that people write and tools make, each followed by what
// shows that the rest is read.
func readings() []reading {
	return []reading{
		{reason: "a plain entry", roles: role("r", named("r")) + roleAfter},
		{reason: "rolearn beside a permission set", roles: role("r", named("r")+"  sso: "+goodSSO+"\n") + roleAfter},
		{reason: "rolearn beside an empty sso", roles: role("r", named("r")+"  sso: {}\n") + roleAfter},
		{reason: "rolearn beside a text as sso", roles: role("r", named("r")+"  sso: plain text\n") + roleAfter},
		{reason: "rolearn beside an empty text as sso", roles: role("r", named("r")+"  sso: \"\"\n") + roleAfter},
		{reason: "rolearn beside a number as sso", roles: role("r", named("r")+"  sso: 5\n") + roleAfter},
		{reason: "rolearn beside false as sso", roles: role("r", named("r")+"  sso: false\n") + roleAfter},
		{reason: "rolearn beside a list as sso", roles: role("r", named("r")+"  sso: []\n") + roleAfter},
		{reason: "rolearn beside null as sso", roles: role("r", named("r")+"  sso: null\n") + roleAfter},
		{reason: "rolearn beside nothing as sso", roles: role("r", named("r")+"  sso:\n") + roleAfter},
		{reason: "rolearn beside SSO in capitals", roles: role("r", named("r")+"  SSO: {}\n") + roleAfter},
		{reason: "rolearn beside sso and then SSO: null", roles: role("r", named("r")+"  sso: {}\n  SSO: null\n") + roleAfter},
		{reason: "rolearn beside SSO and then sso: null", roles: role("r", named("r")+"  SSO: {}\n  sso: null\n") + roleAfter},
		{reason: "rolearn beside a field that is called nearly so", roles: role("r", named("r")+"  s_so: {}\n") + roleAfter},
		{reason: "rolearn beside sso in JSON", roles: `[{"rolearn": "` + account + `role/r", "username": "r", "sso": {}}, {"rolearn": "` + account + `role/after", "username": "after"}]`},
		{reason: "an entry with sso does not hide an earlier one", roles: role("r", named("first")) + role("r", named("last")+"  sso: {}\n") + roleAfter},
		{reason: "userarn beside sso", users: user("u", named("u")+"  sso: {}\n")},
		{reason: "an empty rolearn beside a permission set", roles: "- rolearn: \"\"\n  sso: " + goodSSO + "\n" + named("set") + roleAfter},
		{reason: "a number as rolearn beside a permission set", roles: "- rolearn: 5\n  sso: " + goodSSO + "\n" + named("set") + roleAfter},
		{reason: "a permission set alone", roles: "- sso: " + goodSSO + "\n" + named("set") + roleAfter},
		{reason: "a permission set with a number as account", roles: "- sso: {permissionSetName: Admin, accountID: 123456789012}\n" + named("set") + roleAfter},
		{reason: "a permission set with a short account", roles: "- sso: {permissionSetName: Admin, accountID: \"12345\"}\n" + named("set") + roleAfter},
		{reason: "a permission set with a wildcard", roles: "- sso: {permissionSetName: \"A*\", accountID: \"123456789012\"}\n" + named("set") + roleAfter},
		{reason: "a permission set in an unknown partition", roles: "- sso: {permissionSetName: Admin, accountID: \"123456789012\", partition: mars}\n" + named("set") + roleAfter},
		{reason: "a permission set in its own partition", roles: "- sso: {permissionSetName: Admin, accountID: \"123456789012\", partition: aws}\n" + named("set") + roleAfter,
			whyGate: "the reference loses a partition that is written and so matches nobody", oursGate: "set"},
		{reason: "a permission set with another field in capitals", roles: "- sso: {PERMISSIONSETNAME: Admin, accountid: \"123456789012\"}\n" + named("set") + roleAfter},
		{reason: "a permission set in another case", roles: "- sso: {permissionSetName: admin, accountID: \"123456789012\"}\n" + named("set") + roleAfter,
			whyGate: "Admin and admin are two permission sets, which the reference takes for one", oursGate: nobody},
		{reason: "no ARN", roles: "- " + strings.TrimLeft(named("r"), " ") + roleAfter, users: "- username: u\n"},
		{reason: "an empty ARN", roles: "- rolearn: \"\"\n" + named("r") + roleAfter},
		{reason: "a list as ARN", roles: "- rolearn: [" + account + "role/r]\n" + named("r") + roleAfter},
		{reason: "items that are no mappings", roles: "- null\n- text\n- 5\n- [a]\n-\n" + roleAfter},
		{reason: "userarn under mapRoles", roles: user("u", named("u")) + roleAfter},
		{reason: "rolearn under mapUsers", users: role("r", named("r")) + user("u", named("u"))},
		{reason: "a user's ARN as rolearn", roles: "- rolearn: " + account + "user/u\n" + named("u")},
		{reason: "a role's ARN as userarn", users: "- userarn: " + account + "role/r\n" + named("r")},
		{reason: "fields in capitals", roles: "- RoleARN: " + account + "role/r\n  UserName: r\n  GROUPS: [a]\n"},
		{reason: "the ARN in two spellings", roles: "- rolearn: " + account + "role/other\n  RoleARN: " + account + "role/r\n" + named("r")},
		{reason: "a username that is no text", roles: role("r", "  username: 5\n") + role("after", named("yes"))},
		{reason: "groups that are a text", roles: role("r", named("r")+"  groups: a\n")},
		{reason: "groups that hold what is no text", roles: role("r", named("r")+"  groups: [a, 1, b, null, [c], yes]\n")},
		{reason: "a userid that is no text", roles: role("r", named("r")+"  userid: 5\n"), users: user("u", named("u")+"  userid: [a]\n")},
		{reason: "a key twice", roles: role("r", named("r")+"  username: s\n") + roleAfter},
		{reason: "a value that is a mapping", roles: "rolearn: " + account + "role/r\n", users: user("u", named("u"))},
		{reason: "a value that is a text", roles: "text", users: user("u", named("u"))},
		{reason: "a value that is no YAML", roles: "- {", users: user("u", named("u"))},
		{reason: "a tab", roles: role("r", "\tusername: r\n"), users: user("u", named("u"))},
		{reason: "values that stand for nothing", roles: "``", users: `""`},
		{reason: "a second document", roles: role("r", named("r")) + "---\n" + roleAfter},
		{reason: "equal ARNs", roles: role("r", named("first")) + role("r", named("last")), users: user("u", named("first")) + user("u", named("last"))},
		{reason: "equal roles in two cases", roles: role("r", named("first")) + role("R", named("last"))},
		{reason: "equal users in two cases", users: user("u", named("first")) + user("U", named("last"))},
		{reason: "a role's path", roles: role("a/b/r", named("r"))},
		{reason: "a user's path", users: user("a/u", named("u")) + user("u", named("plain"))},
		{reason: "a K of another alphabet", users: user("\u212a", named("kelvin"))},
		{reason: "accounts", accts: "- \"123456789012\"\n"},
		{reason: "an account without quotes", accts: "- 123456789012\n"},
		{reason: "an account beside what is none", accts: "- {a: b}\n- [c]\n- 123456789012\n- null\n"},
		{reason: "an account with blanks", accts: "- \" 123456789012\"\n"},
		{reason: "accounts that are a text", accts: "\"123456789012\""},
		{reason: "accounts that are a mapping", accts: "\"123456789012\": x"},
		{reason: "accounts in a second document", accts: "- \"1\"\n---\n- \"123456789012\"\n"},
		{reason: "accounts with a tab", accts: "-\t\"123456789012\"\n"},
		{reason: "accounts in JSON", accts: `["123456789012"]`},
	}
}

// asked are the identities that are looked up in every reading.
func asked() []string {
	return []string{
		account + "role/r", account + "role/R", account + "role/other", account + "role/after", account + "user/u", account + "user/U",
		account + "user/a/u", account + "user/k", account + "user/nobody", admin,
	}
}

// takenFor gives whom the reference takes an identity for: one, or several
// where its map's order decides.
func takenFor(data map[string]string, arn string) []string {
	users, roles, accounts, _ := configmap.ParseMap(data) // it gives what it could read
	byRole, byUser := map[string]config.RoleMapping{}, map[string]config.UserMapping{}
	for _, r := range roles {
		byRole[r.Key()] = r
	}
	for _, u := range users {
		byUser[u.Key()] = u
	}
	var found []string
	for _, r := range byRole {
		if r.Matches(strings.ToLower(arn)) {
			found = append(found, who(r.Username, r.Groups))
		}
	}
	if len(found) == 0 {
		for _, u := range byUser {
			if u.Matches(strings.ToLower(arn)) {
				found = append(found, who(u.Username, u.Groups))
			}
		}
	}
	switch {
	case len(found) > 0:
	case slices.Contains(accounts, "123456789012"):
		found = append(found, wholeOne)
	default:
		found = append(found, nobody)
	}
	slices.Sort(found)
	return found
}

func who(username string, groups []string) string { return fmt.Sprintf("%q %q", username, groups) }

// document gives whom internal/awsauth takes an identity for.
func document(data map[string]string, arn string) string {
	doc := new(awsauth.Reader).Read(data, 0)
	e, ok := doc.Lookup(arn)
	switch {
	case ok:
		return who(e.Username, e.Groups)
	case slices.Contains(doc.MapAccounts(), "123456789012"):
		return wholeOne
	}
	return nobody
}

// authenticator gives whom the backend EKSConfigMap takes an identity for.
func authenticator(data map[string]string, arn string) string {
	b := mappings.NewConfigMap(mappings.ConfigMapConfig{Log: logr.Discard(), Wipe: true})
	b.Set(data)
	e, ok := b.Content().Find(ekstoken.Identity{CanonicalARN: arn})
	switch {
	case ok:
		return who(e.Username, e.Groups)
	case b.Content().Account("123456789012"):
		return wholeOne
	}
	return nobody
}

// TestAWSAuthIsReadAsTheReferenceReadsIt: whom each item of an aws-auth lets
// in, and as whom, for the refresher, lint and explain (as EKS, with the gate
// SSORoleMatch off) and for our authenticator (with the gate on).
func TestAWSAuthIsReadAsTheReferenceReadsIt(t *testing.T) {
	defer func(was bool) { config.SSORoleMatchEnabled = was }(config.SSORoleMatchEnabled)
	for _, row := range readings() {
		data := map[string]string{}
		for key, value := range map[string]string{"mapRoles": row.roles, "mapUsers": row.users, "mapAccounts": row.accts} {
			if value != "" {
				data[key] = value
			}
		}
		for _, side := range []struct {
			name      string
			gate      bool
			read      func(map[string]string, string) string
			why, ours string
		}{
			{"the document", false, document, row.why, row.ours},
			{"the authenticator", true, authenticator, row.whyGate, row.oursGate},
		} {
			config.SSORoleMatchEnabled = side.gate
			differs := false
			for _, arn := range asked() {
				want, got := takenFor(data, arn), side.read(data, arn)
				if slices.Contains(want, got) {
					continue
				}
				differs = true
				if side.why == "" || !strings.Contains(got, side.ours) {
					t.Errorf("%s: %s: %s is %s; the reference says %s", row.reason, side.name, arn, got, strings.Join(want, " or "))
				}
			}
			if side.why != "" && !differs {
				t.Errorf("%s: %s reads it as the reference does; the reason is no longer one: %s", row.reason, side.name, side.why)
			}
		}
	}
}

// TestTheReferenceChoosesByChance holds what lint says of entries whose ARNs
// differ in case only: of users either counts, of roles the last.
func TestTheReferenceChoosesByChance(t *testing.T) {
	for _, row := range []struct {
		reason string
		data   map[string]string
		arn    string
		want   []string
		lint   string
	}{
		{"users", map[string]string{"mapUsers": user("u", named("first")) + user("U", named("last"))}, account + "user/u",
			[]string{who("first", nil), who("last", nil)}, "by chance"},
		{"roles", map[string]string{"mapRoles": role("r", named("first")) + role("R", named("last"))}, account + "role/r",
			[]string{who("last", nil)}, "EKS takes this one alone"},
	} {
		if diff := cmp.Diff(row.want, takenFor(row.data, row.arn)); diff != "" {
			t.Errorf("%s: the reference: -want +got\n%s", row.reason, diff)
		}
		findings := awsauth.Lint(row.data)
		if len(findings) != 1 || !strings.Contains(findings[0].What, row.lint) {
			t.Errorf("%s: lint says %v, want one finding with %q", row.reason, findings, row.lint)
		}
	}
}
