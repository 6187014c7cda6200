package loginproxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
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
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
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

// logged tells whether a text was logged.
func (b *bed) logged(text string) bool { return strings.Contains(b.log.String(), text) }

// aws assumes roles without AWS.
type aws struct {
	clock  *clock
	mu     sync.Mutex
	begun  int // calls, the unanswered ones too
	calls  int
	err    error
	people []webidentity.Person
	gate   chan struct{} // closed or nil: calls go on
}

func (a *aws) Assume(ctx context.Context, role string, p webidentity.Person) (webidentity.Credentials, error) {
	a.mu.Lock()
	gate := a.gate
	a.begun++
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

// asked counts the calls that were not answered yet, too.
func (a *aws) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.begun
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
	main.Config.ReadHeaderTimeout = 30 * time.Second
	main.Start()
	t.Cleanup(func() { main.CloseClientConnections(); main.Close(); checks.Close() })
	return p, main, checks
}

// streams serves as the command does, and gives the address.
func streams(t testing.TB, c serve.StreamConfig) string {
	t.Helper()
	var err error
	if c.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // loopback
		t.Fatal(err)
	}
	c.Drain = time.Millisecond
	run(t, func(ctx context.Context) error { return serve.RunStreams(ctx, c) })
	return c.Listener.Addr().String()
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
