package loginproxy_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// token is the one that the upstream gets with a request.
func (b *bed) token(t *testing.T, br *browser) string {
	t.Helper()
	b.upstream.took()
	if a := br.get("/x"); a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	return b.upstream.took()[0].Header.Get("Authorization")
}

func TestTokensAreMadeAnew(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	first := b.token(t, br)
	b.clock.Add(9 * time.Minute)
	if got := b.token(t, br); got != first {
		t.Error("a token of 9 minutes was made anew")
	}
	b.clock.Add(3*time.Minute + time.Second)
	if got := b.token(t, br); got != first {
		t.Error("a request waited for a new token while the old one was good")
	}
	eventually(t, "a new token", func() bool { return b.token(t, br) != first })
	second := b.token(t, br)
	b.clock.Add(14 * time.Minute)
	if got := b.token(t, br); got == second {
		t.Error("a token that has ended was used")
	}
	if n := b.aws.count(); n != 1 {
		t.Errorf("%d roles were assumed", n)
	}
}

// TestARenewalHoldsNobodyUp has AWS hang while it happens.
func TestARenewalHoldsNobodyUp(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	gate := make(chan struct{})
	b.aws.set(func(a *aws) { a.gate = gate })
	b.clock.Add(56 * time.Minute)
	for range 20 {
		b.token(t, br)
	}
	close(gate)
	eventually(t, "renewal", func() bool { s, _ := b.session(t, br); return s.Credentials.AccessKeyID == "ASIAADMIN0002" })
	old, _ := b.session(t, br)
	if token := b.token(t, br); !strings.Contains(signedURL(t, token), "ASIAADMIN0002") {
		t.Error("the token is that of the old credentials")
	}
	b.clock.Add(56 * time.Minute)
	b.token(t, br)
	eventually(t, "another renewal", func() bool { s, _ := b.session(t, br); return s.Credentials.AccessKeyID == "ASIAADMIN0003" })
	if s, _ := b.session(t, br); s.RefreshToken == old.RefreshToken || s.IDToken == old.IDToken {
		t.Error("the tokens of the provider are the old ones")
	}
}

// signedURL is what a bearer header holds.
func signedURL(t *testing.T, bearer string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(bearer, "Bearer k8s-aws-v1."))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCredentialsThatEndEndTheSession where nothing renews them, whatever else is
// said of how long it lasts.
func TestCredentialsThatEndEndTheSession(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	b.amend(t, br, func(s *session.Session) { s.RefreshToken = "" })
	b.clock.Add(59 * time.Minute)
	b.token(t, br)
	b.clock.Add(2 * time.Minute)
	if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", a.StatusCode)
	}
	if _, ok := b.session(t, br); ok {
		t.Error("the session is still there")
	}
}

// TestOneRefreshAtATime: the provider takes each refresh token once, and ends
// everything when it sees one twice.
func TestOneRefreshAtATime(t *testing.T) {
	for _, row := range []struct {
		reason string
		wait   time.Duration
	}{{"before the credentials end", 56 * time.Minute}, {"after the credentials ended", 61 * time.Minute}} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t)
			br := b.signedIn(t, "jane", admin)
			c := b.config
			c.Registerer = nil
			_, replica, _ := b.replica(t, c)
			calls := b.idp.Calls()[fakeidp.Token]
			b.clock.Add(30 * time.Minute) // unused for less than an hour
			br.get("/x")
			b.clock.Add(row.wait - 30*time.Minute)
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					one := b.browser(t)
					one.cookies[cookie] = br.cookies[cookie]
					if i%2 == 1 {
						one.base = replica.URL
					}
					if a := one.get("/x"); a.StatusCode != http.StatusOK {
						t.Errorf("status %d: %s", a.StatusCode, a.body)
					}
				})
			}
			all.Wait()
			eventually(t, "renewal", func() bool { s, _ := b.session(t, br); return s.Credentials.AccessKeyID == "ASIAADMIN0002" })
			if got := b.idp.Calls()[fakeidp.Token] - calls; got != 1 {
				t.Errorf("%d refreshes", got)
			}
			if n := b.aws.count(); n != 2 {
				t.Errorf("%d roles were assumed", n)
			}
		})
	}
}

