package oidclogin

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

func TestLogin(t *testing.T) {
	for name, change := range map[string]func(*Config, *fakeidp.Config){
		"secret in the header": func(_ *Config, s *fakeidp.Config) { s.Clients[0].AuthMethod = "client_secret_basic" },
		"public client":        func(c *Config, s *fakeidp.Config) { c.ClientSecret, s.Clients[0].Secret = "", "" },
		"RS256":                func(_ *Config, s *fakeidp.Config) { s.Algorithm = "RS256" },
		"email domain":         func(c *Config, _ *fakeidp.Config) { c.EmailDomains = []string{"example.org", "CORP.com"} },
		"issuer at a root":     func(c *Config, _ *fakeidp.Config) { c.Issuer = "http://127.0.0.1:1234" },
	} {
		t.Run(name, func(t *testing.T) {
			b := found(t, change)
			login := b.mustLogin(t)
			got := []any{login.Issuer, login.Subject, login.Email, login.Claims["name"], login.Claims["groups"], login.Expires}
			want := []any{b.idp.Issuer(), "u-1", "ada@corp.com", "Ada", []any{"ops"}, b.idpClock.Now().Add(time.Hour)}
			if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Error(diff)
			}
			if login.SID == "" || login.RefreshToken == "" || login.IDToken == "" {
				t.Errorf("something is missing: %+v", login)
			}
			if calls := b.idp.Calls(); calls[fakeidp.UserInfo] != 0 || calls[fakeidp.Token] != 1 {
				t.Errorf("needless calls: %v", calls)
			}
		})
	}
}

func TestSecretInTheBodyWhereDiscoverySaysSo(t *testing.T) {
	b := newBed(t, func(_ *Config, s *fakeidp.Config) { s.Clients[0].AuthMethod = "client_secret_post" })
	b.idp.Behave(func(x *fakeidp.Behavior) {
		x.Discovery = map[string]any{"token_endpoint_auth_methods_supported": []string{"private_key_jwt", "client_secret_post"}}
	})
	if err := b.provider.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mustLogin(t)
}

func TestAuthCodeURL(t *testing.T) {
	b := found(t)
	attempt, err := NewAttempt(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	address, err := b.provider.AuthCodeURL(attempt, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Del("code_challenge")
	want := url.Values{
		"client_id": {clientID}, "redirect_uri": {redirectURI}, "response_type": {"code"},
		"scope": {"openid email profile offline_access"}, "state": {attempt.State}, "nonce": {attempt.Nonce},
		"code_challenge_method": {"S256"},
	}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(address, attempt.Verifier) {
		t.Error("the verifier is in the address")
	}
	all := []string{attempt.State, attempt.Nonce, attempt.Verifier}
	if slices.Sort(all); len(slices.Compact(all)) != 3 || len(all[0]) != 43 {
		t.Errorf("attempt %v", attempt)
	}
	if _, err := NewAttempt(strings.NewReader("too short")); err == nil {
		t.Error("an attempt was made without randomness")
	}
}

func TestGoogleIsAskedInItsWay(t *testing.T) {
	b := found(t, func(c *Config, _ *fakeidp.Config) { c.Issuer = googleIssuer })
	address, err := b.provider.AuthCodeURL(Attempt{State: "s", Nonce: "n", Verifier: strings.Repeat("v", 43)}, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	parsed, _ := url.Parse(address)
	query := parsed.Query()
	if query.Get("scope") != "openid email profile" || query.Get("access_type") != "offline" || query.Get("prompt") != "consent" {
		t.Errorf("asked %v", query)
	}
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{"iss": "accounts.google.com"} })
	if login := b.mustLogin(t); login.Issuer != googleIssuer {
		t.Errorf("issuer %q", login.Issuer)
	}
}

// Each row is an ID token or a callback that somebody bent.
func TestForgedLogins(t *testing.T) {
	claims := func(name string, value any) func(*fakeidp.Behavior) {
		return func(b *fakeidp.Behavior) { b.Claims = map[string]any{name: value} }
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name   string
		behave func(*fakeidp.Behavior)
		reason string
	}{
		{"no signature", func(b *fakeidp.Behavior) { b.Algorithm = "none" }, "ID token"},
		{"HS256 with the public key as secret", func(b *fakeidp.Behavior) { b.Algorithm = "HS256" }, "ID token"},
		{"key that is not the provider's", func(b *fakeidp.Behavior) { b.ForeignKey = true }, "none of the provider's keys"},
		{"other issuer", claims("iss", "https://evil.example.com"), "issue"},
		{"issuer with a slash more", claims("iss", "https://id.example.com/realm/"), "issue"},
		{"no issuer", claims("iss", nil), "issue"},
		{"Google's short issuer from somebody else", claims("iss", "accounts.google.com"), "issue"},
		{"issuer in another case of the name", func(b *fakeidp.Behavior) {
			b.Claims = map[string]any{"iss": nil, "ISS": "https://id.example.com/realm"}
		}, "no iss"},
		{"other audience", claims("aud", "other"), "audience"},
		{"no audience", claims("aud", nil), "audience"},
		{"several audiences and no azp", claims("aud", []string{"other", clientID}), "azp"},
		{"azp of another client", claims("azp", "other"), "azp"},
		{"azp that is no string", claims("azp", []string{clientID}), "azp"},
		{"expired", claims("exp", noon.Add(-Leeway-time.Second).Unix()), "expired"},
		{"no exp", claims("exp", nil), "expired"},
		{"nbf ahead", claims("nbf", noon.Add(Leeway+time.Second).Unix()), "nbf"},
		{"iat ahead", claims("iat", noon.Add(Leeway+time.Second).Unix()), "iat"},
		{"no iat", claims("iat", nil), "iat"},
		{"other nonce", claims("nonce", "other"), "nonce"},
		{"no nonce", claims("nonce", nil), "nonce"},
		{"nonce that is no string", claims("nonce", 7), "ID token"},
		{"no sub", claims("sub", nil), "sub"},
		{"empty sub", claims("sub", ""), "sub"},
		{"access token of somebody else", claims("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "access token"},
		{"no ID token", func(b *fakeidp.Behavior) { b.NoIDToken = true }, "no ID token"},
		{"access token in place of the ID token", func(b *fakeidp.Behavior) { b.Type = "at+jwt" }, "another kind"},
		{"logout token in place of the ID token", func(b *fakeidp.Behavior) { b.Type = "application/LOGOUT+jwt" }, "another kind"},
		{"no iss parameter", func(b *fakeidp.Behavior) { b.NoIssParameter = true }, "no iss"},
		{"iss parameter of another provider", func(b *fakeidp.Behavior) { b.IssParameter = "https://evil.example.com" }, "another issuer"},
		{"client is not accepted", func(b *fakeidp.Behavior) { b.TokenError = "invalid_client" }, "invalid_client"},
		{"code is not accepted", func(b *fakeidp.Behavior) { b.TokenError = "invalid_grant" }, "invalid_grant"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t)
			b.idp.Behave(row.behave)
			login, err := b.login(t, "ada")
			wantRefused(t, err, row.reason)
			if diff := cmp.Diff(Login{}, login); diff != "" {
				t.Errorf("something of the login came out: %s", diff)
			}
		})
	}
}

func TestToleratedLogins(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, claims := range map[string]map[string]any{
		"two audiences with azp":     {"aud": []string{"other", clientID}, "azp": clientID},
		"clocks two minutes behind":  {"iat": noon.Add(2 * time.Minute).Unix(), "nbf": noon.Add(2 * time.Minute).Unix()},
		"clocks two minutes ahead":   {"exp": noon.Add(-2 * time.Minute).Unix()},
		"no at_hash":                 {"at_hash": nil},
		"fractions of seconds":       {"iat": 1772366400.25},
		"a claim with a strange key": {"https://example.com/x y": []any{1, nil, "z"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := found(t)
			b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = claims })
			b.mustLogin(t)
		})
	}
}

