package oidclogin

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

func TestNewChecksTheWords(t *testing.T) {
	good := Config{Issuer: "https://id.example.com/realm", ClientID: "c", EmailDomains: []string{"Corp.com"}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no issuer", func(c *Config) { c.Issuer = "" }, "the issuer is missing"},
		{"no scheme", func(c *Config) { c.Issuer = "id.example.com" }, `the issuer "id.example.com" must begin with https:// and a host`},
		{"other scheme", func(c *Config) { c.Issuer = "file:///etc" }, `the issuer "file:///etc" must begin with https:// and a host`},
		{"not an address", func(c *Config) { c.Issuer = "https://a b" }, `the issuer "https://a b" is not an address`},
		{"query", func(c *Config) { c.Issuer = "https://a?x=y" }, `the issuer "https://a?x=y" must have no user, query or fragment`},
		{"password", func(c *Config) { c.Issuer = "https://u:p@a" }, `the issuer "https://u:xxxxx@a" must have no user, query or fragment`},
		{"discovery document", func(c *Config) { c.Issuer = "https://a/.well-known/openid-configuration" },
			`the issuer "https://a/.well-known/openid-configuration" must stop before /.well-known`},
		{"no client", func(c *Config) { c.ClientID = "" }, "the client ID is missing"},
		{"no openid", func(c *Config) { c.Scopes = []string{"email"} }, "the scopes must contain openid"},
		{"two scopes in one", func(c *Config) { c.Scopes = []string{"openid email"} }, `the scope "openid email" is not one word`},
		{"domains without email", func(c *Config) { c.Scopes = []string{"openid"} }, "email domains need the scope email"},
		{"domain with @", func(c *Config) { c.EmailDomains = []string{"@corp.com"} }, `the email domain "@corp.com" is not a domain: write it like example.com`},
		{"domain pattern", func(c *Config) { c.EmailDomains = []string{"*.corp.com"} }, `the email domain "*.corp.com" is not a domain: write it like example.com`},
		{"empty domain", func(c *Config) { c.EmailDomains = []string{""} }, `the email domain "" is not a domain: write it like example.com`},
		{"domain list", func(c *Config) { c.EmailDomains = []string{"a.com,b.com"} }, `the email domain "a.com,b.com" is not a domain: write it like example.com`},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := good
			row.change(&config)
			_, err := New(config)
			if err == nil {
				t.Fatal("it was taken")
			}
			if diff := cmp.Diff(row.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusedDiscovery(t *testing.T) {
	for _, row := range []struct {
		name     string
		document map[string]any
		want     string
	}{
		{"other issuer", map[string]any{"issuer": "https://id.example.com/realm/"}, `calls itself "https://id.example.com/realm/"`},
		{"no token endpoint", map[string]any{"token_endpoint": nil}, "token_endpoint"},
		{"no keys", map[string]any{"jwks_uri": nil}, "jwks_uri"},
		{"login page of a script", map[string]any{"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"},
		{"logout to a script", map[string]any{"end_session_endpoint": "javascript:alert(1)"}, "end_session_endpoint"},
		{"https gives way to http", map[string]any{"token_endpoint": "http://id.example.com/token"}, "https"},
		{"signs only with secrets", map[string]any{"id_token_signing_alg_values_supported": []string{"HS256", "none"}}, "HS256"},
		{"unknown client authentication", map[string]any{"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}}, "private_key_jwt"},
		{"wrong type", map[string]any{"token_endpoint_auth_methods_supported": 7}, "cannot be read"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBed(t)
			b.idp.Behave(func(x *fakeidp.Behavior) { x.Discovery = row.document })
			err := b.provider.discover(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("want %q, got %v", row.want, err)
			}
			wantUnavailable(t, b.provider.Ready())
		})
	}
}

func TestAllowedAlgorithms(t *testing.T) {
	for _, row := range []struct{ listed, want []string }{
		{nil, []string{"RS256"}},
		{[]string{"none", "HS256", "HS384", "HS512", "rs256", "ES256", "RS256"}, []string{"RS256", "ES256"}},
		{[]string{"EdDSA", "ES256K"}, []string{"EdDSA"}},
		{[]string{"ML-DSA-44"}, nil},
	} {
		got, err := allowed(row.listed)
		if diff := cmp.Diff(row.want, got); diff != "" || (err != nil) != (row.want == nil) {
			t.Errorf("%v: %v %s", row.listed, err, diff)
		}
	}
}

// Discovery lists RS256 only, so that an ES256 token by a published key is no
// token of theirs.
func TestAlgorithmHasToBeListed(t *testing.T) {
	b := newBed(t)
	b.idp.Behave(func(x *fakeidp.Behavior) {
		x.Discovery = map[string]any{"id_token_signing_alg_values_supported": []string{"RS256"}}
	})
	if err := b.provider.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.login(t, "ada")
	wantRefused(t, err, "ID token")
}

func TestNothingWorksBeforeDiscovery(t *testing.T) {
	p := newBed(t).provider
	_, err := p.AuthCodeURL(Attempt{}, redirectURI)
	wantUnavailable(t, err)
	_, err = p.Exchange(t.Context(), Attempt{Nonce: "n", Verifier: "v"}, Callback{Code: "c"})
	wantUnavailable(t, err)
	_, err = p.Refresh(t.Context(), Login{})
	wantUnavailable(t, err)
	_, err = p.LogoutToken(t.Context(), "x")
	wantUnavailable(t, err)
	wantUnavailable(t, p.Ready())
}

// Run in a bubble whose clock jumps from timer to timer.
func TestRunFindsTheProviderWhenItComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
		b := newBed(t, func(c *Config, _ *fakeidp.Config) { c.Log = log })
		b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = true })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.provider.Run(ctx) }()

		<-time.After(time.Minute)
		wantUnavailable(t, b.provider.Ready())
		if tries := b.idp.Calls()[fakeidp.Discovery]; tries < 6 || tries > 9 {
			t.Errorf("%d tries in a minute", tries)
		}
		b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = false })
		<-time.After(2 * lastRetry)
		if err := b.provider.Ready(); err != nil {
			t.Error(err)
		}
		b.mustLogin(t)

		b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = true })
		<-time.After(2 * rediscover)
		if err := b.provider.Ready(); err != nil {
			t.Errorf("what was found was forgotten: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "503") }) {
			t.Errorf("the log does not say why: %q", lines)
		}
	})
}

