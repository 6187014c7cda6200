package loginproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// hold makes AWS wait until the function that it gives is called.
func (b *bed) hold(t *testing.T) func() {
	t.Helper()
	gate := make(chan struct{})
	b.aws.set(func(a *aws) { a.gate = gate })
	return func() { close(gate) }
}

// logsOut has the provider order the end of jane's logins, or of one.
func (b *bed) logsOut(t *testing.T, sid string) {
	t.Helper()
	token, err := b.idp.Sign(b.idp.LogoutClaims("dashboard", "jane", sid), "logout+jwt")
	if err != nil {
		t.Fatal(err)
	}
	if a := b.browser(t).do("POST", "/login/backchannel-logout", "logout_token="+token); a.StatusCode != http.StatusOK {
		t.Fatalf("the provider's order: %d %s", a.StatusCode, a.body)
	}
}

// undecided is a browser with a login that has no role, and its picker.
func (b *bed) undecided(t *testing.T) (*browser, answer) {
	t.Helper()
	br := b.browser(t)
	a := br.page(b.begin(br, "jane", "", "/pods"))
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/login") {
		t.Fatalf("a login that has no role leads to %d %q", a.StatusCode, a.location())
	}
	picker := br.page(a.location())
	return br, picker
}

// TestALoginThatEndsStaysEnded while AWS is asked about it.
func TestALoginThatEndsStaysEnded(t *testing.T) {
	for _, row := range []struct {
		reason string
		end    func(t *testing.T, b *bed, br *browser, sid string)
	}{
		{"the provider ends the person's logins", func(t *testing.T, b *bed, _ *browser, _ string) { t.Helper(); b.logsOut(t, "") }},
		{"the provider ends this one", func(t *testing.T, b *bed, _ *browser, sid string) { t.Helper(); b.logsOut(t, sid) }},
		{"the session ends by its id", func(t *testing.T, b *bed, br *browser, _ string) {
			t.Helper()
			if _, err := b.store.End(t.Context(), session.ID(br.cookies[cookie])); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
			br, picker := b.undecided(t)
			s, ok := b.session(t, br)
			if !ok || s.SID == "" {
				t.Fatalf("no session of a session of the provider: %v", s)
			}
			goOn := b.hold(t)
			chosen := make(chan answer, 1)
			go func() { chosen <- br.submit(picker, "/login/oauth", "role", admin, "return_to", "/pods") }()
			eventually(t, "AWS being asked", func() bool { return b.aws.asked() == 1 })
			row.end(t, b, b.as(t, br), s.SID)
			goOn()
			b.shutOut(t, br, <-chosen, http.StatusUnauthorized)
		})
	}
}

// TestALoginThatEndsOnItsWayStaysEnded: it has no session yet.
func TestALoginThatEndsOnItsWayStaysEnded(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	callback := b.begin(br, "jane", admin, "/pods")
	goOn := b.hold(t)
	finished := make(chan answer, 1)
	go func() { finished <- br.page(callback) }()
	eventually(t, "AWS being asked", func() bool { return b.aws.asked() == 1 })
	b.logsOut(t, "")
	goOn()
	b.shutOut(t, br, <-finished, http.StatusUnauthorized)

	b.clock.Add(time.Second)
	again := b.signedIn(t, "jane", admin)
	if a := again.get("/x"); a.StatusCode != http.StatusOK {
		t.Errorf("a later login: %d", a.StatusCode)
	}
}

// TestOneLoginTakesOneRole, also if two are chosen at once.
func TestOneLoginTakesOneRole(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
	br, picker := b.undecided(t)
	goOn := b.hold(t)
	type result struct {
		answer
		browser *browser
	}
	results := make(chan result, 2)
	for _, role := range []string{admin, viewer} {
		one := b.as(t, br)
		go func() { results <- result{one.submit(picker, "/login/oauth", "role", role), one} }()
	}
	eventually(t, "AWS being asked twice", func() bool { return b.aws.asked() == 2 })
	goOn()
	roles, statuses := map[string]bool{}, map[int]int{}
	for range 2 {
		r := <-results
		statuses[r.StatusCode]++
		if s, ok := b.session(t, r.browser); ok {
			roles[s.Identity] = true
		}
	}
	if len(roles) != 1 || statuses[http.StatusSeeOther] != 1 || statuses[http.StatusForbidden] != 1 {
		t.Errorf("the login has taken %v, the answers were %v", roles, statuses)
	}
}

// TestALoginThatIsTooOldForAnyRole must not lead back to the same picker.
func TestALoginThatIsTooOldForAnyRole(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
	br, picker := b.undecided(t)
	b.aws.set(func(a *aws) { a.err = &webidentity.Denied{Code: "AccessDenied"} })
	if a := br.submit(picker, "/login/oauth", "role", admin); a.StatusCode != http.StatusForbidden {
		t.Errorf("a role that is refused: %d", a.StatusCode)
	}
	if _, ok := b.session(t, br); !ok {
		t.Error("no other role can be chosen after one was refused")
	}
	b.aws.set(func(a *aws) { a.err = webidentity.ErrExpiredLogin })
	a := br.submit(picker, "/login/oauth", "role", admin)
	b.shutOut(t, br, a, http.StatusUnauthorized)
	b.aws.set(func(a *aws) { a.err = nil })
	if a := br.page("/login"); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.location(), b.idp.Issuer()) {
		t.Errorf("the way to sign in leads to %d %q, want the provider", a.StatusCode, a.location())
	}
}

// TestALogoutReachesSessionsWithoutSID: not every provider puts one into its ID
// tokens.
func TestALogoutReachesSessionsWithoutSID(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	callback := b.begin(br, "jane", admin, "/pods")
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{"sid": nil} })
	br.page(callback)
	if s, ok := b.session(t, br); !ok || s.SID != "" {
		t.Fatalf("want a session without a sid, got %v %q", ok, s.SID)
	}
	b.logsOut(t, "the-provider-knows")
	if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", a.StatusCode)
	}
}
