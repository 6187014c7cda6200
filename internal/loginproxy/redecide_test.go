package loginproxy_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// amend changes a session in the store.
func (b *bed) amend(t testing.TB, br *browser, change func(*session.Session)) {
	t.Helper()
	id := session.ID(br.cookies[cookie])
	s, err := b.store.Peek(t.Context(), id)
	if err == nil {
		change(&s)
		err = b.store.Update(t.Context(), id, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restarted is a process with another configuration on the same sessions.
func (b *bed) restarted(t testing.TB, change func(*loginproxy.Config)) (main, checks *httptest.Server) {
	t.Helper()
	c := b.config
	c.Registerer = nil
	change(&c)
	_, main, checks = b.replica(t, c)
	return main, checks
}

type rulesRow struct {
	reason string
	fits   bool
	aged   bool // too old, and ended for that
	change func(*loginproxy.Config)
}

// rules are everything of the configuration that decides who gets in, changed so
// that jane as admin does not any more, and so that she still does.
func (b *bed) rules(t *testing.T) []rulesRow {
	t.Helper()
	provider := func(change func(*oidclogin.Config)) func(*loginproxy.Config) {
		return func(c *loginproxy.Config) { c.Provider = b.provider(t, change) }
	}
	sources := func(own ...string) func(*loginproxy.Config) {
		return func(c *loginproxy.Config) {
			c.Identities = []loginproxy.Identity{{ARN: admin, Sources: own}, {ARN: viewer, Sources: own}}
		}
	}
	b.idp.SetClient(fakeidp.Client{ID: "other", Secret: "client-secret"})
	return []rulesRow{
		{"nothing is changed", true, false, func(*loginproxy.Config) {}},
		{"the policy grants admin to somebody else", false, false, func(c *loginproxy.Config) {
			c.Policy = policy(t, "rules: [{claim: groups, values: [other], identities: ['"+admin+"']}, {everyone: true, identities: ['"+viewer+"']}]")
		}},
		{"the policy grants platform less", false, false, func(c *loginproxy.Config) {
			c.Policy = policy(t, "rules: [{claim: groups, values: [platform], identities: ['"+viewer+"']}]")
		}},
		{"the policy grants the same in other words", true, false, func(c *loginproxy.Config) {
			c.Policy = policy(t, "rules: [{claim: email, values: [jane@corp.example], identities: ['"+admin+"']}]")
		}},
		{"the policy asks for a claim that the login has not", false, false, func(c *loginproxy.Config) {
			c.Policy = policy(t, "rules: [{claim: department, values: [it], identities: ['"+admin+"']}]")
		}},
		{"there is no policy any more", true, false, func(c *loginproxy.Config) { c.Policy = nil }},
		{"admin is not among the roles", false, false, func(c *loginproxy.Config) { c.Policy, c.Identities = nil, []loginproxy.Identity{{ARN: viewer}} }},
		{"a role more", true, false, func(c *loginproxy.Config) {
			c.Identities = append(c.Identities[:2:2], loginproxy.Identity{ARN: "arn:aws:iam::111122223333:role/third"})
		}},
		{"another email domain", false, false, provider(func(c *oidclogin.Config) { c.EmailDomains = []string{"other.example"} })},
		{"jane's email domain", true, false, provider(func(c *oidclogin.Config) { c.EmailDomains = []string{"CORP.example"} })},
		{"another client", false, false, provider(func(c *oidclogin.Config) { c.ClientID = "other" })},
		{"credentials had in another way, and no renewal", false, false, func(c *loginproxy.Config) {
			sources("web-identity")(c)
			c.MaxAge = 12 * time.Hour
		}},
		{"logins last less than this one has", false, true, func(c *loginproxy.Config) { c.MaxAge = 10 * time.Minute }},
	}
}

// TestOtherRulesReachLivingSessions: what a restarted process would not let in,
// it does not serve on the word of the one before.
func TestOtherRulesReachLivingSessions(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
	b.idp.SetClient(fakeidp.Client{ID: "dashboard", Secret: "client-secret"})
	for _, row := range b.rules(t) {
		t.Run(row.reason, func(t *testing.T) {
			br, picker := b.undecided(t)
			br.submit(picker, "/login/oauth", "role", admin)
			if s, _ := b.session(t, br); s.Identity != admin {
				t.Fatalf("jane has %q", s.Identity)
			}
			if strings.Contains(row.reason, "no renewal") {
				b.amend(t, br, func(s *session.Session) { s.RefreshToken = "" })
			}
			b.clock.Add(11 * time.Minute)
			main, checks := b.restarted(t, row.change)
			b.upstream.took()
			other, asking := b.as(t, br), b.as(t, br)
			other.base, asking.base = main.URL, checks.URL
			want := http.StatusUnauthorized
			if row.fits {
				want = http.StatusOK
			}
			for what, got := range map[string]answer{
				"a request": other.get("/api/v1/secrets"), "/login/check": other.get("/login/check"), "auth_request": asking.get("/nginx"),
			} {
				if got.StatusCode != want {
					t.Errorf("%s gets %d, want %d", what, got.StatusCode, want)
				}
				if !row.fits && got.Header.Get("Authorization") != "" {
					t.Errorf("%s hands out a token", what)
				}
			}
			if got := len(b.upstream.took()); (got == 1) != row.fits {
				t.Errorf("the upstream got %d requests", got)
			}
			if row.fits {
				return
			}
			if !row.aged && !b.logged("no session that fits the configuration: ") {
				t.Error("the log does not say why")
			}
			if a := other.page("/pods"); a.StatusCode != http.StatusFound || a.location() != "/login?return_to=%2Fpods" {
				t.Errorf("a page leads to %d %q, want the login", a.StatusCode, a.location())
			}
			if a := other.page("/login"); strings.Contains(a.body, "Signed in") || a.StatusCode >= 400 {
				t.Errorf("the login page: %d %s", a.StatusCode, titleOf(a))
			}
		})
	}
}

var titleTag = regexp.MustCompile(`<title>(.*)</title>`)

// titleOf is what a page is called.
func titleOf(a answer) string {
	if m := titleTag.FindStringSubmatch(a.body); m != nil {
		return m[1]
	}
	return ""
}

// TestReplicasOfTwoConfigurationsLogNobodyOut: during a rollout requests go to the
// old and the new ones in turns. Each answers by its own configuration; a session
// that one of them does not take is neither ended nor renewed nor changed by it.
func TestReplicasOfTwoConfigurationsLogNobodyOut(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*loginproxy.Config)
		status int // of the new replica
	}{
		{"the new one is stricter", func(c *loginproxy.Config) {
			c.Policy = policy(t, "rules: [{claim: groups, values: [platform], identities: ['"+viewer+"']}]")
		}, 401},
		{"the new one has the role no more", func(c *loginproxy.Config) {
			c.Policy, c.Identities = nil, []loginproxy.Identity{{ARN: viewer}}
		}, 401},
		{"the new one lets in more", func(c *loginproxy.Config) { c.Policy = nil }, 200},
		{"the new one has credentials in another way, and takes the old", func(c *loginproxy.Config) {
			c.Identities = []loginproxy.Identity{{ARN: admin, Sources: []string{"assume-role", ""}}, {ARN: viewer}}
		}, 200},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
			br, picker := b.undecided(t)
			br.submit(picker, "/login/oauth", "role", admin)
			begun, _ := b.session(t, br)
			refreshes, roles := b.idp.Calls()[fakeidp.Token], b.aws.count()
			main, _ := b.restarted(t, row.change)
			other := b.as(t, br)
			other.base = main.URL
			for range 20 {
				b.clock.Add(time.Second)
				if a := br.get("/x"); a.StatusCode != http.StatusOK {
					t.Fatalf("the old one gives %d", a.StatusCode)
				}
				if a := other.get("/x"); a.StatusCode != row.status {
					t.Fatalf("the new one gives %d, want %d", a.StatusCode, row.status)
				}
			}
			if s, ok := b.session(t, br); !ok || s.Version != begun.Version {
				t.Errorf("there is a session: %t, of version %d after %d", ok, s.Version, begun.Version)
			}
			if n, m := b.idp.Calls()[fakeidp.Token]-refreshes, b.aws.count()-roles; n+m != 0 {
				t.Errorf("%d refreshes, %d roles assumed", n, m)
			}
			if row.status == http.StatusOK {
				return
			}
			// a login at the new one counts at both
			b.login(other, "jane", "")
			for name, base := range map[string]string{"old": b.server.URL, "new": main.URL} {
				other.base = base
				if a := other.get("/x"); a.StatusCode != http.StatusOK {
					t.Errorf("after another login the %s one gives %d", name, a.StatusCode)
				}
			}
		})
	}
}

