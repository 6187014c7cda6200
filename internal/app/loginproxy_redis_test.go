package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/redisbed"
)

// TestLoginProxyReplicas runs two login proxies that share a real Redis.
func TestLoginProxyReplicas(t *testing.T) {
	redis := redisbed.Start(t)
	bed := newLoginBed(t)
	replica := func(o *app.LoginProxyOptions) {
		o.SessionStore = redis.URL()
		o.Scopes = append(o.Scopes, "offline_access")
	}
	one, other := bed.start(t, replica), bed.start(t, replica)
	visitor := bed.browser(t)

	if p := visitor.get(t, other.url+"/api/v1/pods"); p.StatusCode != http.StatusSeeOther || bed.count() > 0 {
		t.Fatalf("without a login: %s, and %d requests upstream", p.Status, bed.count())
	}
	p := visitor.logIn(t, one.url+"/pods?all=true", jane)
	if p.StatusCode == http.StatusServiceUnavailable {
		// On a busy machine Redis may take longer than the second that it has;
		// people are asked to try again then, and do.
		p = visitor.logIn(t, one.url+"/pods?all=true", jane)
	}
	if p.StatusCode != http.StatusOK || p.Request.URL.RequestURI() != "/pods?all=true" {
		t.Fatalf("the login leads to %s %s\n%s", p.Status, p.Request.URL, p.text)
	}
	if p := visitor.get(t, other.url+"/api/v1//pods%2f"); p.StatusCode != http.StatusOK {
		t.Fatalf("logged in on one replica, the other says %s\n%s", p.Status, p.text)
	}
	bed.checkArrived(t)
	bed.changeSecret(t, visitor, replica)
	bed.changeRules(t, visitor, one, replica)
	bed.refreshAtOnce(t, visitor, one, other)
	bed.logOutElsewhere(t, visitor, one, other)
	bed.withoutRedis(t, redis, one)
}

// checkArrived looks at what the upstream server received last.
func (b *loginBed) checkArrived(t *testing.T) {
	t.Helper()
	r := b.last(t)
	if r.RequestURI != "/api/v1//pods%2f" || len(r.Cookies()) != 0 {
		t.Errorf("the upstream server was asked for %s with the cookies %v", r.RequestURI, r.Cookies())
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	verifier, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{
		ClusterID: loginCluster, Partition: "aws", Region: "us-east-1", Transport: emulatedSTS(t, b.emulator),
	})
	if err != nil || !ok {
		t.Fatalf("no bearer token, or %v", err)
	}
	id, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sts::123456789012:assumed-role/dashboard/jane@corp.example"; id.ARN != want {
		t.Errorf("the token is that of %s, want %s", id.ARN, want)
	}
}

// changeSecret: a replica with another cookie secret lets in whom the old one
// let in, as long as it knows the old one.
func (b *loginBed) changeSecret(t *testing.T, visitor *browser, replica func(*app.LoginProxyOptions)) {
	t.Helper()
	for reason, row := range map[string]struct {
		previous []string
		want     int
	}{
		"the old secret is known":     {[]string{strings.Repeat("secret", 10)}, http.StatusOK},
		"the old secret is not known": {nil, http.StatusUnauthorized},
	} {
		r := b.start(t, func(o *app.LoginProxyOptions) {
			replica(o)
			o.CookieSecret, o.PreviousCookieSecrets = strings.Repeat("another", 10), row.previous
		})
		if p := visitor.ask(t, r.url+"/", "application/json"); p.StatusCode != row.want {
			t.Errorf("%s: %s, want %d", reason, p.Status, row.want)
		}
	}
}

