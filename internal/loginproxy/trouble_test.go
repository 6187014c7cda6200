package loginproxy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

func TestUpstreamInTrouble(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) {
		c.Transport = &http.Transport{ResponseHeaderTimeout: 200 * time.Millisecond, DisableCompression: true}
	})
	br := b.signedIn(t, "jane", admin)
	if a := br.get("/slow"); a.StatusCode != http.StatusGatewayTimeout || !strings.Contains(a.body, `"reason":"Timeout"`) {
		t.Errorf("slow: %d %s", a.StatusCode, a.body)
	}
	if got := raw(t, b.address(), "GET /dies HTTP/1.1\r\nHost: h\r\nCookie: "+cookie+"="+br.cookies[cookie]+"\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n"); strings.Count(got, "HTTP/1.1") != 1 || !strings.HasSuffix(got, "half") {
		t.Errorf("dying: the connection went on: %s", got)
	}
	if !strings.Contains(b.log.String(), `"msg"="Request" "error"=`) {
		t.Error("an upstream that is too slow is not logged as an error")
	}
	b.upstream.server.CloseClientConnections()
	_ = b.upstream.server.Listener.Close()
	if a := br.get("/api/v1/pods"); a.StatusCode != http.StatusBadGateway || !strings.Contains(a.body, `"kind":"Status"`) {
		t.Errorf("down: %d %s", a.StatusCode, a.body)
	}
	if a := br.page("/x"); a.StatusCode != http.StatusBadGateway || !strings.Contains(a.body, "The application does not answer") {
		t.Errorf("down, to a person: %d %s", a.StatusCode, a.body)
	}
}

// broken is a store that cannot be reached.
type broken struct{ loginproxy.Store }

func (broken) Get(context.Context, session.ID) (session.Session, error) {
	return session.Session{}, session.ErrUnavailable
}

func TestNobodyGetsInWhileSessionsCannotBeRead(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	c := b.config
	c.Registerer, c.Sessions = nil, broken{b.store}
	_, main, checks := b.replica(t, c)
	br.base = main.URL
	for _, target := range []string{"/x", "/login", "/login/check"} {
		a := br.get(target)
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "store of the sessions does not answer") {
			t.Errorf("%s: %d %s", target, a.StatusCode, a.body)
		}
	}
	br.base = checks.URL
	if a := br.get("/nginx"); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Authorization") != "" {
		t.Errorf("a check: %d", a.StatusCode)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}

func TestTroubleAtLogin(t *testing.T) {
	for _, row := range []struct {
		reason string
		make   func(*bed)
		status int
		says   string
		alerts bool
	}{
		{"AWS refuses", func(b *bed) {
			b.aws.set(func(a *aws) { a.err = &webidentity.Denied{Code: "AccessDenied", Message: "arn:aws:iam::1:role/secret"} })
		}, 403, "AWS does not let you take this role", false},
		{"the role allows shorter sessions only", func(b *bed) {
			b.aws.set(func(a *aws) {
				a.err = &webidentity.Denied{Code: "ValidationError", Message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}
			})
		}, 403, "maximum session duration", true},
		{"AWS throttles", func(b *bed) { b.aws.set(func(a *aws) { a.err = webidentity.ErrThrottled }) }, 503, "AWS does not answer", true},
		{"the login is too old for AWS", func(b *bed) { b.aws.set(func(a *aws) { a.err = webidentity.ErrExpiredLogin }) }, 401, "Sign in again", false},
		{"the provider went down", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.Token: 503} }) }, 503, "The login provider does not answer", true},
		{"the provider refuses", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.TokenError = "invalid_grant" }) }, 403, "Your login was not accepted", false},
		{"the provider does not know us", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.TokenError = "invalid_client" }) }, 403, "tell the people who run it", true},
		{"too many claims", func(b *bed) {
			b.idp.SetUser(fakeidp.User{Username: "jane", Email: "jane@corp.example", Claims: map[string]any{"groups": strings.Repeat("x", 20<<10)}})
		}, 403, "Your login says too much", false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t)
			br := b.browser(t)
			row.make(b)
			a := br.page(b.begin(br, "jane", admin, "/pods"))
			if a.StatusCode != row.status || !strings.Contains(a.body, row.says) || strings.Contains(a.body, "role/secret") {
				t.Errorf("%d: %s", a.StatusCode, a.body)
			}
			if _, ok := b.session(t, br); ok {
				t.Error("there is a session")
			}
			if got := strings.Contains(b.log.String(), `"msg"="Request" "error"=`); got != row.alerts {
				t.Errorf("logged as an error: %t, want %t:\n%s", got, row.alerts, b.log)
			}
			if got := b.upstream.took(); got != nil {
				t.Errorf("the upstream got %v", got)
			}
		})
	}
}