func TestCallbackOfAnotherAttempt(t *testing.T) {
	b := found(t)
	mine, callback := b.begin(t, "ada")
	theirs, _ := b.begin(t, "eve")
	for name, attempt := range map[string]Attempt{
		"wholly":       theirs,
		"the nonce":    {State: mine.State, Nonce: theirs.Nonce, Verifier: mine.Verifier},
		"the verifier": {State: mine.State, Nonce: mine.Nonce, Verifier: theirs.Verifier},
		"nothing":      {State: mine.State},
	} {
		t.Run(name, func(t *testing.T) {
			_, fresh := b.begin(t, "ada")
			_, err := b.provider.Exchange(t.Context(), attempt, fresh)
			wantRefused(t, err, "")
		})
	}
	if _, err := b.provider.Exchange(t.Context(), mine, callback); err != nil {
		t.Fatal(err)
	}
	_, err := b.provider.Exchange(t.Context(), mine, callback)
	wantRefused(t, err, "invalid_grant")
	callback.Code = ""
	_, err = b.provider.Exchange(t.Context(), mine, callback)
	wantRefused(t, err, "no code")
	mine, callback = b.begin(t, "ada")
	callback.RedirectURI += "/elsewhere"
	_, err = b.provider.Exchange(t.Context(), mine, callback)
	wantRefused(t, err, "invalid_grant")
}

func TestIssParameterIsCheckedEvenIfNotPromised(t *testing.T) {
	b := newBed(t)
	b.idp.Behave(func(x *fakeidp.Behavior) {
		x.Discovery = map[string]any{"authorization_response_iss_parameter_supported": nil}
	})
	if err := b.provider.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	attempt, callback := b.begin(t, "ada")
	callback.Issuer = "https://evil.example.com"
	_, err := b.provider.Exchange(t.Context(), attempt, callback)
	wantRefused(t, err, "another issuer")
	attempt, callback = b.begin(t, "ada")
	callback.Issuer = ""
	if _, err := b.provider.Exchange(t.Context(), attempt, callback); err != nil {
		t.Error(err)
	}
}

func TestEndSessionURL(t *testing.T) {
	b := newBed(t)
	if _, ok := b.provider.EndSessionURL("", ""); ok {
		t.Error("there is an address before discovery")
	}
	b.idp.Behave(func(x *fakeidp.Behavior) {
		x.Discovery = map[string]any{"end_session_endpoint": "https://id.example.com/bye?realm=a"}
	})
	if err := b.provider.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := b.provider.EndSessionURL("tok.e.n", "https://dashboard.example.com/login?a=b&c")
	want := "https://id.example.com/bye?client_id=dashboard&id_token_hint=tok.e.n" +
		"&post_logout_redirect_uri=https%3A%2F%2Fdashboard.example.com%2Flogin%3Fa%3Db%26c&realm=a"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Discovery = map[string]any{"end_session_endpoint": nil} })
	if err := b.provider.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, ok := b.provider.EndSessionURL("", ""); ok {
		t.Errorf("an address out of nowhere: %s", got)
	}
}