// TestARefreshTokenIsNotLost when AWS fails after the provider has rotated it.
func TestARefreshTokenIsNotLost(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	old, _ := b.session(t, br)
	b.aws.set(func(a *aws) { a.err = webidentity.ErrThrottled })
	b.clock.Add(56 * time.Minute)
	b.token(t, br)
	eventually(t, "the new refresh token", func() bool { s, _ := b.session(t, br); return s.RefreshToken != old.RefreshToken })
	eventually(t, "the failed call", func() bool { return b.aws.count() == 2 })
	calls := b.idp.Calls()[fakeidp.Token]
	b.aws.set(func(a *aws) { a.err = nil })
	eventually(t, "renewal", func() bool {
		b.clock.Add(time.Second) // the pause counts from when the failed one has ended
		b.token(t, br)
		s, _ := b.session(t, br)
		return s.Credentials.AccessKeyID == "ASIAADMIN0003"
	})
	if got := b.idp.Calls()[fakeidp.Token]; got != calls {
		t.Errorf("%d more refreshes for a login that was fresh", got-calls)
	}
}

func TestWhatEndsASession(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*bed)
		wait   time.Duration
		status int
	}{
		{"the provider is down, the credentials are good", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = true }) }, 57 * time.Minute, 200},
		{"the provider is down, the credentials have ended", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = true }) }, 61 * time.Minute, 503},
		{"the provider refuses, the credentials have ended", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.TokenError = "invalid_grant" }) }, 61 * time.Minute, 401},
		{"AWS refuses", func(b *bed) { b.aws.set(func(a *aws) { a.err = &webidentity.Denied{Code: "AccessDenied"} }) }, 61 * time.Minute, 401},
		{"another person's ID token", func(b *bed) {
			b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{"sub": "eve"} })
		}, 61 * time.Minute, 401},
		{"nothing", func(*bed) {}, 61 * time.Minute, 200},
		{"nobody was there for an hour", func(b *bed) { b.clock.Add(31 * time.Minute) }, 30 * time.Minute, 401},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t)
			br := b.signedIn(t, "jane", admin)
			br.get("/x")
			b.upstream.took()
			row.change(b)
			// in use all the time
			for passed := time.Duration(0); passed+30*time.Minute < row.wait; passed += 30 * time.Minute {
				b.clock.Add(30 * time.Minute)
				row.wait -= 30 * time.Minute
				br.get("/x")
			}
			b.upstream.took()
			b.clock.Add(row.wait)
			if a := br.get("/x"); a.StatusCode != row.status {
				t.Errorf("status %d, want %d: %s", a.StatusCode, row.status, a.body)
			}
			if got := b.upstream.took(); (len(got) == 1) != (row.status == 200) {
				t.Errorf("the upstream got %v", got)
			}
		})
	}
}

// TestALoginThatAWSFindsTooOld is renewed once more, not put to AWS again.
func TestALoginThatAWSFindsTooOld(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	b.aws.set(func(a *aws) { a.err = webidentity.ErrExpiredLogin })
	calls := b.idp.Calls()[fakeidp.Token]
	b.clock.Add(55 * time.Minute)
	b.token(t, br)
	eventually(t, "the refusal", func() bool { return b.logged("Renewing credentials") })
	b.aws.set(func(a *aws) { a.err = nil })
	eventually(t, "renewal", func() bool {
		b.clock.Add(time.Second)
		b.token(t, br)
		s, _ := b.session(t, br)
		return s.Credentials.AccessKeyID == "ASIAADMIN0003"
	})
	if got := b.idp.Calls()[fakeidp.Token] - calls; got != 2 {
		t.Errorf("%d refreshes, want another one for the login that was too old", got)
	}
}
