package oidclogin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

const (
	clientID = "dashboard"
	// clientSecret has what must be escaped in a Basic header.
	clientSecret = "s3cr:t+%&/ =é"
	redirectURI  = "https://dashboard.example.com/login/oauth/callback"
)

// inProcess is a network on which there is one server.
type inProcess struct{ handler http.Handler }

func (n inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	n.handler.ServeHTTP(recorder, r)
	return recorder.Result(), r.Context().Err()
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bed is a provider and a relying party that has found it.
type bed struct {
	idp      *fakeidp.Server
	provider *Provider
	idpClock *clock
	clock    *clock
}

func newBed(t testing.TB, changes ...func(*Config, *fakeidp.Config)) *bed {
	t.Helper()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := &bed{idpClock: &clock{now: start}, clock: &clock{now: start}}
	config := Config{
		Issuer: "https://id.example.com/realm", ClientID: clientID, ClientSecret: clientSecret,
		Scopes: []string{"openid", "email", "profile", "offline_access"}, RequireEmail: true,
	}
	server := fakeidp.Config{
		Clients:   []fakeidp.Client{{ID: clientID, Secret: clientSecret}, {ID: "other", Secret: "other"}},
		Users:     []fakeidp.User{{Username: "ada", Subject: "u-1", Email: "ada@corp.com", Name: "Ada", Groups: []string{"ops"}}, {Username: "eve", Email: "eve@corp.com"}},
		Algorithm: "ES256",
		Now:       b.idpClock.Now,
	}
	for _, change := range changes {
		change(&config, &server)
	}
	server.Issuer = config.Issuer
	var err error
	if b.idp, err = fakeidp.New(server); err != nil {
		t.Fatal(err)
	}
	config.HTTPClient = &http.Client{Transport: inProcess{b.idp}}
	config.Now = b.clock.Now
	if b.provider, err = New(config); err != nil {
		t.Fatal(err)
	}
	return b
}

// found is newBed after discovery.
func found(t testing.TB, changes ...func(*Config, *fakeidp.Config)) *bed {
	t.Helper()
	b := newBed(t, changes...)
	if err := b.provider.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// begin goes to the provider and comes back.
func (b *bed) begin(t testing.TB, username string) (Attempt, Callback) {
	t.Helper()
	attempt, err := NewAttempt(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	address, err := b.provider.AuthCodeURL(attempt, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	back, err := b.idp.SignIn(address, username)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Query().Get("state"); got != attempt.State {
		t.Fatalf("the state came back as %q", got)
	}
	return attempt, callbackOf(back)
}

func callbackOf(back *url.URL) Callback {
	query := back.Query()
	return Callback{Code: query.Get("code"), RedirectURI: redirectURI, Issuer: query.Get("iss")}
}

func (b *bed) login(t testing.TB, username string) (Login, error) {
	t.Helper()
	attempt, callback := b.begin(t, username)
	return b.provider.Exchange(t.Context(), attempt, callback)
}

func (b *bed) mustLogin(t testing.TB) Login {
	t.Helper()
	login, err := b.login(t, "ada")
	if err != nil {
		t.Fatal(err)
	}
	return login
}

// wantRefused checks that err is a refusal whose reason has the words, and which
// gives nothing away to the person.
func wantRefused(t testing.TB, err error, words string) {
	t.Helper()
	refused, ok := errors.AsType[*Refused](err)
	switch {
	case !ok:
		t.Errorf("want a refusal, got %v", err)
	case errors.Is(err, ErrUnavailable):
		t.Errorf("a refusal is also unavailable: %v", err)
	case !strings.Contains(refused.Reason, words):
		t.Errorf("reason %q does not say %q", refused.Reason, words)
	case !strings.HasSuffix(refused.Message, ".") || strings.Contains(refused.Message, "eyJ"):
		t.Errorf("message %q", refused.Message)
	}
}

func wantUnavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("want ErrUnavailable, got %v", err)
	}
	if _, ok := errors.AsType[*Refused](err); ok {
		t.Errorf("unavailable is also a refusal: %v", err)
	}
}

func canceled(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
