package loginproxy

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// Identity is one that people can choose at login: a role or, if Vault is set,
// an IAM user that Vault makes for each login.
type Identity struct {
	// Name is what people see. Default for a role: its name in the ARN. Required
	// with Vault.
	Name string
	// ARN is the role's.
	ARN string
	// Vault issues the identity. Default: none.
	Vault Vault
	// Sources name ways in which credentials of the identity are had, such as a
	// mode of STS or the address of a Vault: first the one that is used, which
	// sessions note, then those that are as good. Credentials that a session has
	// from elsewhere are not used any more. Default: one without a name.
	Sources []string
}

// Vault makes an IAM user for somebody who logged in, and takes it back.
type Vault interface {
	Issue(ctx context.Context, idToken string, maxTTL time.Duration) (webidentity.VaultIdentity, error)
	Revoke(ctx context.Context, leaseID, token string) error
}

// Assumer turns a login into credentials of a role. Errors: *webidentity.Denied
// when AWS refuses, webidentity.ErrExpiredLogin when the login is too old,
// everything else is trouble that may pass.
type Assumer interface {
	Assume(ctx context.Context, roleARN string, p webidentity.Person) (webidentity.Credentials, error)
}

// Provider is the OpenID Connect provider. Errors: *oidclogin.Refused is for
// good, everything else is trouble that may pass.
type Provider interface {
	LoginProvider
	LogoutProvider
	KnownProvider
}

// KnownProvider is what can be said of the provider without asking it.
type KnownProvider interface {
	// Ready tells why logging in cannot work.
	Ready() error
	// Admits tells whether a login that was verified before would be let in now.
	// The error is *oidclogin.Refused.
	Admits(l oidclogin.Login) error
}

// LoginProvider verifies logins.
type LoginProvider interface {
	AuthCodeURL(a oidclogin.Attempt, redirectURI string) (string, error)
	Exchange(ctx context.Context, a oidclogin.Attempt, c oidclogin.Callback) (oidclogin.Login, error)
	Refresh(ctx context.Context, old oidclogin.Login) (oidclogin.Login, error)
}

// LogoutProvider ends logins, and says that they ended.
type LogoutProvider interface {
	EndSessionURL(idTokenHint, postLogoutRedirect string) (string, bool)
	LogoutToken(ctx context.Context, raw string) (oidclogin.Logout, error)
}

// Store keeps sessions; *session.Memory and *session.Redis do. Errors:
// session.ErrNotFound, session.ErrConflict; everything else is trouble that may
// pass, during which nobody gets in.
type Store interface {
	StoreReader
	StoreWriter
	StoreEvents
}

// StoreReader reads sessions.
type StoreReader interface {
	Get(ctx context.Context, id session.ID) (session.Session, error)
	Peek(ctx context.Context, id session.ID) (session.Session, error)
	Ready(ctx context.Context) error
}

// StoreWriter writes sessions.
type StoreWriter interface {
	Create(ctx context.Context, id session.ID, s session.Session) error
	Update(ctx context.Context, id session.ID, s session.Session) error
	End(ctx context.Context, id session.ID) (session.Session, error)
}

// StoreEvents is about sessions that several replicas know.
type StoreEvents interface {
	EndIndexed(ctx context.Context, i session.Index) ([]session.Session, error)
	Lock(ctx context.Context, id session.ID, ttl time.Duration) (release func(), ok bool, err error)
	Watch(ctx context.Context, ended func(key string), recheck func()) error
}

// Config says whom to let through, and to what.
type Config struct {
	// LoginURL is the path under which the proxy's own pages lie: clean and
	// absolute, not /, /api or /apis. Default /login.
	LoginURL string
	// PublicURL is the origin at which browsers reach the proxy, without a path.
	// Default: what each request says: scheme from TLS or X-Forwarded-Proto, host
	// from Host or, if a trusted proxy sent it, X-Forwarded-Host.
	PublicURL *url.URL
	// TrustedProxies are those whose X-Forwarded-* and X-Original-* are believed.
	// Default: none.
	TrustedProxies []netip.Prefix
	// Upstream is where requests go: scheme and host. Required.
	Upstream *url.URL
	// Transport carries requests to the upstream. Default: one that speaks HTTP/2
	// to https and waits a minute for the head of an answer.
	Transport http.RoundTripper
	// PreserveHost sends the client's Host to the upstream. Default: Upstream's.
	PreserveHost bool
	// UpstreamCSP sets a strict Content-Security-Policy on the upstream's answers,
	// also in place of their own. Default: theirs are left alone.
	UpstreamCSP bool
	// ClusterName and Region are what tokens are made for. Required.
	ClusterName, Region string
	// Identities are what people choose from. At least one.
	Identities []Identity
	// Policy says who may take which identity. Default: everybody whom Provider
	// lets in may take each, and IAM decides.
	Policy *Policy
	// Issuer and ClientID only tell cookies of several proxies on one host apart.
	Issuer, ClientID string
	Provider         Provider
	Sessions         Store
	// Assumer is required if an identity is a role.
	Assumer Assumer
	// Keys seal what is kept in cookies. Required.
	Keys *session.Keys
	// CookieName is the session cookie's, without __Host-. Default: eks-auth- and
	// a hash of Issuer, ClientID, ClusterName and LoginURL.
	CookieName string
	// MaxAge is how long a session lasts at most. Default 12 hours.
	MaxAge time.Duration
	// Idle is after how long without a request Sessions ends a session; those
	// with an open stream are kept in use. Default 1 hour.
	Idle time.Duration
	// Accepts tells whether the cluster takes a token. Required if an identity is
	// issued by Vault.
	Accepts func(ctx context.Context, token string) (bool, error)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Rand is the source of ids, safe for concurrent use. Default: crypto/rand.
	Rand io.Reader
	// Log takes one line for each request. Default: none.
	Log logr.Logger
	// Registerer takes the metrics. Default: none.
	Registerer prometheus.Registerer
}

const (
	defaultLoginURL = "/login"
	defaultMaxAge   = 12 * time.Hour
	defaultIdle     = time.Hour
	answerTimeout   = time.Minute
	idleUpstream    = 256
)

func (c Config) withDefaults() Config {
	if c.LoginURL == "" {
		c.LoginURL = defaultLoginURL
	}
	if c.Transport == nil {
		c.Transport = NewTransport()
	}
	if c.CookieName == "" {
		c.CookieName = derivedName(c)
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultMaxAge
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return c
}

// NewTransport makes the default transport, for callers that trust other
// authorities than the system's. It leaves bodies as they are: it asks for no
// compression itself.
func NewTransport() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          idleUpstream,
		MaxIdleConnsPerHost:   idleUpstream,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: answerTimeout,
		DisableCompression:    true,
	}
}