// What a new discovery makes of the keys that were known.
func TestKeysOutliveADiscovery(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*fakeidp.Server) error
		fails  bool
		same   bool
	}{
		{"all is well", func(*fakeidp.Server) error { return nil }, false, true},
		{"they cannot be had", func(s *fakeidp.Server) error {
			s.Behave(func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.JWKS: 503} })
			return nil
		}, true, true},
		{"they were withdrawn", func(s *fakeidp.Server) error {
			defer s.DropOldKeys()
			return s.RotateKey("ES256")
		}, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t)
			b.mustLogin(t)
			old := b.provider.discovered.Load().keys.known[0].KeyID
			if err := row.change(b.idp); err != nil {
				t.Fatal(err)
			}
			if err := b.provider.discover(t.Context()); (err != nil) != row.fails {
				t.Errorf("discovery: %v", err)
			}
			known := b.provider.discovered.Load().keys.known
			if len(known) != 1 || (known[0].KeyID == old) != row.same {
				t.Errorf("the key was %s, now they are %v", old, known)
			}
			b.mustLogin(t)
		})
	}
}

func TestRunEndsWhileItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.idp.Behave(func(x *fakeidp.Behavior) { x.Delay = time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.provider.Run(ctx) }()
		<-time.After(time.Minute)
		wantUnavailable(t, b.provider.Ready())
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestKeyRotation(t *testing.T) {
	b := found(t)
	b.mustLogin(t)
	b.mustLogin(t)
	if fetched := b.idp.Calls()[fakeidp.JWKS]; fetched != 1 {
		t.Errorf("the keys were fetched %d times for two logins", fetched)
	}
	for _, algorithm := range []string{"ES256", "RS256"} {
		if err := b.idp.RotateKey(algorithm); err != nil {
			t.Fatal(err)
		}
		b.mustLogin(t)
	}
	b.idp.DropOldKeys()
	b.mustLogin(t)
	if fetched := b.idp.Calls()[fakeidp.JWKS]; fetched != 3 {
		t.Errorf("the keys were fetched %d times for two rotations", fetched)
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	for name, status := range map[string]int{"in trouble": 500, "gone": 404, "a page": 200} {
		t.Run(name, func(t *testing.T) {
			b := found(t)
			b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.JWKS: status} })
			_, err := b.login(t, "ada")
			wantUnavailable(t, err)
			b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = nil })
			b.mustLogin(t)
		})
	}
}

// Whoever posts logout tokens with made-up keys must not turn us against the
// provider.
func TestUnknownKeysAreLookedUpOnlySoOften(t *testing.T) {
	b := found(t)
	b.mustLogin(t)
	b.idp.Behave(func(x *fakeidp.Behavior) { x.ForeignKey = true })
	forged, err := b.idp.Sign(b.idp.LogoutClaims(clientID, "ada", ""), "logout+jwt")
	if err != nil {
		t.Fatal(err)
	}
	b.idp.Behave(func(x *fakeidp.Behavior) { x.ForeignKey = false })
	for range 100 {
		if _, err := b.provider.LogoutToken(t.Context(), forged); err == nil {
			t.Fatal("a forged token was obeyed")
		}
	}
	if fetched := b.idp.Calls()[fakeidp.JWKS]; fetched != keyFetches {
		t.Errorf("the keys were fetched %d times", fetched)
	}
	b.mustLogin(t)
	b.clock.Move(3 * keyFetchEvery)
	b.idpClock.Move(3 * keyFetchEvery)
	if err := b.idp.RotateKey("ES256"); err != nil {
		t.Fatal(err)
	}
	b.mustLogin(t)
}
