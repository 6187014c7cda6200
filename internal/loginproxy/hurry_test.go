package loginproxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// watched is a body that notes how it is hurried.
type watched struct {
	io.Reader
	within []time.Duration
	ended  bool
}

func (w *watched) Close() error { return nil }

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.ended = w.ended || err != nil
	return n, err
}

func (w *watched) Hurry(within time.Duration) bool {
	if !w.ended {
		w.within = append(w.within, within)
	}
	return !w.ended
}

// TestStrangersHurry: whoever is not known yet holds a connection for a time
// that is fixed, and a body that nobody reads holds it for a second.
func TestStrangersHurry(t *testing.T) {
	b := newBed(t)
	browser := b.signedIn(t, "jane", admin)
	const unread, form = time.Second, 10 * time.Second
	for _, row := range []struct {
		reason, method, target, header, body string
		checks, known                        bool
		want                                 []time.Duration
		closes                               bool
	}{
		{reason: "a form", method: "POST", target: "/login/backchannel-logout", body: "logout_token=x", want: []time.Duration{form}},
		{reason: "a form that is too long", method: "POST", target: "/login/backchannel-logout", body: "logout_token=" + strings.Repeat("x", 20<<10), want: []time.Duration{form, unread}, closes: true},
		{reason: "a body where none belongs", method: "GET", target: "/login/check", body: "x", want: []time.Duration{form, unread}, closes: true},
		{reason: "the wrong method", method: "PUT", target: "/login", body: "x", want: []time.Duration{unread}, closes: true},
		{reason: "no session", method: "POST", target: "/pods", body: "x", want: []time.Duration{unread}, closes: true},
		{reason: "a page without session", method: "GET", target: "/pods", header: "text/html", body: "x", want: []time.Duration{unread}, closes: true},
		{reason: "a check", method: "POST", target: "/nginx", body: "x", checks: true, want: []time.Duration{unread}, closes: true},
		{reason: "somebody who is known takes their time", method: "POST", target: "/pods", body: "x", known: true},
	} {
		handler := b.proxy.Handler()
		if row.checks {
			handler = b.proxy.AuthHandler()
		}
		body := &watched{Reader: strings.NewReader(row.body)}
		r := httptest.NewRequestWithContext(t.Context(), row.method, row.target, body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", row.header)
		if row.known {
			r.AddCookie(&http.Cookie{Name: cookie, Value: browser.cookies[cookie]})
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if diff := cmp.Diff(row.want, body.within); diff != "" {
			t.Errorf("%s: hurried -want +got\n%s", row.reason, diff)
		}
		if got := w.Header().Get("Connection") == "close"; got != row.closes {
			t.Errorf("%s: status %d, Connection: close %t, want %t", row.reason, w.Code, got, row.closes)
		}
	}
}

// TestHeadersWithoutEnd holds that the limits of the server apply to this
// handler: it does not run before the head of a request is there, and the
// connection of one that does not come is closed.
func TestHeadersWithoutEnd(t *testing.T) {
	b := newBed(t)
	address := streams(t, serve.StreamConfig{Handler: b.proxy.Handler()})
	half := open(t, address, "GET /login HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	got := raw(t, address, "GET /login HTTP/1.1\r\nHost: x\r\nX-Big: "+strings.Repeat("x", 36<<10))
	if !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("36 KB of header were answered: %.200s", got)
	}
	_ = half.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if answer, err := io.ReadAll(half.r); err != nil || strings.Contains(string(answer), "200 OK") {
		t.Errorf("half a head: answered %q, %v; want the connection closed", answer, err)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}

// TestUnreadBodiesFreeTheirPlace: refused requests whose bodies do not come
// keep nobody out.
func TestUnreadBodiesFreeTheirPlace(t *testing.T) {
	const places = 3
	b := newBed(t)
	address := streams(t, serve.StreamConfig{Handler: b.proxy.Handler(), MaxConnections: places})
	for range places {
		open(t, address, "POST /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
	}
	honest := open(t, address, "GET /login/check HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = honest.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if line, err := honest.r.ReadString('\n'); err != nil || !strings.Contains(line, "401") {
		t.Errorf("an honest client gets %q, %v", line, err)
	}
}
