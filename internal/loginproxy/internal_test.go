package loginproxy

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

func testKeys(t testing.TB) *session.Keys {
	t.Helper()
	keys, err := session.NewKeys([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func testNow() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func TestCheckLoginURL(t *testing.T) {
	for path, ok := range map[string]bool{
		"/login": true, "/auth/login": true, "/oauth2-x_y.z~": true, "/apifoo": true,
		"": false, "/": false, "login": false, "/login/": false, "//login": false, "/a/../b": false, "/api": false, "/api/login": false,
		"/apis/x": false, "/a%2Fb": false, "/a b": false, "/a?b": false, "/a;b": false, "/ä": false,
	} {
		if err := checkLoginURL(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	_, err := New(Config{LoginURL: "/api", PublicURL: &url.URL{Scheme: "https", Host: "h", Path: "/x"}})
	if err == nil {
		t.Fatal("an empty configuration was taken")
	}
	for _, want := range []string{
		"the login URL must not lie under /api", "the upstream needs a scheme", "cannot live under a path", "at least one role is needed",
		"the cluster's name is missing", "the region is missing", "the login provider is missing", "the session store is missing", "the cookie secret is missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in:\n%v", want, err)
		}
	}
}

// TestOriginsAreWrittenAsBrowsersDo: else no WebSocket would come from ours.
func TestOriginsAreWrittenAsBrowsersDo(t *testing.T) {
	for written, want := range map[string]string{
		"https://dash.example:443": "https://dash.example", "http://dash.example:80": "http://dash.example", "https://[::1]:443": "https://[::1]",
		"https://dash.example:8443": "https://dash.example:8443", "https://dash.example:80": "https://dash.example:80",
	} {
		u, err := url.Parse(written)
		if err != nil {
			t.Fatal(err)
		}
		if got := origin(withoutDefaultPort(u)); got != want {
			t.Errorf("%s: got %s, want %s", written, got, want)
		}
	}
}

// TestInventedSessionsCostNothing: what the store does not know is forgotten.
func TestInventedSessionsCostNothing(t *testing.T) {
	p := &Proxy{c: Config{Sessions: session.NewMemory(session.MemoryConfig{}), CookieName: "eks", Now: testNow, Rand: rand.Reader, Log: logr.Discard()}}
	p.metrics = newMetrics(nil, nil)
	p.lives = newLives(p.metrics.streams)
	for i := range 100 {
		r := httptest.NewRequest(http.MethodGet, "/x", http.NoBody)
		r.Header.Set("Cookie", fmt.Sprintf("eks=%043d", i))
		w := httptest.NewRecorder()
		p.serve(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	if n := len(p.lives.all); n != 0 {
		t.Errorf("%d sessions are remembered", n)
	}
}

// TestLongNames: the cookie of an attempt stays small with the longest ARN.
func TestLongNames(t *testing.T) {
	long := "arn:aws:iam::111122223333:role/" + strings.Repeat("p/", 250) + strings.Repeat("r", 64)
	p := &Proxy{c: Config{CookieName: "eks", Keys: testKeys(t), Now: testNow}, identities: []identity{{key: long}}}
	a := attempt{Identity: digest(long), Return: "/", RedirectURI: "https://" + strings.Repeat("h", 250) + "/login/oauth/callback", Begun: testNow().Unix()}
	a.State, a.Nonce, a.Verifier = strings.Repeat("s", 43), strings.Repeat("n", 43), strings.Repeat("v", 43)
	if value := p.seal(a, "-login-00"); len(value) > maxAttemptSize {
		t.Errorf("%d bytes", len(value))
	}
	if key, ok := p.keyOf(a.Identity); !ok || key != long {
		t.Errorf("%v %q", ok, key)
	}
	if _, ok := p.keyOf(digest("gone")); ok {
		t.Error("an identity that is gone was found")
	}
}

// TestWaitingForAnotherReplica blames neither the provider nor AWS.
func TestWaitingForAnotherReplica(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := new(Proxy).renewedElsewhere(ctx, &live{})
	if pr := describe(err); pr.status != http.StatusServiceUnavailable || pr.title != "Your session is being renewed" || !pr.again {
		t.Errorf("%v becomes %+v", err, pr)
	}
}

// TestAttemptsAreTheirStates, not those of another one, and small.
func TestAttemptsAreTheirStates(t *testing.T) {
	p := &Proxy{c: Config{CookieName: "eks", Keys: testKeys(t), Now: testNow}, attempts: newRecent(9, time.Hour)}
	take := func(state, suffix string, a attempt) bool {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Cookie", "eks"+suffix+"="+p.seal(a, suffix))
		_, ok := p.takeAttempt(&record{ResponseWriter: httptest.NewRecorder()}, r, state)
		return ok
	}
	a := attempt{Return: "/", Begun: testNow().Unix()}
	a.State = "mine"
	suffix := attemptName("mine")
	for reason, row := range map[string]struct {
		want bool
		got  bool
	}{
		"another state under this one's name": {false, take("other", attemptName("other"), a)},
		"a cookie that is too large":          {false, take("mine", suffix, attempt{Attempt: a.Attempt, Begun: a.Begun, Return: strings.Repeat("r", 2000)})},
		"one from far ahead":                  {false, take("mine", suffix, attempt{Attempt: a.Attempt, Begun: a.Begun + 3600})},
		"its own":                             {true, take("mine", suffix, a)},
	} {
		if row.got != row.want {
			t.Errorf("%s: taken %t", reason, row.got)
		}
	}
}

// TestSecretsThatAreNotThere are the same as nothing.
func TestSecretsThatAreNotThere(t *testing.T) {
	if same("", "") || same("x", "") || same("", "x") || !same("x", "x") {
		t.Error("an empty secret was taken, or an equal one was not")
	}
	r := &http.Request{PostForm: url.Values{"once": {"a"}, "twice": {"a", "a"}}}
	if field(r, "once") != "a" || field(r, "twice") != "" || field(r, "never") != "" {
		t.Error("a field that stands there twice was read")
	}
}

// TestUpgradesOfOtherOrigins: each of the two checks refuses what the other does
// not look at.
func TestUpgradesOfOtherOrigins(t *testing.T) {
	const site = "Sec-Fetch-Site"
	ours := peer{scheme: "https", host: "dash.example"}
	for reason, row := range map[string]struct {
		refused bool
		header  http.Header
	}{
		"of our own pages":               {false, http.Header{site: {"same-origin"}, "Origin": {"https://dash.example"}}},
		"of a program":                   {false, http.Header{}},
		"of another site without Origin": {true, http.Header{site: {"cross-site"}}},
		"of another site that says not":  {true, http.Header{site: {"same-origin"}, "Origin": {"https://evil.example"}}},
		"of a page without TLS":          {true, http.Header{site: {"same-origin"}, "Origin": {"http://dash.example"}}},
		"with two origins":               {true, http.Header{"Origin": {"https://dash.example", "https://evil.example"}}},
	} {
		row.header.Set("Upgrade", "websocket")
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/ws"}, Host: ours.host, Header: row.header}
		if err := new(Proxy).crosses(ours, r); (err != nil) != row.refused {
			t.Errorf("a WebSocket %s: %v", reason, err)
		}
	}
}
