package oidclogin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// firstRetry and lastRetry bound the wait after a discovery that went wrong;
	// it doubles in between.
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
	// rediscover is how often a provider that was found is looked at anew, so
	// that addresses that moved and keys that were withdrawn are noticed.
	rediscover = time.Hour
)

// discovered is what the provider says of itself, checked.
type discovered struct {
	provider      *oidc.Provider
	keys          *keySet
	algorithms    []string
	endpoint      oauth2.Endpoint
	endSession    *url.URL // nil: none
	issRequired   bool
	userInfoKnown bool
}

// document holds the fields of the discovery document that go-oidc does not
// look at (OpenID Connect Discovery 1.0, section 3; RFC 9207, section 3;
// RP-Initiated Logout 1.0, section 2.1).
type document struct {
	AuthURL     string    `json:"authorization_endpoint"`
	TokenURL    string    `json:"token_endpoint"`
	KeysURL     string    `json:"jwks_uri"`
	UserInfoURL string    `json:"userinfo_endpoint"`
	EndSession  string    `json:"end_session_endpoint"`
	Algorithms  []string  `json:"id_token_signing_alg_values_supported"`
	AuthMethods *[]string `json:"token_endpoint_auth_methods_supported"`
	IssRequired bool      `json:"authorization_response_iss_parameter_supported"`
}

// Run looks for the provider until it is found, and now and then again. It
// returns nil when ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	if strings.HasPrefix(p.config.Issuer, "http://") {
		p.config.Log.Info("the issuer is reached over plain http: whoever is on the way can log in as anybody", "issuer", p.config.Issuer)
	}
	wait := firstRetry
	for {
		err := p.discover(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end was asked for
		}
		pause := rediscover
		if err != nil {
			p.config.Log.Error(err, "cannot find the login provider", "issuer", p.config.Issuer, "retryIn", wait.String())
			pause, wait = wait, min(2*wait, lastRetry)
		} else {
			wait = firstRetry
		}
		timer := time.NewTimer(jitter(pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// jitter returns between 90 and 110 percent of d, so that replicas spread out.
func jitter(d time.Duration) time.Duration {
	return d*9/10 + rand.N(d/5) //nolint:gosec // nothing secret hangs on it
}

// Ready tells whether logins are possible: nil once the provider was found,
// else ErrUnavailable with what went wrong last.
func (p *Provider) Ready() error {
	_, err := p.found()
	return err
}

func (p *Provider) found() (*discovered, error) {
	if d := p.discovered.Load(); d != nil {
		return d, nil
	}
	if trouble := p.trouble.Load(); trouble != nil {
		return nil, unavailable("discovery of "+p.config.Issuer, errors.New(*trouble))
	}
	return nil, unavailable("discovery of "+p.config.Issuer, errors.New("not done yet"))
}

// discover asks the provider once; what was found before stays if that fails. An
// error also says that only its keys could not be had.
func (p *Provider) discover(ctx context.Context) error {
	d, err := p.ask(ctx)
	if err != nil {
		trouble := err.Error()
		p.trouble.Store(&trouble)
		return err
	}
	before := p.discovered.Load()
	if before == nil {
		p.discovered.Store(d)
		p.config.Log.Info("found the login provider", "issuer", p.config.Issuer, "algorithms", d.algorithms)
		return nil
	}
	err = d.keys.succeed(ctx, before.keys)
	p.discovered.Store(d)
	return err
}

func (p *Provider) ask(ctx context.Context) (*discovered, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), callTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, p.config.Issuer)
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, fmt.Errorf("the provider at %s calls itself %.200q: the issuer must be written like that", p.config.Issuer, mismatch.Discovered)
	}
	if err != nil {
		return nil, shorten(err)
	}
	var doc document
	if err := provider.Claims(&doc); err != nil {
		return nil, fmt.Errorf("the discovery document cannot be read: %w", err)
	}
	return p.check(provider, doc)
}

// shorten keeps pages that a proxy in between answers with out of the log.
func shorten(err error) error {
	if text := err.Error(); len(text) > 300 {
		return errors.New(text[:300] + "…")
	}
	return err
}

func (p *Provider) check(provider *oidc.Provider, doc document) (*discovered, error) {
	for _, e := range []struct {
		name, address string
		required      bool
	}{
		{"authorization_endpoint", doc.AuthURL, true},
		{"token_endpoint", doc.TokenURL, true},
		{"jwks_uri", doc.KeysURL, true},
		{"userinfo_endpoint", doc.UserInfoURL, false},
		{"end_session_endpoint", doc.EndSession, false},
	} {
		if e.address == "" && !e.required {
			continue
		}
		if err := p.checkEndpoint(e.address); err != nil {
			return nil, fmt.Errorf("the discovery document's %s: %w", e.name, err)
		}
	}
	algorithms, err := allowed(doc.Algorithms)
	if err != nil {
		return nil, err
	}
	style, err := p.authStyle(doc.AuthMethods)
	if err != nil {
		return nil, err
	}
	d := &discovered{
		provider:      provider,
		keys:          newKeySet(p.client, doc.KeysURL, algorithms, p.config.Now),
		algorithms:    algorithms,
		endpoint:      oauth2.Endpoint{AuthURL: doc.AuthURL, TokenURL: doc.TokenURL, AuthStyle: style},
		issRequired:   doc.IssRequired,
		userInfoKnown: doc.UserInfoURL != "",
	}
	if doc.EndSession != "" {
		if d.endSession, err = url.Parse(doc.EndSession); err != nil {
			return nil, fmt.Errorf("the discovery document's end_session_endpoint: %w", err)
		}
	}
	return d, nil
}

// checkEndpoint takes https, and http only if the issuer has no better.
func (p *Provider) checkEndpoint(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%.200q is not a whole address", address)
	case u.Scheme == "https", u.Scheme == "http" && strings.HasPrefix(p.config.Issuer, "http://"):
		return nil
	default:
		return fmt.Errorf("%.200q must begin with https://", address)
	}
}

// allowed returns the algorithms among those listed that sign with a private
// key. None listed means RS256, which every provider has to know (OpenID Connect
// Core 1.0, section 15.1). "none" and HS256 are never among them: nothing stands
// behind the one, and the key of the other is known to us and may be weak.
func allowed(listed []string) ([]string, error) {
	if len(listed) == 0 {
		return []string{oidc.RS256}, nil
	}
	good := []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
		oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
	good = slices.DeleteFunc(good, func(a string) bool { return !slices.Contains(listed, a) })
	if len(good) == 0 {
		return nil, fmt.Errorf("the provider signs ID tokens only with %.200q: have it use RS256 or ES256", listed)
	}
	return good, nil
}

// authStyle picks how we prove ourselves. It is never found out by trying: a
// second try with the same code or refresh token looks like theft to a provider.
func (p *Provider) authStyle(methods *[]string) (oauth2.AuthStyle, error) {
	switch {
	case p.config.ClientSecret == "":
		return oauth2.AuthStyleInParams, nil
	case methods == nil || slices.Contains(*methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil
	case slices.Contains(*methods, "client_secret_post"):
		return oauth2.AuthStyleInParams, nil
	}
	return 0, fmt.Errorf("the provider takes client secrets in no way that we know, only %.200q", *methods)
}
