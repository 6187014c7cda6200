package loginproxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// socket is an open WebSocket, or another long answer.
type socket struct {
	conn net.Conn
	r    *bufio.Reader
}

func open(t testing.TB, address, head string) socket {
	t.Helper()
	conn, err := net.Dial("tcp", address) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	return socket{conn, bufio.NewReader(conn)}
}

// webSocket opens one and reads the head of the answer.
func webSocket(t testing.TB, address, session string) socket {
	t.Helper()
	s := open(t, address, "GET /ws HTTP/1.1\r\n"+upgradeHead+"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nOrigin: http://proxy.example\r\n"+
		"Cookie: "+cookie+"="+session+"\r\n\r\n")
	answer, err := http.ReadResponse(s.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", answer.StatusCode)
	}
	return s
}

func (s socket) echoes(t testing.TB) {
	t.Helper()
	_ = s.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(s.conn, "ping"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(s.r, got); err != nil || string(got) != "ping" {
		t.Fatalf("%q %v", got, err)
	}
}

// closes tells after how long the other side closes.
func (s socket) closes(t testing.TB, since time.Time) time.Duration {
	t.Helper()
	_ = s.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, s.r); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatal("it stays open")
	}
	return time.Since(since)
}

// TestTheEndOfASessionClosesWhatItHasOpen, however it ends, on every replica.
func TestTheEndOfASessionClosesWhatItHasOpen(t *testing.T) {
	for _, row := range []struct {
		reason string
		end    func(*bed, *browser)
	}{
		{"logout", func(b *bed, br *browser) { br.submit(br.page("/login"), "/login/logout") }},
		{"back-channel logout", func(b *bed, br *browser) {
			b.idp.SetClient(fakeidp.Client{ID: "dashboard", Secret: "client-secret", BackchannelLogoutURI: b.server.URL + "/login/backchannel-logout"})
			if err := b.idp.Logout(br.t.Context(), "jane"); err != nil {
				br.t.Error(err)
			}
		}},
		{"another login", func(b *bed, br *browser) {
			to, err := b.idp.SignIn(br.submit(br.page("/login"), "/login/oauth", "role", viewer).location(), "jane")
			if err != nil {
				br.t.Fatal(err)
			}
			br.page(to.RequestURI())
		}},
		{"age", func(b *bed, _ *browser) { b.clock.Add(13 * time.Hour) }},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t)
			br := b.signedIn(t, "jane", admin)
			other := b.signedIn(t, "joe", viewer)
			c := b.config
			c.Registerer = nil
			_, replica, _ := b.replica(t, c)
			id := br.cookies[cookie]
			open := map[string]socket{
				"a WebSocket":                      webSocket(t, b.address(), id),
				"a WebSocket of the other replica": webSocket(t, strings.TrimPrefix(replica.URL, "http://"), id),
			}
			for _, path := range []string{"/stream", "/flood", "/slow"} {
				open[path] = request(t, b.address(), path, id)
			}
			open["/stream of the other replica"] = request(t, strings.TrimPrefix(replica.URL, "http://"), "/stream", id)
			open["a WebSocket"].echoes(t)
			kept := webSocket(t, b.address(), other.cookies[cookie])
			eventually(t, "arrival", func() bool { return len(b.upstream.seen()) == len(open)+1 })
			row.end(b, br)
			since := time.Now()
			if row.reason != "age" {
				defer kept.echoes(t)
			}
			for name, s := range open {
				if took := s.closes(t, since); took > time.Second {
					t.Errorf("%s closed after %s", name, took)
				}
			}
			if a := br.get("/x", "Cookie", cookie+"="+id); row.reason != "another login" && a.StatusCode != http.StatusUnauthorized {
				t.Errorf("the ended session gets %d", a.StatusCode)
			}
		})
	}
}

// request sends one and reads nothing: the connection fills up.
func request(t testing.TB, address, path, session string) socket {
	t.Helper()
	return open(t, address, "GET "+path+" HTTP/1.1\r\nHost: proxy.example\r\nConnection: close\r\nCookie: "+cookie+"="+session+"\r\n\r\n")
}

