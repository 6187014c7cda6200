package loginproxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// scripted is the way to a provider whose token endpoint answers what it is told.
type scripted struct {
	mu     sync.Mutex
	script *says // nil: the provider itself answers
	calls  int   // that the script has answered
}

// says is an answer of a token endpoint, or none.
type says struct {
	status int
	body   string
	err    error
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.script == nil || !strings.HasSuffix(r.URL.Path, "/"+fakeidp.Token) {
		return http.DefaultTransport.RoundTrip(r)
	}
	s.calls++
	if s.script.err != nil {
		return nil, s.script.err
	}
	return &http.Response{
		StatusCode: s.script.status, Body: io.NopCloser(strings.NewReader(s.script.body)),
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

func (s *scripted) answer(script *says) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.calls = script, 0
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func oauthError(code string) string {
	return fmt.Sprintf(`{"error": %q, "error_description": "AADSTS50076: as the provider tells it"}`, code)
}

// who must act on an answer.
type who int

const (
	person   who = iota // logs in again: info
	operator            // an error, for whoever runs this
	later               // an error, and it is tried again
)

// scriptedBed is a bed whose provider's token endpoint answers what it is told.
func scriptedBed(t *testing.T) (*bed, *scripted, *browser) {
	t.Helper()
	b, network := newBed(t), &scripted{}
	provider := b.provider(t, func(c *oidclogin.Config) { c.HTTPClient = &http.Client{Transport: network} })
	main, _ := b.restarted(t, func(c *loginproxy.Config) { c.Provider = provider })
	br := b.browser(t)
	br.base = main.URL
	return b, network, br
}

// TestEveryAnswerOfATokenEndpoint, at the login and when a login is to be renewed:
// what people see, what is logged and how, and how often it is tried.
func TestEveryAnswerOfATokenEndpoint(t *testing.T) {
	const again, denied, operate, down = "please log in again", "did not let you in", "tell the people who run it", "The login provider does not answer"
	for _, row := range []struct {
		reason         string
		answer         says
		login, refresh who
		says           string // to the person, at the login
	}{
		// RFC 6749, section 5.2
		{"invalid_grant", says{status: 400, body: oauthError("invalid_grant")}, person, person, again},
		{"invalid_client", says{status: 401, body: oauthError("invalid_client")}, operator, operator, operate},
		{"unauthorized_client", says{status: 400, body: oauthError("unauthorized_client")}, operator, operator, operate},
		{"unsupported_grant_type", says{status: 400, body: oauthError("unsupported_grant_type")}, operator, operator, operate},
		{"invalid_scope", says{status: 400, body: oauthError("invalid_scope")}, operator, operator, operate},
		// Dex says so of a refresh token that it does not know any more.
		{"invalid_request", says{status: 400, body: oauthError("invalid_request")}, operator, person, operate},
		// OpenID Connect Core 1.0, section 3.1.2.6; conditional access answers so.
		{"login_required", says{status: 400, body: oauthError("login_required")}, person, person, denied},
		{"interaction_required", says{status: 400, body: oauthError("interaction_required")}, person, person, denied},
		{"consent_required", says{status: 400, body: oauthError("consent_required")}, person, person, denied},
		{"account_selection_required", says{status: 400, body: oauthError("account_selection_required")}, person, person, denied},
		{"access_denied", says{status: 403, body: oauthError("access_denied")}, person, person, denied},
		// unknown ones: somebody should look
		{"a code that nobody knows", says{status: 400, body: oauthError("policy_says_no")}, operator, operator, denied},
		{"one with 403", says{status: 403, body: oauthError("policy_says_no")}, operator, operator, denied},
		{"an error with 200", says{status: 200, body: oauthError("bad_verification_code")}, operator, operator, denied},
		// trouble in words
		{"temporarily_unavailable", says{status: 400, body: oauthError("temporarily_unavailable")}, later, later, down},
		{"server_error", says{status: 400, body: oauthError("server_error")}, later, later, down},
		{"server_error with 500", says{status: 500, body: oauthError("server_error")}, later, later, down},
		{"invalid_grant with 500", says{status: 500, body: oauthError("invalid_grant")}, later, later, down},
		// no OAuth
		{"400 without JSON", says{status: 400, body: "<html>"}, later, later, down},
		{"403 of a wall in between", says{status: 403, body: "<html>"}, later, later, down},
		{"404", says{status: 404, body: ""}, later, later, down},
		{"a redirect", says{status: 302, body: ""}, later, later, down},
		{"429", says{status: 429, body: oauthError("too_many_requests")}, later, later, down},
		{"502", says{status: 502, body: "<html>"}, later, later, down},
		{"503", says{status: 503, body: ""}, later, later, down},
		{"200 without JSON", says{status: 200, body: "<html>"}, later, later, down},
		{"200 without an access token", says{status: 200, body: "{}"}, later, later, down},
		{"200 without an ID token", says{status: 200, body: `{"access_token": "a", "token_type": "Bearer"}`}, operator, person, operate},
		{"200 with an ID token that is none", says{status: 200, body: `{"access_token": "a", "id_token": "x.y.z"}`}, person, person, again},
		{"no answer in time", says{err: &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}}, later, later, down},
		{"a connection that breaks off", says{err: io.ErrUnexpectedEOF}, later, later, down},
	} {
		t.Run(row.reason+"/login", func(t *testing.T) {
			b, network, br := scriptedBed(t)
			callback := b.begin(br, "jane", admin, "/pods")
			network.answer(&row.answer)
			a := br.page(callback)
			want := http.StatusForbidden
			if row.login == later {
				want = http.StatusServiceUnavailable
			}
			if a.StatusCode != want || !strings.Contains(a.body, row.says) || strings.Contains(a.body, "AADSTS") {
				t.Errorf("the person sees %d %q, want %d and %q", a.StatusCode, titleOf(a), want, row.says)
			}
			if !strings.Contains(a.body, `href="/login"`) {
				t.Error("no way leads to the login page")
			}
			if got := b.logged(`"msg"="Request" "error"=`); got != (row.login != person) {
				t.Errorf("logged as an error: %t", got)
			}
			if n := network.count(); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
		})
		t.Run(row.reason+"/refresh", func(t *testing.T) {
			b, network, br := scriptedBed(t)
			b.login(br, "jane", admin)
			network.answer(&row.answer)
			b.clock.Add(55*time.Minute + 30*time.Second)
			b.renewalFails(t, br, network, row.refresh)
		})
	}
}

// renewalFails uses a session for five minutes in which it cannot be renewed, until
// its credentials have ended, and looks at what comes of it.
func (b *bed) renewalFails(t *testing.T, br *browser, network *scripted, must who) {
	t.Helper()
	for range 53 {
		if a := br.get("/x"); a.StatusCode != http.StatusOK {
			t.Fatalf("%d while the credentials are good", a.StatusCode)
		}
		b.clock.Add(5 * time.Second)
	}
	eventually(t, "a renewal that fails", func() bool {
		return network.count() > 0 && (b.logged("Renewal refused") || b.logged("Renewing credentials"))
	})
	b.clock.Add(time.Minute)
	status := br.page("/pods").StatusCode
	for range 12 {
		b.clock.Add(5 * time.Second)
		br.get("/login/check")
	}
	most := 1
	if must == later {
		most = 7
	}
	if n := network.count(); n > most || must == later && n < 2 {
		t.Errorf("%d refreshes, want at most %d", n, most)
	}
	page := br.page("/pods")
	body := br.get("/api/v1/pods").body
	login := br.page("/login")
	if b.logged("AWS") || strings.Contains(page.body+body+login.body, "AWS does not answer") {
		t.Errorf("AWS is blamed: %q, %s", titleOf(page), body)
	}
	if must == later {
		if status != http.StatusServiceUnavailable || page.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page.body, "The login provider does not answer") || !strings.Contains(page.body, `href="/login"`) {
			t.Errorf("a page is %d, then %d %q", status, page.StatusCode, titleOf(page))
		}
		if login.StatusCode != http.StatusOK || !strings.Contains(login.body, "Log out") || !strings.Contains(login.body, admin) {
			t.Errorf("the login page: %d %q", login.StatusCode, titleOf(login))
		}
		if !b.logged(`"msg"="Renewing credentials" "error"=`) {
			t.Error("not logged as an error")
		}
	} else {
		if status != http.StatusFound || page.location() != "/login?return_to=%2Fpods" {
			t.Errorf("a page is %d, then %d to %q, want the login", status, page.StatusCode, page.location())
		}
		if got := b.logged(`"msg"="Renewal refused" "error"=`); got != (must == operator) {
			t.Errorf("logged as an error: %t, want %t", got, must == operator)
		}
	}
	// the provider lets in again, and so does the login page
	network.answer(nil)
	b.login(br, "jane", admin)
	if a := br.get("/x"); a.StatusCode != http.StatusOK {
		t.Errorf("after another login: %d", a.StatusCode)
	}
}

