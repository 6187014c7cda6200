package webidentity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// VaultConfig says which Vault issues IAM users, and through which mounts.
type VaultConfig struct {
	// Name is how people know it in the list of identities.
	Name string
	// Addr is Vault's address, such as https://vault.example.com:8200.
	Addr string
	// Namespace is Vault's namespace, empty without.
	Namespace string
	// CAFile holds the certificates that vouch for Vault, in PEM. Default: the
	// system's. Not looked at with a Transport of your own.
	CAFile string
	// AuthMount is where the JWT auth method is mounted. Default jwt.
	AuthMount string
	// AuthRole is the role to log in as; the client id of the login must be among
	// its bound_audiences. Default: the mount's default_role.
	AuthRole string
	// AWSMount is where the AWS secrets engine is mounted. Default aws.
	AWSMount string
	// AWSRole is the role of that engine. Required.
	AWSRole string
	// HTTPClient carries requests; its redirect rule is replaced. Default: one of
	// its own with CAFile and a limit of 10 seconds a request.
	HTTPClient *http.Client
	// Now is the clock that Expires is reckoned by. Default time.Now.
	Now func() time.Time
}

// VaultIdentity is an IAM user that Vault made for one login.
type VaultIdentity struct {
	Credentials
	// LeaseID and Token are what revokes it.
	LeaseID, Token string
	// Expires is when Vault deletes the user, unless it is revoked before.
	Expires time.Time
}

// Vault issues IAM users. It is safe for concurrent use.
type Vault struct {
	name   string
	login  string // path under /v1/
	role   string
	creds  string // path under /v1/
	base   string
	header http.Header
	client *http.Client
	now    func() time.Time
}

const (
	vaultTime = 10 * time.Second
	// cleanupTime is how long a login that came to nothing may be undone.
	cleanupTime = 5 * time.Second
)

// NewVault checks the configuration and reads CAFile; it asks nothing of Vault.
func NewVault(cfg VaultConfig) (*Vault, error) {
	u, err := url.Parse(cfg.Addr)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address of Vault is %q, but must be like https://vault.example.com:8200", cfg.Addr)
	}
	if cfg.AWSRole == "" {
		return nil, errors.New("the role of Vault's AWS secrets engine is not set")
	}
	auth, err := escaped(orDefault(cfg.AuthMount, "jwt"))
	if err != nil {
		return nil, err
	}
	mount, err := escaped(orDefault(cfg.AWSMount, "aws"))
	if err != nil {
		return nil, err
	}
	role, err := escaped(cfg.AWSRole)
	if err != nil {
		return nil, err
	}
	client, err := vaultClient(cfg)
	if err != nil {
		return nil, err
	}
	v := &Vault{
		name: cfg.Name, login: "auth/" + auth + "/login", role: cfg.AuthRole, creds: mount + "/creds/" + role,
		base: strings.TrimSuffix(u.String(), "/") + "/v1/", client: client, now: cfg.Now,
		header: http.Header{"X-Vault-Request": {"true"}},
	}
	if cfg.Namespace != "" {
		v.header.Set("X-Vault-Namespace", cfg.Namespace)
	}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// escaped writes a mount or role as it stands in a path; a mount may have slashes.
func escaped(path string) (string, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		if slices.Contains([]string{"", ".", ".."}, part) {
			return "", fmt.Errorf("%q is no mount or role of Vault", path)
		}
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/"), nil
}

func vaultClient(cfg VaultConfig) (*http.Client, error) {
	client := &http.Client{Timeout: vaultTime}
	if cfg.HTTPClient != nil {
		*client = *cfg.HTTPClient
	} else if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the certificates that vouch for Vault: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", cfg.CAFile)
		}
		transport := &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}
		client.Transport = transport
	}
	client.CheckRedirect = toTheActiveNode
	return client, nil
}

// toTheActiveNode follows the one redirect by which a standby names the active
// node, and never from https to http: the token goes along.
func toTheActiveNode(r *http.Request, via []*http.Request) error {
	if len(via) > 1 || r.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// Name is VaultConfig.Name.
func (v *Vault) Name() string { return v.name }

// Issue logs in with an ID token and has Vault make an IAM user, which lasts at
// most maxTTL: the Vault token that it hangs on is cut to that, so that the user
// goes even if nobody revokes it. Errors are like Assumer.Assume's.
func (v *Vault) Issue(ctx context.Context, idToken string, maxTTL time.Duration) (VaultIdentity, error) {
	if maxTTL < time.Second {
		return VaultIdentity{}, fmt.Errorf("%w: no time is left of the session", ErrExpiredLogin)
	}
	begun := v.now()
	auth, err := v.logIn(ctx, idToken)
	if err != nil {
		return VaultIdentity{}, fmt.Errorf("logging in to Vault: %w", err)
	}
	made, err := v.issue(ctx, auth, maxTTL)
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		// What goes wrong here is Vault's to clean up at the end of the token.
		_ = v.send(undo, vaultCall{method: http.MethodPost, path: "auth/token/revoke-self", token: auth.Token}, nil)
		return VaultIdentity{}, err
	}
	made.Expires = begun.Add(made.ttl)
	made.VaultIdentity.Credentials.Expires = made.Expires
	return made.VaultIdentity, nil
}