// TestCredentialsFromElsewhereAreNotUsed, neither those of another way nor those
// of a session that does not say: others are had first.
func TestCredentialsFromElsewhereAreNotUsed(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	main, _ := b.restarted(t, func(c *loginproxy.Config) {
		c.Identities = []loginproxy.Identity{{ARN: admin, Sources: []string{"web-identity"}}}
	})
	other := b.as(t, br)
	other.base = main.URL
	if a := other.get("/x"); a.StatusCode != http.StatusOK {
		t.Errorf("status %d", a.StatusCode)
	}
	if s, _ := b.session(t, br); s.Source != "web-identity" || s.Credentials.AccessKeyID != "ASIAADMIN0002" {
		t.Errorf("the session has %s from %q", s.Credentials, s.Source)
	}
	b.aws.set(func(a *aws) { a.err = webidentity.ErrUnavailable })
	b.amend(t, br, func(s *session.Session) { s.Source = "elsewhere" })
	b.upstream.took()
	if a := other.get("/x"); a.StatusCode != http.StatusServiceUnavailable || b.upstream.took() != nil {
		t.Errorf("while no others can be had: status %d", a.StatusCode)
	}
	b.clock.Add(time.Minute)
	b.idp.Behave(func(x *fakeidp.Behavior) { x.TokenError = "invalid_grant" })
	b.amend(t, br, func(s *session.Session) { s.IDToken = "spent" })
	if a := other.get("/x"); a.StatusCode != http.StatusUnauthorized || b.upstream.took() != nil {
		t.Errorf("when none can be had any more: status %d", a.StatusCode)
	}
}

// TestAStreamOfASessionThatFitsNoMoreIsClosed, when a request or the look at
// sessions in use finds that out.
func TestAStreamOfASessionThatFitsNoMoreIsClosed(t *testing.T) {
	for _, row := range []struct {
		reason string
		find   func(*bed, *browser)
	}{
		{"a request", func(_ *bed, br *browser) { br.get("/login/check") }},
		{"nothing but time", func(b *bed, _ *browser) { b.clock.Add(5 * time.Minute) }},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
			br, picker := b.undecided(t)
			br.submit(picker, "/login/oauth", "role", admin)
			s := webSocket(t, b.address(), br.cookies[cookie])
			s.echoes(t)
			// as a replica writes it whose policy lets everybody in
			b.amend(t, br, func(s *session.Session) { s.Claims["groups"] = []any{"sales"} })
			row.find(b, br)
			if took := s.closes(t, time.Now()); took > 2*time.Second {
				t.Errorf("closed after %s", took)
			}
			if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
}