// TestLoggingOutNeedsNoRenewal, nor does the page with its button.
func TestLoggingOutNeedsNoRenewal(t *testing.T) {
	b, network, br := scriptedBed(t)
	b.login(br, "jane", admin)
	network.answer(&says{status: 503, body: ""})
	b.clock.Add(55 * time.Minute)
	br.get("/x")
	b.clock.Add(6 * time.Minute)
	if a := br.page("/"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a page: %d", a.StatusCode)
	}
	calls := network.count()
	form := br.page("/login")
	if form.StatusCode != http.StatusOK || network.count() != calls {
		t.Errorf("the login page: %d %q after %d refreshes of its own", form.StatusCode, titleOf(form), network.count()-calls)
	}
	if a := br.submit(form, "/login/logout"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("logging out: %d %q", a.StatusCode, titleOf(a))
	}
	if _, ok := b.session(t, br); ok {
		t.Error("the session goes on")
	}
}

// TestAWSThatGivesNothingAtARenewal is blamed for itself, asked seldom, and keeps
// nobody from the login page.
func TestAWSThatGivesNothingAtARenewal(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	b.aws.set(func(a *aws) { a.err = webidentity.ErrThrottled })
	b.clock.Add(61 * time.Minute / 2)
	br.get("/x")
	b.clock.Add(61 * time.Minute / 2)
	for range 60 {
		if a := br.get("/x"); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "AWS gave no credentials") {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		b.clock.Add(5 * time.Second)
	}
	if n := b.aws.count() - 1; n < 2 || n > 7 {
		t.Errorf("AWS was asked %d times in five minutes", n)
	}
	if a := br.page("/login"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Sign in again") || !strings.Contains(a.body, "Log out") {
		t.Errorf("the login page: %d %q", a.StatusCode, titleOf(a))
	}
	b.aws.set(func(a *aws) { a.err = nil })
	b.login(br, "jane", admin)
}

