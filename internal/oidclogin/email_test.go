package oidclogin

import (
	"maps"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

func corp(c *Config, _ *fakeidp.Config) { c.EmailDomains = []string{"corp.com"} }

// Each row is what a provider says of a person's email, and what becomes of it
// where only corp.com may come in.
func TestEmailRules(t *testing.T) {
	for _, row := range []struct {
		name            string
		email, verified any
		want            string // the login's email; empty: refused
		reason          string
	}{
		{"plain", "a@corp.com", true, "a@corp.com", ""},
		{"upper case", "A@CORP.com", true, "A@CORP.com", ""},
		{"verified in words", "a@corp.com", "true", "a@corp.com", ""},
		{"odd but one address", "o'brien+x=y/z.é@corp.com", true, "o'brien+x=y/z.é@corp.com", ""},
		{"none", nil, true, "", "no email"},
		{"empty", "", true, "", "no email"},
		{"not verified", "a@corp.com", false, "", "email_verified"},
		{"not verified in words", "a@corp.com", "false", "", "email_verified"},
		{"verified in another case", "a@corp.com", "True", "", "email_verified"},
		{"verified as a number", "a@corp.com", 1, "", "email_verified"},
		{"verified as a list", "a@corp.com", []any{true}, "", "email_verified"},
		{"nobody says verified", "a@corp.com", nil, "", "no email_verified"},
		{"other domain", "a@evil.com", true, "", "domains"},
		{"two @, ours last", "a@evil.com@corp.com", true, "", "address"},
		{"two @, ours first", "a@corp.com@evil.com", true, "", "address"},
		{"quoted @", `"a@evil.com"@corp.com`, true, "", "address"},
		{"ours as a beginning", "a@corp.com.evil.com", true, "", "domains"},
		{"ours as an end", "a@evilcorp.com", true, "", "domains"},
		{"sub-domain", "a@x.corp.com", true, "", "domains"},
		{"dot at the end", "a@corp.com.", true, "", "address"},
		{"dot at the beginning", "a@.corp.com", true, "", "address"},
		{"no local part", "@corp.com", true, "", "address"},
		{"no domain", "a@", true, "", "address"},
		{"no @", "corp.com", true, "", "address"},
		{"wide @", "a＠corp.com", true, "", "address"},
		{"Kelvin sign", "a@\u212aorp.com", true, "", "address"},
		{"Cyrillic o", "a@cоrp.com", true, "", "address"},
		{"wide dot", "a@corp。com", true, "", "address"},
		{"soft hyphen", "a@co\u00adrp.com", true, "", "address"},
		{"zero width in the local part", "a\u200b@corp.com", true, "", "address"},
		{"right-to-left override", "\u202ea@corp.com", true, "", "address"},
		{"line break at the end", "a@corp.com\n", true, "", "address"},
		{"header injection", "a\r\nX-User: admin@corp.com", true, "", "address"},
		{"NUL", "a@corp.com\x00.evil.com", true, "", "address"},
		{"space", "a b@corp.com", true, "", "address"},
		{"list", "a@evil.com,b@corp.com", true, "", "address"},
		{"list without a second @", "root,b@corp.com", true, "", "address"},
		{"display name", "Ada <a@corp.com>", true, "", "address"},
		{"comment", "a(b)@corp.com", true, "", "address"},
		{"percent hack", "a%evil.com@corp.com", true, "a%evil.com@corp.com", ""},
		{"address literal", "a@[127.0.0.1]", true, "", "address"},
		{"slash", "a@corp.com/evil", true, "", "address"},
		{"too long", strings.Repeat("a", 250) + "@corp.com", true, "", "address"},
		{"several", []string{"a@corp.com"}, true, "", "no string"},
		{"object", map[string]any{"value": "a@corp.com"}, true, "", "no string"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t, corp)
			b.idp.Behave(func(x *fakeidp.Behavior) {
				x.Claims = map[string]any{"email": row.email, "email_verified": row.verified}
				x.Discovery = map[string]any{"userinfo_endpoint": nil}
			})
			if err := b.provider.discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			login, err := b.login(t, "eve")
			if row.want == "" {
				wantRefused(t, err, row.reason)
				return
			}
			if err != nil || login.Email != row.want {
				t.Errorf("got %q, %v", login.Email, err)
			}
		})
	}
}

