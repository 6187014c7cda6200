package webidentity_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakevault"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// vaultBed is a Vault that makes users in an AWS.
type vaultBed struct {
	*bed
	*fakevault.Server
	clock   *clock
	address string
}

func newVaultBed(t *testing.T, auth fakevault.AuthRole) *vaultBed {
	t.Helper()
	v := &vaultBed{bed: newBed(t), clock: &clock{now: time.Now()}}
	auth.BoundAudiences, auth.UserClaim = []string{"dashboard"}, "email"
	if auth.Policies == nil {
		auth.Policies = []string{"dev"}
	}
	must(v.iam.CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: &[]string{"developers"}[0]}))
	v.Server = fakevault.New(fakevault.Config{
		IAM: v.iam, Issuer: v.issuer, Now: v.clock.Now, Namespace: "team",
		AuthRoles: map[string]fakevault.AuthRole{"login": auth},
		AWSRoles: map[string]fakevault.AWSRole{"dev": {
			UserPath: "/vault/", Groups: []string{"developers"}, Tags: map[string]string{"issued-by": "vault"},
			PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
		}},
		Policies: map[string][]string{"dev": {"aws/creds/dev"}, "leases": {"aws/creds/*", "sys/leases/revoke"}},
	})
	v.address = serve(t, v.Server)
	return v
}

func (v *vaultBed) client(cfg webidentity.VaultConfig) *webidentity.Vault {
	if cfg.Addr == "" {
		cfg.Addr = v.address
	}
	if cfg.AWSRole == "" {
		cfg.AWSRole = "dev"
	}
	cfg.Namespace, cfg.AuthRole, cfg.Now = "team", "login", v.clock.Now
	return must(webidentity.NewVault(cfg))
}

// users are the names under which IAM has users of Vault.
func (v *vaultBed) users() []string {
	var names []string
	prefix := "/vault/"
	for _, u := range must(v.iam.ListUsers(v.t.Context(), &iam.ListUsersInput{PathPrefix: &prefix})).Users {
		names = append(names, *u.UserName)
	}
	return names
}

func TestVaultIssuesAndRevokes(t *testing.T) {
	for reason, policies := range map[string][]string{
		"with the default policy, the token takes the lease along": {"dev"},
		"with a policy for leases":                                 {"leases"},
	} {
		v, ctx := newVaultBed(t, fakevault.AuthRole{Policies: policies}), t.Context()
		client := v.client(webidentity.VaultConfig{Name: "developer"})
		jane, err := client.Issue(ctx, v.login("jane@example.com", nil).IDToken, time.Hour)
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		joe := must(client.Issue(ctx, v.login("joe@example.com", nil).IDToken, time.Hour))
		users := v.users()
		if len(users) != 2 || !strings.HasPrefix(users[0], "vault-jwt-jane@example.com-dev-") {
			t.Fatalf("%s: each person has an own user: got %v", reason, users)
		}
		if got := v.whoIs(jane.Credentials); got != "arn:aws:iam::123456789012:user/vault/"+users[0] {
			t.Errorf("%s: got %s", reason, got)
		}
		if want := v.clock.Now().Add(time.Hour); !jane.Expires.Equal(want) || !jane.Credentials.Expires.Equal(want) {
			t.Errorf("%s: it lasts as long as the session: got %s, want %s", reason, jane.Expires, want)
		}
		if !strings.HasPrefix(jane.LeaseID, "aws/creds/dev/") || client.Name() != "developer" {
			t.Errorf("%s: got %s of %s", reason, jane.LeaseID, client.Name())
		}
		for range 2 { // revoking what is gone is no error
			if err := client.Revoke(ctx, jane.LeaseID, jane.Token); err != nil {
				t.Errorf("%s: %v", reason, err)
			}
		}
		if diff := cmp.Diff(users[1:], v.users()); diff != "" {
			t.Errorf("%s: only this one's user goes: -want +got\n%s", reason, diff)
		}
		if got := v.whoIs(jane.Credentials); !strings.Contains(got, "InvalidClientTokenId") {
			t.Errorf("%s: the key goes with the user: got %s", reason, got)
		}
		v.clock.advance(time.Hour)
		if err := v.Expire(ctx); err != nil || len(v.users()) != 0 {
			t.Errorf("%s: what nobody revokes goes with the session: %v %v", reason, v.users(), err)
		}
		if err := client.Revoke(ctx, joe.LeaseID, joe.Token); err != nil {
			t.Errorf("%s: revoking what has gone by itself: %v", reason, err)
		}
	}
}