// TestAWSThatRefusesAtARenewal ends the session, and the log says why.
func TestAWSThatRefusesAtARenewal(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	b.aws.set(func(a *aws) { a.err = &webidentity.Denied{Code: "AccessDenied"} })
	b.clock.Add(56 * time.Minute)
	br.get("/x")
	eventually(t, "the end", func() bool { _, ok := b.session(t, br); return !ok })
	eventually(t, "the reason in the log", func() bool { return b.logged(`"msg"="Renewal refused"`) && b.logged("AccessDenied") })
}

// TestClosingStreamsForgetsNoPause: what a session has open is closed when its
// credentials have ended; the renewal that failed is not tried at once again.
func TestClosingStreamsForgetsNoPause(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	s := webSocket(t, b.address(), br.cookies[cookie])
	b.aws.set(func(a *aws) { a.err = webidentity.ErrUnavailable })
	b.clock.Add(61 * time.Minute / 2)
	br.get("/x") // idle sessions end
	b.clock.Add(61 * time.Minute / 2)
	s.closes(t, time.Now())
	calls := b.aws.count()
	for range 3 {
		if a := br.get("/x"); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d", a.StatusCode)
		}
	}
	if n := b.aws.count() - calls; n != 0 {
		t.Errorf("%d renewals at once after the one that failed", n)
	}
}