// TestStreamsKeepASessionInUse: nobody is logged out in front of a running log.
func TestStreamsKeepASessionInUse(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	s := webSocket(t, b.address(), br.cookies[cookie])
	for range 8 {
		b.clock.Add(20 * time.Minute)
		s.echoes(t)
		// longer than a sweep
		time.AfterFunc(600*time.Millisecond, func() { _, _ = io.WriteString(s.conn, "wait") })
		got := make([]byte, 4)
		if _, err := io.ReadFull(s.r, got); err != nil {
			t.Fatal(err)
		}
	}
	if a := br.get("/x"); a.StatusCode != http.StatusOK {
		t.Errorf("status %d", a.StatusCode)
	}
}

// TestCredentialsThatEndCloseStreams: nothing can be renewed without a refresh
// token.
func TestCredentialsThatEndCloseStreams(t *testing.T) {
	b := newBed(t)
	b.idp.Behave(func(x *fakeidp.Behavior) { x.TokenError = "" })
	br := b.signedIn(t, "jane", admin)
	s := webSocket(t, b.address(), br.cookies[cookie])
	b.idp.Behave(func(x *fakeidp.Behavior) { x.NoIDTokenOnRefresh = true })
	b.clock.Add(56 * time.Minute) // the renewal is refused
	br.get("/x")
	eventually(t, "refusal", func() bool { s, _ := b.session(t, br); return s.RefreshToken == "" })
	s.echoes(t)
	b.clock.Add(5 * time.Minute)
	if took := s.closes(t, time.Now()); took > time.Second {
		t.Errorf("closed after %s", took)
	}
	if a := br.page("/x"); a.StatusCode != http.StatusFound {
		t.Errorf("status %d", a.StatusCode)
	}
}

func TestManyWebSocketsAreHeld(t *testing.T) {
	const many = 1000
	b := newBed(t, func(c *loginproxy.Config) { c.Identities = c.Identities[:1] })
	br := b.signedIn(t, "jane", admin)
	var all []socket
	for range many {
		all = append(all, webSocket(t, b.address(), br.cookies[cookie]))
	}
	for _, s := range all {
		s.echoes(t)
	}
	since := time.Now()
	br.submit(br.page("/login"), "/login/logout")
	for _, s := range all {
		s.closes(t, since)
	}
	t.Logf("%d WebSockets closed within %s of the logout", many, time.Since(since))
}

// deaf is a store that announces no ends.
type deaf struct{ loginproxy.Store }

func (deaf) Watch(ctx context.Context, _ func(string), _ func()) error {
	<-ctx.Done()
	return nil
}

// TestARequestThatFindsNoSessionClosesWhatItHadOpen: the word of its end may be
// lost on the way.
func TestARequestThatFindsNoSessionClosesWhatItHadOpen(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Sessions = deaf{c.Sessions} })
	br := b.signedIn(t, "jane", admin)
	s := webSocket(t, b.address(), br.cookies[cookie])
	if _, err := b.store.End(t.Context(), session.ID(br.cookies[cookie])); err != nil {
		t.Fatal(err)
	}
	s.echoes(t)
	br.get("/x")
	if took := s.closes(t, time.Now()); took > time.Second {
		t.Errorf("closed after %s", took)
	}
}

// TestAnEndThatFailsIsLogged as an error: the session goes on in the store.
func TestAnEndThatFailsIsLogged(t *testing.T) {
	f := &failing{}
	b := newBed(t, func(c *loginproxy.Config) { f.Store, c.Sessions = c.Sessions, f })
	br := b.signedIn(t, "jane", admin)
	form := br.page("/login")
	f.set(func(f *failing) { f.end = session.ErrUnavailable })
	if a := br.submit(form, "/login/logout"); a.StatusCode != http.StatusServiceUnavailable || !b.logged(`"msg"="Ending a session" "error"=`) {
		t.Errorf("status %d, log:\n%s", a.StatusCode, b.log)
	}
}