func TestInvalidUTF8IsNoAddress(t *testing.T) {
	for _, email := range []string{"a\xff@corp.com", "a@corp.com\xff", "\xc0\x80@corp.com"} {
		if inDomains(email, []string{"corp.com"}) {
			t.Errorf("%q was taken", email)
		}
	}
}

func TestIgnoredVerificationIgnoresNothingElse(t *testing.T) {
	b := found(t, corp, func(c *Config, _ *fakeidp.Config) { c.IgnoreEmailVerification = true })
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{"email_verified": false} })
	b.mustLogin(t)
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims["email"] = "ada@evil.com" })
	_, err := b.login(t, "ada")
	wantRefused(t, err, "domains")
}

func TestEmailMayBeMissingWhereNobodyNeedsIt(t *testing.T) {
	b := found(t, func(c *Config, _ *fakeidp.Config) { c.RequireEmail = false })
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{"email": nil} })
	if login := b.mustLogin(t); login.Email != "" {
		t.Errorf("email %q", login.Email)
	}
	if calls := b.idp.Calls(); calls[fakeidp.UserInfo] != 0 {
		t.Error("userinfo was asked for nothing")
	}
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{"email_verified": false} })
	_, err := b.login(t, "ada")
	wantRefused(t, err, "email_verified")
}

// The ID token has no email; userinfo is asked.
func TestUserInfo(t *testing.T) {
	for _, row := range []struct {
		name     string
		idToken  map[string]any
		userInfo map[string]any
		reason   string // empty: ada@corp.com gets in
	}{
		{"email", nil, nil, ""},
		{"verified in words", nil, map[string]any{"email_verified": "true"}, ""},
		{"other person", nil, map[string]any{"sub": "u-2"}, "another person"},
		{"nobody", nil, map[string]any{"sub": nil}, "another person"},
		{"no email there either", nil, map[string]any{"email": nil}, "no email"},
		{"not verified", nil, map[string]any{"email_verified": false}, "email_verified"},
		{"verified only by the ID token", map[string]any{"email_verified": true}, map[string]any{"email_verified": nil}, "no email_verified"},
		{"other domain", nil, map[string]any{"email": "ada@evil.com"}, "domains"},
		{"subject in another case of the name", nil, map[string]any{"sub": nil, "SUB": "u-1"}, "another person"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t, corp)
			claims := map[string]any{"email": nil, "email_verified": nil}
			maps.Copy(claims, row.idToken)
			b.idp.SetUser(fakeidp.User{
				Username: "ada", Subject: "u-1", Email: "ada@corp.com", Claims: claims, UserInfo: row.userInfo,
			})
			login, err := b.login(t, "ada")
			if row.reason != "" {
				wantRefused(t, err, row.reason)
				return
			}
			if err != nil || login.Email != "ada@corp.com" || login.Claims["email"] != "ada@corp.com" {
				t.Errorf("got %+v, %v", login, err)
			}
		})
	}
}

func TestUserInfoInTrouble(t *testing.T) {
	b := found(t)
	b.idp.Behave(func(x *fakeidp.Behavior) {
		x.Claims = map[string]any{"email": nil}
		x.Fail = map[string]int{fakeidp.UserInfo: 502}
	})
	_, err := b.login(t, "ada")
	wantUnavailable(t, err)
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.UserInfo: 403} })
	_, err = b.login(t, "ada")
	wantRefused(t, err, "userinfo")
}

func FuzzEmailDomain(f *testing.F) {
	for _, seed := range []string{
		"a@corp.com", "a@CORP.com", "a@evil.com@corp.com", "a@corp.com.evil.com", `"a@evil.com"@corp.com`,
		"a@\u212aorp.com", "a@corp.com\n", "<a@corp.com>", "@corp.com", "a@", "a\xff@corp.com", "a,b@corp.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, email string) {
		if !inDomains(email, []string{"corp.com"}) {
			return
		}
		local, ok := strings.CutSuffix(email, email[len(email)-len("@corp.com"):])
		switch {
		case !ok || !strings.EqualFold(email[len(local):], "@corp.com") || len(email)-len(local) != 9:
			t.Errorf("%q does not end in @corp.com", email)
		case local == "" || strings.ContainsAny(local, "@,;<>\"()\\ \t\r\n\x00"):
			t.Errorf("%q can be read in two ways", email)
		case inDomains(email, []string{"evil.com"}):
			t.Errorf("%q is of two domains", email)
		}
	})
}
