package loginproxy_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// vault issues IAM users without Vault.
type vault struct {
	now     func() time.Time
	mu      sync.Mutex
	maxTTL  time.Duration
	most    time.Duration // that a lease lasts; 0: as long as is asked for
	revoked []string
	tokens  []string // that the cluster was asked about
	accepts bool
	err     error
}

func (v *vault) Issue(_ context.Context, idToken string, maxTTL time.Duration) (webidentity.VaultIdentity, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if idToken == "" {
		return webidentity.VaultIdentity{}, errors.New("no ID token")
	}
	v.maxTTL = maxTTL
	if v.most > 0 {
		maxTTL = min(maxTTL, v.most)
	}
	ends := v.now().Add(maxTTL)
	return webidentity.VaultIdentity{
		Credentials: webidentity.Credentials{AccessKeyID: "AKIAVAULT", SecretAccessKey: "vault-secret", Expires: ends},
		LeaseID:     "aws/creds/dev/1", Token: "hvs.1", Expires: ends,
	}, nil
}

func (v *vault) Revoke(_ context.Context, lease, token string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoked = append(v.revoked, lease+" "+token)
	return nil
}

func (v *vault) accept(_ context.Context, token string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tokens = append(v.tokens, token)
	return v.accepts, v.err
}

func (v *vault) set(change func(*vault)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

func newVaultBed(t *testing.T) (*bed, *vault) {
	t.Helper()
	v := &vault{now: time.Now}
	b := newBed(t, func(c *loginproxy.Config) {
		c.Identities = append(c.Identities, loginproxy.Identity{Name: "dev", Vault: v})
		v.now = c.Now
		c.Accepts, c.MaxAge = v.accept, 8*time.Hour
	})
	return b, v
}

func TestAnIdentityOfVault(t *testing.T) {
	b, v := newVaultBed(t)
	br := b.browser(t)
	b.login(br, "jane", "vault:dev")
	if v.maxTTL != 8*time.Hour {
		t.Errorf("the lease may last %s", v.maxTTL)
	}
	a := br.page("/pods")
	if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "Almost there") || !strings.Contains(a.body, `http-equiv="refresh"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, target := range []string{"/api/v1/pods", "/login/check"} {
		if a := br.get(target); a.StatusCode == http.StatusOK || strings.Contains(a.body, "hello") {
			t.Errorf("%s: %d", target, a.StatusCode)
		}
	}
	if got := raw(t, b.address(), "GET /ws HTTP/1.1\r\n"+upgradeHead+"Connection: Upgrade\r\nUpgrade: websocket\r\nCookie: "+cookie+"="+br.cookies[cookie]+"\r\n\r\n"); strings.Contains(got, "101") {
		t.Errorf("a WebSocket: %s", got)
	}
	if got := b.upstream.took(); got != nil {
		t.Fatalf("the upstream got %v before the cluster took the user", got)
	}
	if a := br.page("/login?return_to=/pods"); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.body, "Almost there") {
		t.Errorf("the sign-in page: %d", a.StatusCode)
	}
	v.set(func(v *vault) { v.err = errors.New("no route to the cluster") })
	b.clock.Add(2 * time.Second)
	if a := br.page("/pods"); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the cluster is away: %d", a.StatusCode)
	}
	v.set(func(v *vault) { v.err, v.accepts = nil, true })
	b.clock.Add(2 * time.Second)
	if a := br.page("/pods"); a.StatusCode != http.StatusOK {
		t.Errorf("the cluster takes the user: %d %s", a.StatusCode, a.body)
	}
	seen := map[string]bool{}
	for _, token := range v.tokens {
		if seen[token] {
			t.Error("the cluster was asked twice with the same token")
		}
		seen[token] = true
	}
	s, _ := b.session(t, br)
	if s.Pending {
		t.Error("the session is still pending")
	}
	if got := b.upstream.took(); len(got) != 1 {
		t.Errorf("the upstream got %v", got)
	}
	asked := len(v.tokens)
	b.token(t, br)
	if len(v.tokens) != asked {
		t.Error("the cluster was asked again")
	}
	br.submit(br.page("/login"), "/login/logout")
	eventually(t, "revocation", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return cmp.Equal([]string{"aws/creds/dev/1 hvs.1"}, v.revoked)
	})
}

// TestWhatVaultIssuedIsNotRenewed: the proxy may have nobody who assumes roles.
func TestWhatVaultIssuedIsNotRenewed(t *testing.T) {
	v := &vault{accepts: true}
	b := newBed(t, func(c *loginproxy.Config) {
		v.now = c.Now
		c.Identities = []loginproxy.Identity{{Name: "dev", Vault: v}}
		c.Assumer, c.Accepts, c.MaxAge = nil, v.accept, time.Hour
	})
	br := b.signedIn(t, "jane", "")
	br.get("/x")
	if s, ok := b.session(t, br); !ok || s.RefreshToken != "" || s.Credentials.Expires.IsZero() {
		t.Errorf("want a session without a refresh token and with credentials that end, got %v %q %s", ok, s.RefreshToken, s.Credentials.Expires)
	}
	calls := b.idp.Calls()[fakeidp.Token]
	s := webSocket(t, b.address(), br.cookies[cookie])
	b.clock.Add(58 * time.Minute)
	b.token(t, br)
	b.clock.Add(3 * time.Minute)
	if took := s.closes(t, time.Now()); took > 2*time.Second {
		t.Errorf("the WebSocket stayed for %s", took)
	}
	if a := br.get("/x"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("when the lease has ended: %d", a.StatusCode)
	}
	if got := b.idp.Calls()[fakeidp.Token]; got != calls || b.logged("Renew") {
		t.Errorf("%d refreshes:\n%s", got-calls, b.log)
	}
}

func TestVaultIdentitiesNeedACluster(t *testing.T) {
	b, _ := newVaultBed(t)
	c := b.config
	c.Registerer, c.Accepts = nil, nil
	if _, err := loginproxy.New(c); err == nil || !strings.Contains(err.Error(), "need a Kubernetes server") {
		t.Errorf("%v", err)
	}
}
