package loginproxy_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// failing is a store of which single calls fail.
type failing struct {
	loginproxy.Store
	mu                  sync.Mutex
	create, update, end error
}

func (f *failing) set(change func(*failing)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *failing) Create(ctx context.Context, id session.ID, s session.Session) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.create != nil {
		return f.create
	}
	return f.Store.Create(ctx, id, s)
}

func (f *failing) Update(ctx context.Context, id session.ID, s session.Session) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.update != nil {
		return f.update
	}
	return f.Store.Update(ctx, id, s)
}

func (f *failing) End(ctx context.Context, id session.ID) (session.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end != nil {
		return session.Session{}, f.end
	}
	return f.Store.End(ctx, id)
}

// TestCallbacksThatSayTwoThings: two readers would take another one of them.
func TestCallbacksThatSayTwoThings(t *testing.T) {
	for name, change := range map[string]func(url.Values){
		"two states":            func(q url.Values) { q.Add("state", "other") },
		"no state":              func(q url.Values) { q.Del("state") },
		"two codes":             func(q url.Values) { q.Add("code", "other") },
		"no code":               func(q url.Values) { q.Del("code") },
		"a code and an error":   func(q url.Values) { q.Add("error", "access_denied") },
		"two issuers":           func(q url.Values) { q.Add("iss", q.Get("iss")) },
		"a broken query string": func(q url.Values) { q.Set("x", "\x00%") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			br := b.browser(t)
			callback, err := url.Parse(b.begin(br, "jane", admin, "/pods"))
			if err != nil {
				t.Fatal(err)
			}
			q := callback.Query()
			change(q)
			raw := strings.ReplaceAll(q.Encode(), "x=%00%25", "x=%zz")
			calls := b.idp.Calls()[fakeidp.Token]
			a := br.page(callback.Path + "?" + raw)
			b.refused(t, br, a, http.StatusBadRequest)
			if got := b.idp.Calls()[fakeidp.Token] - calls; got != 0 || !strings.Contains(a.body, "malformed") {
				t.Errorf("%d codes were redeemed: %q", got, titleOf(a))
			}
		})
	}
}

// TestACallbackForARoleThatIsGone gives no other role in its stead.
func TestACallbackForARoleThatIsGone(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	callback := b.begin(br, "jane", admin, "/pods")
	main, _ := b.restarted(t, func(c *loginproxy.Config) { c.Identities = []loginproxy.Identity{{ARN: viewer}} })
	br.base = main.URL
	a := br.page(callback)
	b.refused(t, br, a, http.StatusForbidden)
}

// TestAnAttemptLeavesTheBrowser with its first answer.
func TestAnAttemptLeavesTheBrowser(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	for name := range br.cookies {
		if strings.Contains(name, "-login-") {
			t.Errorf("the cookie %s stays", name)
		}
	}
}

// TestReturnPathsOfOtherReplicas are held against this one's own pages, too.
func TestReturnPathsOfOtherReplicas(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	callback := b.begin(br, "jane", admin, "/auth/logout")
	main, _ := b.restarted(t, func(c *loginproxy.Config) { c.LoginURL = "/auth" })
	br.base = main.URL
	if a := br.page(strings.Replace(callback, "/login/", "/auth/", 1)); a.StatusCode != http.StatusSeeOther || a.location() != "/" {
		t.Errorf("%d to %q", a.StatusCode, a.location())
	}
}

// TestReturnPathsOfAChoice after the login lead nowhere else, either.
func TestReturnPathsOfAChoice(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
	br, picker := b.undecided(t)
	if a := br.submit(picker, "/login/oauth", "role", admin, "return_to", "//evil.example/"); a.StatusCode != http.StatusSeeOther || a.location() != "/" {
		t.Errorf("%d to %q", a.StatusCode, a.location())
	}
}

// TestALoginWithoutAnAddress has no name that the cluster could know it by, also
// if the provider's rules do not ask for one.
func TestALoginWithoutAnAddress(t *testing.T) {
	b := newBed(t)
	provider := b.provider(t, func(c *oidclogin.Config) { c.RequireEmail = false })
	main, _ := b.restarted(t, func(c *loginproxy.Config) { c.Provider = provider })
	b.idp.SetUser(fakeidp.User{Username: "nobody", Email: "n@corp.example", Claims: map[string]any{"email": nil}, UserInfo: map[string]any{"email": nil}})
	br := b.browser(t)
	br.base = main.URL
	a := br.page(b.begin(br, "nobody", admin, "/pods"))
	b.refused(t, br, a, http.StatusForbidden)
	if !strings.Contains(a.body, "Your login has no email address") {
		t.Errorf("the page is %q", titleOf(a))
	}
}