// issued is an identity and how long it lasts.
type issued struct {
	VaultIdentity
	ttl time.Duration
}

func (v *Vault) issue(ctx context.Context, auth vaultAuth, maxTTL time.Duration) (issued, error) {
	ttl, err := v.limit(ctx, auth, maxTTL)
	if err != nil {
		return issued{}, err
	}
	var secret struct {
		LeaseID       string `json:"lease_id"`
		LeaseDuration int64  `json:"lease_duration"`
		Data          struct {
			AccessKey     string `json:"access_key"`
			SecretKey     string `json:"secret_key"`
			SecurityToken string `json:"security_token"`
		} `json:"data"`
	}
	if err := v.send(ctx, vaultCall{method: http.MethodGet, path: v.creds, token: auth.Token}, &secret); err != nil {
		return issued{}, fmt.Errorf("reading %s from Vault: %w", v.creds, err)
	}
	if secret.Data.AccessKey == "" || secret.Data.SecretKey == "" || secret.LeaseID == "" {
		return issued{}, fmt.Errorf("%w: %s of Vault gave no credentials with a lease", ErrUnavailable, v.creds)
	}
	if lease := seconds(secret.LeaseDuration); lease > 0 {
		ttl = min(ttl, lease)
	}
	return issued{ttl: ttl, VaultIdentity: VaultIdentity{
		Credentials: Credentials{AccessKeyID: secret.Data.AccessKey, SecretAccessKey: secret.Data.SecretKey, SessionToken: secret.Data.SecurityToken},
		LeaseID:     secret.LeaseID, Token: auth.Token,
	}}, nil
}

// limit makes the token last for maxTTL, or for what Vault allows if that is
// less, and gives what it then is.
func (v *Vault) limit(ctx context.Context, auth vaultAuth, maxTTL time.Duration) (time.Duration, error) {
	ttl := seconds(auth.LeaseDuration)
	within := ttl > 0 && ttl <= maxTTL
	if ttl == maxTTL {
		return ttl, nil
	}
	if auth.Renewable {
		var renewed struct {
			Auth vaultAuth `json:"auth"`
		}
		err := v.send(ctx, vaultCall{
			method: http.MethodPost, path: "auth/token/renew-self", token: auth.Token,
			body: map[string]any{"increment": int64(maxTTL / time.Second)},
		}, &renewed)
		if err != nil && !within {
			return 0, fmt.Errorf("limiting Vault's token to the session: %w", err)
		}
		if err == nil {
			ttl = seconds(renewed.Auth.LeaseDuration)
			within = ttl > 0 && ttl <= maxTTL
		}
	}
	if !within {
		return 0, &Denied{Code: "TokenTooLong", Message: fmt.Sprintf(
			"the token of Vault's auth role lasts %s and cannot be limited to the session's %s: set its token_ttl, and neither a period nor type batch", ttl, maxTTL)}
	}
	return ttl, nil
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// Revoke has Vault delete the IAM user and forget the token. It succeeds if both
// are gone already.
func (v *Vault) Revoke(ctx context.Context, leaseID, token string) error {
	// Only some policies allow this; ending the token ends its leases, too.
	lease := v.send(ctx, vaultCall{
		method: http.MethodPut, path: "sys/leases/revoke", token: token,
		body: map[string]any{"lease_id": leaseID, "sync": true},
	}, nil)
	err := v.send(ctx, vaultCall{method: http.MethodPost, path: "auth/token/revoke-self", token: token}, nil)
	switch {
	case err == nil || isForgotten(err):
		return nil
	case lease == nil:
		return fmt.Errorf("the lease is revoked, its token not: %w", err)
	}
	return fmt.Errorf("revoking the lease in Vault: %w", err)
}

// isForgotten tells whether Vault does not know the token any more.
func isForgotten(err error) bool {
	denied, ok := errors.AsType[*Denied](err)
	return ok && (strings.Contains(denied.Message, "invalid token") || strings.Contains(denied.Message, "bad token"))
}