func TestVaultTokenIsLimitedToTheSession(t *testing.T) {
	for _, row := range []struct {
		reason string
		role   fakevault.AuthRole
		asked  time.Duration
		want   time.Duration // 0: refused
	}{
		{"a longer one is cut", fakevault.AuthRole{TokenTTL: 24 * time.Hour}, time.Hour, time.Hour},
		{"a shorter one is prolonged", fakevault.AuthRole{TokenTTL: time.Minute}, time.Hour, time.Hour},
		{"as far as Vault allows", fakevault.AuthRole{TokenTTL: time.Minute, TokenMaxTTL: 10 * time.Minute}, time.Hour, 10 * time.Minute},
		{"the right one stays", fakevault.AuthRole{TokenTTL: time.Hour, Batch: true}, time.Hour, time.Hour},
		{"a batch token that is shorter does", fakevault.AuthRole{TokenTTL: time.Minute, Batch: true}, time.Hour, time.Minute},
		{"a batch token that is longer does not", fakevault.AuthRole{TokenTTL: 2 * time.Hour, Batch: true}, time.Hour, 0},
		{"no time is left", fakevault.AuthRole{}, 0, 0},
	} {
		v := newVaultBed(t, row.role)
		got, err := v.client(webidentity.VaultConfig{}).Issue(t.Context(), v.login("jane@example.com", nil).IDToken, row.asked)
		if row.want == 0 {
			if err == nil || len(v.users()) != 0 || len(v.Leases()) != 0 {
				t.Errorf("%s: got %v and %v", row.reason, err, v.users())
			}
			continue
		}
		if err != nil || !got.Expires.Equal(v.clock.Now().Add(row.want)) {
			t.Errorf("%s: got %s from now, want %s: %v", row.reason, got.Expires.Sub(v.clock.Now()), row.want, err)
		}
		v.clock.advance(row.want - time.Second)
		if err := v.Expire(t.Context()); err != nil || len(v.users()) != 1 {
			t.Errorf("%s: before its end it is there: %v", row.reason, err)
		}
		v.clock.advance(time.Second)
		if err := v.Expire(t.Context()); err != nil || len(v.users()) != 0 {
			t.Errorf("%s: at its end it is gone: %v", row.reason, err)
		}
	}
}

