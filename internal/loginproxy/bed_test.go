package loginproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

const (
	admin  = "arn:aws:iam::111122223333:role/admin"
	viewer = "arn:aws:iam::111122223333:role/team/viewer"
	secret = "0123456789abcdef0123456789abcdef"
	cookie = "eks-test"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// lines are what is logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, prefix+" "+args)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// aws assumes roles without AWS.
type aws struct {
	clock  *clock
	mu     sync.Mutex
	calls  int
	err    error
	people []webidentity.Person
	gate   chan struct{} // closed or nil: calls go on
}

func (a *aws) Assume(ctx context.Context, role string, p webidentity.Person) (webidentity.Credentials, error) {
	a.mu.Lock()
	gate := a.gate
	a.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return webidentity.Credentials{}, ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	a.people = append(a.people, p)
	if a.err != nil {
		return webidentity.Credentials{}, a.err
	}
	name := role[strings.LastIndexByte(role, '/')+1:]
	return webidentity.Credentials{
		AccessKeyID: fmt.Sprintf("ASIA%s%04d", strings.ToUpper(name), a.calls), SecretAccessKey: "aws-secret-" + name,
		SessionToken: "aws-session-" + name + strings.Repeat("x", 700), Expires: a.clock.Now().Add(time.Hour),
		RoleSessionName: webidentity.RoleSessionName(p.Email),
	}, nil
}

func (a *aws) set(change func(*aws)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *aws) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

// bed is a login proxy with everything around it.
type bed struct {
	clock    *clock
	log      *lines
	aws      *aws
	idp      *fakeidp.Server
	upstream *upstream
	store    loginproxy.Store
	proxy    *loginproxy.Proxy
	server   *httptest.Server
	checks   *httptest.Server
	config   loginproxy.Config
}

func (b *bed) address() string { return strings.TrimPrefix(b.server.URL, "http://") }

func newBed(t testing.TB, changes ...func(*loginproxy.Config)) *bed {
	t.Helper()
	c := &clock{at: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	b := &bed{clock: c, log: &lines{}, aws: &aws{clock: c}}
	b.upstream = newUpstream(t)
	idp, err := fakeidp.New(fakeidp.Config{
		Clients: []fakeidp.Client{{ID: "dashboard", Secret: "client-secret"}}, Now: c.Now,
		Users: []fakeidp.User{
			{Username: "jane", Email: "jane@corp.example", Groups: []string{"platform"}},
			{Username: "joe", Email: "joe@corp.example", Groups: []string{"dev"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.idp = idp
	idpServer := httptest.NewServer(idp)
	t.Cleanup(idpServer.Close)
	idp.SetIssuer(idpServer.URL)
	keys, err := session.NewKeys([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(b.upstream.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.config = loginproxy.Config{
		Upstream: target, ClusterName: "blue", Region: "eu-west-1", CookieName: cookie, Keys: keys,
		Identities: []loginproxy.Identity{{ARN: admin}, {ARN: viewer}}, Assumer: b.aws,
		Provider: b.provider(t, nil), Sessions: session.NewMemory(session.MemoryConfig{Idle: time.Hour, Now: c.Now}),
		Now: c.Now, Log: funcr.New(b.log.add, funcr.Options{Verbosity: 9}), Registerer: prometheus.NewRegistry(),
	}
	for _, change := range changes {
		change(&b.config)
	}
	b.store = b.config.Sessions
	b.proxy, b.server, b.checks = b.replica(t, b.config)
	return b
}

// provider runs a relying party of the bed's provider.
func (b *bed) provider(t testing.TB, change func(*oidclogin.Config)) *oidclogin.Provider {
	t.Helper()
	config := oidclogin.Config{
		Issuer: b.idp.Issuer(), ClientID: "dashboard", ClientSecret: "client-secret", Now: b.clock.Now, RequireEmail: true,
		Scopes: []string{"openid", "email", "profile", "offline_access"}, Log: logr.Discard(),
	}
	if change != nil {
		change(&config)
	}
	p, err := oidclogin.New(config)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p.Run)
	eventually(t, "discovery", func() bool { return p.Ready() == nil })
	return p
}

// run runs something until the test ends.
func run(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// replica starts one more proxy on the same store and provider.
func (b *bed) replica(t testing.TB, c loginproxy.Config) (p *loginproxy.Proxy, main, checks *httptest.Server) {
	t.Helper()
	p, err := loginproxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p.Run)
	main, checks = httptest.NewUnstartedServer(p.Handler()), httptest.NewServer(p.AuthHandler())
	main.Config.ReadHeaderTimeout = 300 * time.Millisecond
	main.Start()
	t.Cleanup(func() { main.CloseClientConnections(); main.Close(); checks.Close() })
	return p, main, checks
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 10 seconds", what)
		case <-tick.C:
		}
	}
}

// arrived is a request that the upstream got.
type arrived struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

// upstream notes what it gets.
type upstream struct {
	server *httptest.Server
	mu     sync.Mutex
	got    []arrived
	hold   chan struct{} // closed: /slow goes on
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{hold: make(chan struct{})}
	u.server = httptest.NewServer(u)
	t.Cleanup(func() { u.server.CloseClientConnections(); u.server.Close() })
	t.Cleanup(func() { close(u.hold) })
	return u
}

func (u *upstream) took() []arrived {
	u.mu.Lock()
	defer u.mu.Unlock()
	got := u.got
	u.got = nil
	return got
}

// seen is what it got and nobody took yet.
func (u *upstream) seen() []arrived {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]arrived(nil), u.got...)
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Header.Get("Upgrade") == "" {
		body, _ = io.ReadAll(r.Body)
	}
	u.mu.Lock()
	u.got = append(u.got, arrived{r.Method, r.RequestURI, r.Host, string(body), r.Header.Clone()})
	u.mu.Unlock()
	switch {
	case r.Header.Get("Upgrade") != "" && r.URL.Path != "/refuses-upgrade":
		echo(w)
	case r.URL.Path == "/stream":
		for { // until the client goes
			if _, err := io.WriteString(w, "tick\n"); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	case r.URL.Path == "/flood":
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case r.URL.Path == "/slow":
		select {
		case <-u.hold:
		case <-r.Context().Done():
		}
	case r.URL.Path == "/dies":
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/sets-cookies":
		w.Header().Add("Set-Cookie", cookie+"=planted; Path=/")
		w.Header().Add("Set-Cookie", "__Host-"+cookie+"=planted; Path=/; Secure")
		w.Header().Add("Set-Cookie", "theme=dark; Path=/")
	default:
		_, _ = io.WriteString(w, "hello from upstream")
	}
}

// echo switches protocols and sends back what it gets.
func echo(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(conn, rw)
}

// browser keeps cookies as one does, for one host.
type browser struct {
	t       testing.TB
	base    string
	cookies map[string]string
	header  map[string]string // sent with every request
}

func (b *bed) browser(t testing.TB) *browser {
	return &browser{t: t, base: b.server.URL, cookies: map[string]string{}, header: map[string]string{}}
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

// login logs a browser in and returns the callback's answer.
func (b *bed) login(br *browser, user, role string) answer {
	br.t.Helper()
	a := br.page(b.begin(br, user, role, "/pods"))
	if a.StatusCode != http.StatusSeeOther || a.location() != "/pods" {
		br.t.Fatalf("finishing a login: status %d to %q: %s", a.StatusCode, a.location(), a.body)
	}
	return a
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
