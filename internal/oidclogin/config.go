package oidclogin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Leeway is how far the provider's clock and ours may be apart: a token counts
// until this long after its end, and from this long before its beginning.
const Leeway = 150 * time.Second

// googleIssuer gives refresh tokens in a way of its own.
const googleIssuer = "https://accounts.google.com"

// Config says who the provider is, who we are there, and who may come in.
type Config struct {
	// Issuer is the provider's name, an https address, exactly as its discovery
	// document has it. Plain http is taken and is as safe as the network.
	Issuer string
	// ClientID and ClientSecret are what the provider knows us by. An empty
	// secret makes this a public client, which PKCE alone protects.
	ClientID     string
	ClientSecret string
	// Scopes are asked for. Default openid, email, profile. Refresh tokens take
	// offline_access, which is put to Google in the way that Google knows.
	Scopes []string
	// EmailDomains are the domains whose addresses may come in. Default: all.
	// Sub-domains are domains of their own.
	EmailDomains []string
	// IgnoreEmailVerification lets addresses in that the provider has not
	// verified. Dangerous where people can choose their address themselves.
	IgnoreEmailVerification bool
	// RequireEmail refuses people without an email address. EmailDomains do so too.
	RequireEmail bool
	// HTTPClient reaches the provider. Its redirect policy is replaced, and a
	// timeout of 10s added if it has none. Default: http.DefaultTransport.
	HTTPClient *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Log takes the outcome of discovery. Default: none.
	Log logr.Logger
}

// Provider is the provider as far as we know it. It is safe for concurrent use.
type Provider struct {
	config     Config
	client     *http.Client
	discovered atomic.Pointer[discovered] // nil before the first discovery
	trouble    atomic.Pointer[string]     // why the last discovery went wrong
}

// New checks the words of a Config; it asks nobody. The error joins one sentence
// for each mistake.
func New(config Config) (*Provider, error) {
	config.Scopes = slices.Clone(config.Scopes)
	if len(config.Scopes) == 0 {
		config.Scopes = []string{"openid", "email", "profile"}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	domains, err := readDomains(config.EmailDomains)
	config.EmailDomains = domains
	if err := errors.Join(checkIssuer(config.Issuer), checkClient(config), err); err != nil {
		return nil, err
	}
	return &Provider{config: config, client: newClient(config.HTTPClient)}, nil
}

func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("the issuer is missing")
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("the issuer %q is not an address", issuer)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("the issuer %q must begin with https:// and a host", issuer)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("the issuer %q must have no user, query or fragment", u.Redacted())
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		return fmt.Errorf("the issuer %q must stop before /.well-known", issuer)
	}
	return nil
}

func checkClient(config Config) error {
	if config.ClientID == "" {
		return errors.New("the client ID is missing")
	}
	for _, scope := range config.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("the scope %q is not one word", scope)
		}
	}
	if !slices.Contains(config.Scopes, "openid") {
		return errors.New("the scopes must contain openid")
	}
	if len(config.EmailDomains) > 0 && !slices.Contains(config.Scopes, "email") {
		return errors.New("email domains need the scope email")
	}
	return nil
}