// TestWaysBack: a page that refuses a login leads to the next one.
func TestWaysBack(t *testing.T) {
	br := newBed(t).browser(t)
	for _, target := range []string{"/login/oauth/callback?error=access_denied", "/login/oauth/callback?error=access_denied&state=x", "/login/oauth/callback?code=x&state=x"} {
		if a := br.page(target); a.StatusCode < 400 || !strings.Contains(a.body, `href="/login"`) {
			t.Errorf("%s: %d without a link to the sign-in page: %s", target, a.StatusCode, a.body)
		}
	}
}

// TestALoggedOutSessionIsNotUsedAgain, neither by the cookie nor by the back
// button.
func TestALoggedOutSessionIsNotUsedAgain(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	id := br.cookies[cookie]
	form := br.page("/login")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}} {
		a := br.do("POST", "/login/logout", "csrf="+csrfField.FindStringSubmatch(form.body)[1], header...)
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("another site's logout: %d", a.StatusCode)
		}
	}
	if a := br.submit(form, "/login/logout", "csrf", "wrong"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a logout without the form's token: %d", a.StatusCode)
	}
	a := br.submit(form, "/login/logout")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.location(), b.idp.Issuer()) {
		t.Fatalf("%d to %q: %s", a.StatusCode, a.location(), a.body)
	}
	if br.cookies[cookie] != "" {
		t.Error("the cookie stays")
	}
	br.cookies[cookie] = id
	if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old cookie gets %d", a.StatusCode)
	}
	if a := br.submit(form, "/login/logout"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "signed out") {
		t.Errorf("a second logout: %d", a.StatusCode)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}

func TestBackChannelLogoutTokens(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	s, _ := b.session(t, br)
	send := func(token string) int {
		return br.do("POST", "/login/backchannel-logout", "logout_token="+token, "Cookie", "").StatusCode
	}
	sign := func(change func(map[string]any), typ string) string {
		claims := b.idp.LogoutClaims("dashboard", "jane", s.SID)
		change(claims)
		token, err := b.idp.Sign(claims, typ)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, row := range []struct {
		reason string
		token  string
	}{
		{"none", ""}, {"nonsense", "a.b.c"}, {"an ID token", s.IDToken},
		{"for another client", sign(func(c map[string]any) { c["aud"] = "other" }, "logout+jwt")},
		{"of another issuer", sign(func(c map[string]any) { c["iss"] = "http://evil.example" }, "logout+jwt")},
		{"with a nonce", sign(func(c map[string]any) { c["nonce"] = "n" }, "logout+jwt")},
	} {
		if status := send(row.token); status != http.StatusBadRequest {
			t.Errorf("%s: %d", row.reason, status)
		}
	}
	if _, ok := b.session(t, br); !ok {
		t.Fatal("the session was ended")
	}
	good := sign(func(map[string]any) {}, "logout+jwt")
	if status := send(good); status != http.StatusOK {
		t.Errorf("a good one: %d", status)
	}
	if _, ok := b.session(t, br); ok {
		t.Error("the session goes on")
	}
	if status := send(good); status != http.StatusBadRequest {
		t.Errorf("the same again: %d", status)
	}
}

// TestTheLogHoldsNoSecrets goes through everything and looks for what it was
// given.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	callback := b.begin(br, "jane", admin, "/pods")
	_, code, _ := strings.Cut(callback, "?")
	attempts := br.cookies
	br.page(callback)
	br.get("/x?token=query-secret")
	token := b.upstream.took()[0].Header.Get("Authorization")
	s, _ := b.session(t, br)
	id := br.cookies[cookie]
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = true })
	b.clock.Add(56 * time.Minute)
	br.get("/x")
	eventually(t, "a failed renewal", func() bool { return strings.Contains(b.log.String(), "Renewing credentials") })
	br.submit(br.page("/login"), "/login/logout")
	br.page(callback)
	log := b.log.String()
	for what, secret := range map[string]string{
		"the EKS token": strings.TrimPrefix(token, "Bearer "), "the session's id": id, "the secret key": "aws-secret", "the session token": "aws-session",
		"the ID token": s.IDToken, "the refresh token": s.RefreshToken, "the query": "query-secret", "the CSRF token": s.CSRF,
		"the code": code, "the client's secret": "client-secret", "the cookie secret": secret,
	} {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("%s (%q) stands in the log", what, secret)
		}
	}
	for name, value := range attempts {
		if strings.Contains(log, value) {
			t.Errorf("the cookie %s stands in the log", name)
		}
	}
	for _, want := range []string{`"user"="jane@corp.example"`, `"role"="` + admin + `"`, `"accessKeyID"="ASIAADMIN0001"`, `"upstreamStatus"=200`, `"path"="/x"`, `"route"="callback"`} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log:\n%s", want, log)
		}
	}
}
