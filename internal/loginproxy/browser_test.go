package loginproxy_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser keeps cookies as one does, for one host.
type browser struct {
	t       testing.TB
	base    string
	cookies map[string]string
	header  map[string]string // sent with every request
}

func (b *bed) browser(t testing.TB) *browser {
	t.Helper()
	return &browser{t: t, base: b.server.URL, cookies: map[string]string{}, header: map[string]string{}}
}

// as is another window of a browser.
func (b *bed) as(t testing.TB, br *browser) *browser {
	t.Helper()
	other := b.browser(t)
	maps.Copy(other.cookies, br.cookies)
	return other
}

type answer struct {
	*http.Response
	body string
}

func (a answer) location() string { return a.Header.Get("Location") }

// do sends one request and follows no redirect.
func (b *browser) do(method, target, body string, header ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.base + target
	}
	r, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range b.header {
		r.Header.Set(k, v)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		b.t.Logf("%s %s: reading the body: %v", method, target, err)
	}
	for _, c := range w.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return answer{w, string(text)}
}

func (b *browser) get(target string, header ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, target, "", header...)
}

// page loads a page as a person does.
func (b *browser) page(target string) answer {
	b.t.Helper()
	return b.get(target, "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none")
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// submit posts a page's form.
func (b *browser) submit(from answer, target string, fields ...string) answer {
	b.t.Helper()
	form := url.Values{}
	if m := csrfField.FindStringSubmatch(from.body); m != nil {
		form.Set("csrf", m[1])
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do(http.MethodPost, target, form.Encode(), "Accept", "text/html", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate")
}

// begin goes as far as the provider, and gives path and query of the callback.
func (b *bed) begin(br *browser, user, role, back string) string {
	br.t.Helper()
	a := br.page("/login?return_to=" + url.QueryEscape(back))
	if a.StatusCode == http.StatusOK {
		a = br.submit(a, "/login/oauth", "role", role, "return_to", back)
	}
	if a.StatusCode != http.StatusSeeOther {
		br.t.Fatalf("beginning a login: status %d: %s", a.StatusCode, a.body)
	}
	to, err := b.idp.SignIn(a.location(), user)
	if err != nil {
		br.t.Fatal(err)
	}
	return to.RequestURI()
}

// login logs a browser in.
func (b *bed) login(br *browser, user, role string) {
	br.t.Helper()
	a := br.page(b.begin(br, user, role, "/pods"))
	if a.StatusCode != http.StatusSeeOther || a.location() != "/pods" {
		br.t.Fatalf("finishing a login: status %d to %q: %s", a.StatusCode, a.location(), a.body)
	}
}

// signedIn is a browser that is logged in.
func (b *bed) signedIn(t testing.TB, user, role string) *browser {
	t.Helper()
	br := b.browser(t)
	b.login(br, user, role)
	b.upstream.took()
	return br
}

// raw sends bytes as they are and gives back all that comes until the other side
// closes or is silent for a while.
func raw(t testing.TB, address, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Logf("writing: %v", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	got, _ := io.ReadAll(conn)
	return string(got)
}
