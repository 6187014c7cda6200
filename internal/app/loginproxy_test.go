package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/coder/websocket"
	"github.com/go-logr/logr/funcr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

const (
	loginCluster = "my-cluster"
	loginRole    = "arn:aws:iam::123456789012:role/dashboard"
	loginClient  = "dashboard"
	jane         = "jane"
)

// movedClock is the real time and what a test adds to it.
type movedClock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *movedClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *movedClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

// loginBed is the world around login proxies: AWS, a provider, and an upstream
// server that remembers what it received.
type loginBed struct {
	clock    movedClock
	emulator *fakeaws.Server
	aws      aws.Config
	idp      *fakeidp.Server
	issuer   *url.URL
	upstream string // HOST:PORT
	front    string // what people type; the first replica unless it is set
	cluster  *rest.Config

	mu       sync.Mutex
	received []*http.Request
	logs     strings.Builder
}

func newLoginBed(t *testing.T) *loginBed {
	t.Helper()
	b := &loginBed{}
	b.emulator = fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret", Now: b.clock.now})
	b.aws = emulated(t, b.emulator)
	var err error
	b.idp, err = fakeidp.New(fakeidp.Config{Now: b.clock.now, Users: []fakeidp.User{{Username: jane, Email: "jane@corp.example"}, {Username: "eve", Email: "eve@evil.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	idp := httptest.NewServer(b.idp)
	t.Cleanup(idp.Close)
	b.idp.SetIssuer(idp.URL)
	if b.issuer, err = url.Parse(idp.URL); err != nil {
		t.Fatal(err)
	}
	b.trust(t)
	upstream := httptest.NewServer(http.HandlerFunc(b.answer))
	t.Cleanup(upstream.Close)
	b.upstream = upstream.Listener.Addr().String()
	return b
}

// trust makes the provider and the role as an administrator does.
func (b *loginBed) trust(t *testing.T) {
	t.Helper()
	config := b.aws.Copy()
	client := iam.NewFromConfig(config)
	if _, err := client.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String(b.issuer.String()), ClientIDList: []string{loginClient},
	}); err != nil {
		t.Fatal(err)
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
		"Principal": map[string]any{"Federated": "arn:aws:iam::123456789012:oidc-provider/" + b.issuer.Host},
		"Condition": map[string]any{"StringEquals": map[string]any{b.issuer.Host + ":aud": loginClient}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.emulator.CreateRole("/", "dashboard", string(policy)); err != nil {
		t.Fatal(err)
	}
}

// answer is the upstream server.
func (b *loginBed) answer(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.received = append(b.received, r.Clone(context.WithoutCancel(r.Context())))
	b.mu.Unlock()
	if r.URL.Path != "/socket" {
		fmt.Fprintln(w, "the dashboard")
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// count is how many requests the upstream server has received.
func (b *loginBed) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.received)
}

// last is the last request that the upstream server has received.
func (b *loginBed) last(t *testing.T) *http.Request {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.received) == 0 {
		t.Fatal("nothing has reached the upstream server")
	}
	return b.received[len(b.received)-1]
}

// loginReplica is a running login proxy.
type loginReplica struct{ url, auth, admin string }

// start runs a login proxy until the test ends.
func (b *loginBed) start(t *testing.T, change func(*app.LoginProxyOptions)) loginReplica {
	t.Helper()
	var o app.LoginProxyOptions
	o.BindFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	r := loginReplica{url: "http://" + address, auth: freeAddress(t), admin: freeAddress(t)}
	if b.front == "" {
		b.front = r.url
	}
	o.Address = host
	if o.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	o.PublicURL, o.TrustedProxies, o.AuthAddress, o.AdminAddress = b.front, []string{"127.0.0.1"}, r.auth, r.admin
	o.CookieSecret, o.ClusterName, o.IAMRoles = strings.Repeat("secret", 10), loginCluster, []string{loginRole}
	o.ClientID, o.ClientSecret, o.OIDCIssuer = loginClient, "client-secret", b.issuer.String()
	o.EmailDomains, o.ProxyHost = []string{"corp.example"}, b.upstream
	change(&o)
	b.idp.SetClient(fakeidp.Client{
		ID: loginClient, Secret: "client-secret", RedirectURIs: []string{b.front + o.LoginURL + "/oauth/callback"},
		BackchannelLogoutURI: r.url + o.LoginURL + "/backchannel-logout",
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	deps := app.LoginProxyDeps{AWS: b.aws, Cluster: b.cluster, Now: b.clock.now, Log: funcr.New(b.log, funcr.Options{Verbosity: 1})}
	go func() { ended <- app.RunLoginProxy(ctx, o, deps) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(60 * time.Second):
			t.Error("the login proxy does not stop")
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if t.Failed() {
			t.Log(b.logs.String())
		}
	})
	eventually(t, "the login proxy is ready", func() bool { return readPage(t, "http://"+r.admin+"/readyz") == "ok" })
	return r
}

func (b *loginBed) log(prefix, args string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs.WriteString(prefix + " " + args + "\n")
}

func readPage(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// browser is somebody's, with cookies. It stops at the provider's login page.
type browser struct {
	bed    *loginBed
	client *http.Client
}

func (b *loginBed) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{b, &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if next.URL.Host == b.issuer.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// page is an answer that was read.
type page struct {
	*http.Response
	text string
}

// get loads a page.
func (b *browser) get(t *testing.T, address string) page {
	t.Helper()
	return b.ask(t, address, "text/html")
}

func (b *browser) ask(t *testing.T, address, accept string) page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{response, string(text)}
}

// logIn opens a page, logs in, and gives where that leads.
func (b *browser) logIn(t *testing.T, address, user string) page {
	t.Helper()
	p := b.get(t, address)
	if p.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s leads to %s %s, not to the provider\n%s", address, p.Status, p.Request.URL, p.text)
	}
	back, err := b.bed.idp.SignIn(p.Header.Get("Location"), user)
	if err != nil {
		t.Fatal(err)
	}
	return b.get(t, back.String())
}

// socket opens a WebSocket.
func (b *browser) socket(t *testing.T, address string) (*websocket.Conn, error) {
	t.Helper()
	conn, response, err := websocket.Dial(t.Context(), address, &websocket.DialOptions{HTTPClient: b.client})
	if response != nil && response.Body != nil {
		_ = response.Body.Close()
	}
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, err
}