// changeRules: a replica whose options let somebody else in holds the session
// against those, while the ones beside it go on.
func (b *loginBed) changeRules(t *testing.T, visitor *browser, beside loginReplica, replica func(*app.LoginProxyOptions)) {
	t.Helper()
	policy := func(groups string) func(*app.LoginProxyOptions) {
		file := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(file, []byte("rules: [{claim: email, values: ["+groups+"], identities: ['"+loginRole+"']}]"), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(o *app.LoginProxyOptions) { o.RolePolicy = file }
	}
	for _, row := range []struct {
		reason string
		change func(*app.LoginProxyOptions)
		want   int
	}{
		{"another email domain", func(o *app.LoginProxyOptions) { o.EmailDomains = []string{"evil.example"} }, http.StatusUnauthorized},
		{"a policy for somebody else", policy("eve@corp.example"), http.StatusUnauthorized},
		{"a policy for jane", policy("jane@corp.example"), http.StatusOK},
		{"another role", func(o *app.LoginProxyOptions) { o.IAMRoles = []string{"arn:aws:iam::123456789012:role/other"} }, http.StatusUnauthorized},
		{"the proxy's own credentials and a policy for jane", func(o *app.LoginProxyOptions) {
			policy("jane@corp.example")(o)
			o.STSMode = "assume-role"
		}, http.StatusOK},
		{"none of it", func(*app.LoginProxyOptions) {}, http.StatusOK},
	} {
		r := b.start(t, func(o *app.LoginProxyOptions) {
			replica(o)
			row.change(o)
		})
		if p := visitor.ask(t, r.url+"/", "application/json"); p.StatusCode != row.want {
			t.Errorf("%s: %s, want %d", row.reason, p.Status, row.want)
		}
		if p := visitor.ask(t, beside.url+"/", "application/json"); p.StatusCode != http.StatusOK {
			t.Errorf("%s: the replica beside says %s", row.reason, p.Status)
		}
	}
}

// refreshAtOnce has both replicas want new credentials at the same moment. The
// provider takes each refresh token once, and ends the login if one comes twice.
func (b *loginBed) refreshAtOnce(t *testing.T, visitor *browser, replicas ...loginReplica) {
	t.Helper()
	for round := range 2 {
		before := b.idp.Calls()[fakeidp.Token]
		b.clock.add(58 * time.Minute)
		var group sync.WaitGroup
		for range 5 {
			for _, r := range replicas {
				group.Go(func() {
					if p := visitor.ask(t, r.url+"/", "application/json"); p.StatusCode != http.StatusOK {
						t.Errorf("round %d: during a renewal %s says %s\n%s", round, r.url, p.Status, p.text)
					}
				})
			}
		}
		group.Wait()
		eventually(t, "the login is refreshed", func() bool { return b.idp.Calls()[fakeidp.Token] > before })
		b.clock.add(4 * time.Minute) // the old credentials have ended
		for _, r := range replicas {
			if p := visitor.get(t, r.url+"/"); p.StatusCode != http.StatusOK {
				t.Errorf("round %d: after a renewal %s says %s\n%s", round, r.url, p.Status, p.text)
			}
		}
		if calls := b.idp.Calls()[fakeidp.Token] - before; calls != 1 {
			t.Errorf("round %d: the refresh token was used %d times", round, calls)
		}
	}
}

// logOutElsewhere: the provider tells one replica, and the other one's WebSocket
// is closed.
func (b *loginBed) logOutElsewhere(t *testing.T, visitor *browser, told, with loginReplica) {
	t.Helper()
	b.idp.SetClient(fakeidp.Client{ID: loginClient, Secret: "client-secret", BackchannelLogoutURI: told.url + "/login/backchannel-logout"})
	conn, err := visitor.socket(t, strings.Replace(with.url, "http", "ws", 1)+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, echo, err := conn.Read(t.Context()); err != nil || string(echo) != "hello" {
		t.Fatalf("the echo is %q: %v", echo, err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _, _ = conn.Read(t.Context())
	}()
	if err := b.idp.Logout(t.Context(), jane); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the WebSocket outlives the login")
	}
	before := b.count()
	for _, r := range []loginReplica{told, with} {
		if p := visitor.ask(t, r.url+"/", "application/json"); p.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the logout %s says %s", r.url, p.Status)
		}
	}
	if b.count() != before {
		t.Error("requests reach the upstream server after the logout")
	}
}

// withoutRedis: nobody gets in, the reason is said, and it goes on by itself.
func (b *loginBed) withoutRedis(t *testing.T, redis *redisbed.Server, r loginReplica) {
	t.Helper()
	b.clock.add(time.Second) // a login of the second of a logout is not taken
	visitor := b.browser(t)
	if p := visitor.logIn(t, r.url+"/", jane); p.StatusCode != http.StatusOK {
		t.Fatalf("logging in again: %s\n%s", p.Status, p.text)
	}
	redis.Stop()
	before := b.count()
	for _, path := range []string{"/", "/api/v1/pods", "/login/check", "/login"} {
		if p := visitor.get(t, r.url+path); p.StatusCode != http.StatusServiceUnavailable || !strings.Contains(p.text, "The store of the sessions does not answer") {
			t.Errorf("without Redis %s says %s\n%s", path, p.Status, p.text)
		}
	}
	if conn, err := visitor.socket(t, strings.Replace(r.url, "http", "ws", 1)+"/socket"); err == nil {
		_ = conn.CloseNow()
		t.Error("without Redis a WebSocket opens")
	}
	stranger := b.browser(t)
	if p := stranger.logIn(t, r.url+"/", jane); p.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without Redis somebody logs in: %s", p.Status)
	}
	if b.count() != before {
		t.Error("without Redis requests reach the upstream server")
	}
	const up = "aws_auth_refresher_login_proxy_session_store_up "
	if metrics := readPage(t, "http://"+r.admin+"/metrics"); !strings.Contains(metrics, up+"0\n") {
		t.Error("without Redis the metrics say that it is up")
	}
	if ready := readPage(t, "http://"+r.admin+"/readyz"); ready != "ok" {
		t.Errorf("without Redis it leaves its Service, and nobody is told why: %s", ready)
	}
	redis.Restart()
	eventually(t, "Redis is up again", func() bool { return strings.Contains(readPage(t, "http://"+r.admin+"/metrics"), up+"1\n") })
	if p := stranger.logIn(t, r.url+"/", jane); p.StatusCode != http.StatusOK {
		t.Errorf("with Redis again: %s\n%s", p.Status, p.text)
	}
}