func TestVaultSortsRefusals(t *testing.T) {
	v := newVaultBed(t, fakevault.AuthRole{})
	good := v.login("jane@example.com", nil)
	old := v.login("jane@example.com", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})
	other := v.login("jane@example.com", map[string]any{"aud": "other"})
	for _, row := range []struct {
		reason string
		cfg    webidentity.VaultConfig
		token  string
		want   error
		denied string
	}{
		{"an audience that the role is not bound to", webidentity.VaultConfig{}, other.IDToken, nil, "does not match any bound audience"},
		{"an old login", webidentity.VaultConfig{}, old.IDToken, webidentity.ErrExpiredLogin, ""},
		{"no token", webidentity.VaultConfig{}, "x", nil, "malformed jwt"},
		{"another mount", webidentity.VaultConfig{AuthMount: "oidc/x"}, good.IDToken, nil, "no handler"},
		{"an AWS role that the policy does not allow", webidentity.VaultConfig{AWSRole: "ops"}, good.IDToken, nil, "permission denied"},
		{"nobody there", webidentity.VaultConfig{Addr: "http://127.0.0.1:1"}, good.IDToken, webidentity.ErrUnavailable, ""},
		{"too many calls", webidentity.VaultConfig{Addr: serve(t, answering(http.StatusTooManyRequests))}, good.IDToken, webidentity.ErrThrottled, ""},
		{"sealed", webidentity.VaultConfig{Addr: serve(t, answering(http.StatusServiceUnavailable))}, good.IDToken, webidentity.ErrUnavailable, ""},
		{"a page instead of JSON", webidentity.VaultConfig{Addr: serve(t, answering(http.StatusOK))}, good.IDToken, webidentity.ErrUnavailable, ""},
	} {
		_, err := v.client(row.cfg).Issue(t.Context(), row.token, time.Hour)
		denied, _ := errors.AsType[*webidentity.Denied](err)
		switch {
		case row.denied == "" && !errors.Is(err, row.want),
			row.denied != "" && (denied == nil || !strings.Contains(denied.Message, row.denied)):
			t.Errorf("%s: got %v, want %v%s", row.reason, err, row.want, row.denied)
		case strings.Contains(err.Error(), good.IDToken):
			t.Errorf("%s: the token stands in the error", row.reason)
		}
	}
	v.Inject(fakeaws.Fault{Action: "CreateAccessKey", Effect: fakeaws.Denied})
	if _, err := v.client(webidentity.VaultConfig{}).Issue(t.Context(), good.IDToken, time.Hour); !errors.Is(err, webidentity.ErrUnavailable) {
		t.Errorf("a Vault that AWS refuses: got %v", err)
	}
	if users := v.users(); len(users) != 0 {
		t.Errorf("what was half made is taken back: got %v", users)
	}
}

func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>"))
	})
}

func TestVaultRedirects(t *testing.T) {
	v := newVaultBed(t, fakevault.AuthRole{})
	good := v.login("jane@example.com", nil).IDToken
	standby := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, v.address+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	client := v.client(webidentity.VaultConfig{Addr: standby + "/"})
	made, err := client.Issue(t.Context(), good, time.Hour)
	if err != nil {
		t.Fatalf("a standby names the active node: got %v", err)
	}
	if err := client.Revoke(t.Context(), made.LeaseID, made.Token); err != nil || len(v.users()) != 0 {
		t.Errorf("revoking through a standby: got %v", err)
	}

	var reached bool
	plain := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = v.client(webidentity.VaultConfig{Addr: secure.URL, CAFile: ca}).Issue(t.Context(), good, time.Hour)
	if !errors.Is(err, webidentity.ErrUnavailable) || reached || !strings.Contains(err.Error(), "307") {
		t.Errorf("no token goes from https to http: got %v, reached %t", err, reached)
	}
}

func TestNewVaultRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for reason, cfg := range map[string]webidentity.VaultConfig{
		"no address":                       {AWSRole: "dev"},
		"an address without a scheme":      {Addr: "vault:8200", AWSRole: "dev"},
		"an address with a password":       {Addr: "https://a:b@vault:8200", AWSRole: "dev"},
		"no role":                          {Addr: "https://vault:8200"},
		"a mount that climbs":              {Addr: "https://vault:8200", AWSRole: "dev", AWSMount: "aws/../sys"},
		"a role that climbs":               {Addr: "https://vault:8200", AWSRole: ".."},
		"certificates that are not there":  {Addr: "https://vault:8200", AWSRole: "dev", CAFile: empty + "x"},
		"certificates that are not any":    {Addr: "https://vault:8200", AWSRole: "dev", CAFile: empty},
		"an auth mount of slashes between": {Addr: "https://vault:8200", AWSRole: "dev", AuthMount: "a//b"},
	} {
		if _, err := webidentity.NewVault(cfg); err == nil {
			t.Errorf("%s is taken", reason)
		}
	}
}