// TestHowLongALoginLasts at most: that without a role ten minutes, that without a
// refresh token as long as its credentials, that of Vault as long as its lease.
func TestHowLongALoginLasts(t *testing.T) {
	t.Run("without a role", func(t *testing.T) {
		b := newBed(t, func(c *loginproxy.Config) { c.Policy = policy(t, goodPolicy) })
		br, _ := b.undecided(t)
		if s, _ := b.session(t, br); s.Ends.Sub(s.Created) != 10*time.Minute {
			t.Errorf("it lasts %s", s.Ends.Sub(s.Created))
		}
	})
	t.Run("without a refresh token", func(t *testing.T) {
		b := newBed(t)
		provider := b.provider(t, func(c *oidclogin.Config) { c.Scopes = []string{"openid", "email"} })
		main, _ := b.restarted(t, func(c *loginproxy.Config) { c.Provider = provider })
		br := b.browser(t)
		br.base = main.URL
		b.login(br, "jane", admin)
		if s, _ := b.session(t, br); s.RefreshToken != "" || s.Ends.Sub(s.Created) != time.Hour {
			t.Errorf("it lasts %s, refresh token %t", s.Ends.Sub(s.Created), s.RefreshToken != "")
		}
	})
	t.Run("with a lease that is shorter than asked for", func(t *testing.T) {
		b, v := newVaultBed(t)
		v.set(func(v *vault) { v.most = 30 * time.Minute })
		br := b.browser(t)
		b.login(br, "jane", "vault:dev")
		if s, _ := b.session(t, br); s.Ends.Sub(s.Created) != 30*time.Minute {
			t.Errorf("it lasts %s", s.Ends.Sub(s.Created))
		}
	})
}

// TestAStoreInTroubleAtALogin leaves neither two sessions nor a user of Vault's
// that nobody has.
func TestAStoreInTroubleAtALogin(t *testing.T) {
	leases := []string{"aws/creds/dev/1 hvs.1"}
	for _, row := range []struct {
		reason string
		policy bool // the role is chosen after the login
		fail   func(*failing)
		status int
	}{
		{"the new session cannot be kept", false, func(f *failing) { f.create = session.ErrUnavailable }, http.StatusServiceUnavailable},
		{"the choice cannot be kept", true, func(f *failing) { f.update = session.ErrUnavailable }, http.StatusServiceUnavailable},
		{"the login has taken another role meanwhile", true, func(f *failing) { f.update = session.ErrConflict }, http.StatusForbidden},
		{"the login has ended meanwhile", true, func(f *failing) { f.update = session.ErrNotFound }, http.StatusUnauthorized},
	} {
		t.Run(row.reason, func(t *testing.T) {
			v, f := &vault{}, &failing{}
			b := newBed(t, func(c *loginproxy.Config) {
				f.Store, v.now = c.Sessions, c.Now
				c.Identities = append(c.Identities, loginproxy.Identity{Name: "dev", Vault: v})
				c.Sessions, c.Accepts = f, v.accept
				if row.policy {
					c.Policy = policy(t, "rules: [{everyone: true, identities: ['"+viewer+"', 'vault:dev']}]")
				}
			})
			br := b.browser(t)
			var a answer
			if row.policy {
				var picker answer
				br, picker = b.undecided(t)
				f.set(row.fail)
				a = br.submit(picker, "/login/oauth", "role", "vault:dev")
			} else {
				callback := b.begin(br, "jane", "vault:dev", "/pods")
				f.set(row.fail)
				a = br.page(callback)
			}
			if a.StatusCode != row.status {
				t.Errorf("status %d, want %d: %q", a.StatusCode, row.status, titleOf(a))
			}
			eventually(t, "the user being taken back", func() bool {
				v.mu.Lock()
				defer v.mu.Unlock()
				return cmp.Equal(leases, v.revoked)
			})
		})
	}
	t.Run("the session before cannot be ended", func(t *testing.T) {
		f := &failing{}
		b := newBed(t, func(c *loginproxy.Config) { f.Store, c.Sessions = c.Sessions, f })
		br := b.signedIn(t, "jane", viewer)
		leaving := br.submit(br.page("/login"), "/login/oauth", "role", admin)
		to, err := b.idp.SignIn(leaving.location(), "jane")
		if err != nil {
			t.Fatal(err)
		}
		f.set(func(f *failing) { f.end = session.ErrUnavailable })
		if a := br.page(to.RequestURI()); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d to %q", a.StatusCode, a.location())
		}
		if s, _ := b.session(t, br); s.Identity != viewer {
			t.Errorf("the browser has %s beside the session before", s.Identity)
		}
	})
}

// TestTheLoginPageLeadsOn once the cluster takes what Vault has made.
func TestTheLoginPageLeadsOn(t *testing.T) {
	b, v := newVaultBed(t)
	br := b.browser(t)
	b.login(br, "jane", "vault:dev")
	v.set(func(v *vault) { v.accepts = true })
	if a := br.page("/login?return_to=/pods"); a.StatusCode != http.StatusSeeOther || a.location() != "/pods" {
		t.Errorf("%d to %q", a.StatusCode, a.location())
	}
}

// TestPickersCookies: one that cannot be ours is replaced.
func TestPickersCookies(t *testing.T) {
	own := strings.Repeat("A", 32)
	for value, kept := range map[string]bool{own: true, "short": false, "": false, strings.Repeat("A", 33): false, own[:31] + "/": false} {
		b := newBed(t)
		br := b.browser(t)
		br.cookies[cookie+"-csrf"] = value
		br.page("/login")
		if got := br.cookies[cookie+"-csrf"]; (got == value) != kept || len(got) != 32 {
			t.Errorf("%q becomes %q", value, got)
		}
	}
}
