package oidclogin

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Attempt is one attempt to log in: three secrets of 32 random bytes each, in
// base64url. It must be kept with the browser that began it, and used once.
type Attempt struct {
	// State comes back with the callback, where the caller compares it.
	State string
	// Nonce comes back in the ID token.
	Nonce string
	// Verifier is PKCE's (RFC 7636, section 4.1).
	Verifier string
}

// NewAttempt makes an attempt of 96 bytes read from r.
func NewAttempt(r io.Reader) (Attempt, error) {
	var raw [96]byte
	if _, err := io.ReadFull(r, raw[:]); err != nil {
		return Attempt{}, fmt.Errorf("reading randomness: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return Attempt{State: encode(raw[:32]), Nonce: encode(raw[32:64]), Verifier: encode(raw[64:])}, nil
}

// AuthCodeURL returns the address to send the browser to. Before the provider
// was found the error is ErrUnavailable.
func (p *Provider) AuthCodeURL(a Attempt, redirectURI string) (string, error) {
	d, err := p.found()
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	config := p.oauth(d, redirectURI)
	if i := slices.Index(config.Scopes, "offline_access"); i >= 0 && p.config.Issuer == googleIssuer {
		config.Scopes = slices.Delete(slices.Clone(config.Scopes), i, i+1)
		options = append(options, oauth2.AccessTypeOffline, oauth2.SetAuthURLParam("prompt", "consent"))
	}
	return config.AuthCodeURL(a.State, options...), nil
}

func (p *Provider) oauth(d *discovered, redirectURI string) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     p.config.ClientID,
		ClientSecret: p.config.ClientSecret,
		Endpoint:     d.endpoint,
		RedirectURL:  redirectURI,
		Scopes:       p.config.Scopes,
	}
}

// EndSessionURL returns where to send the browser so that the person is logged
// out of the provider too and comes back to postLogoutRedirect, which may be
// empty, as may the ID token. It returns false if the provider has no such
// address, or was not found (RP-Initiated Logout 1.0, section 2).
func (p *Provider) EndSessionURL(idTokenHint, postLogoutRedirect string) (string, bool) {
	d, err := p.found()
	if err != nil || d.endSession == nil {
		return "", false
	}
	u := *d.endSession
	query := u.Query()
	query.Set("client_id", p.config.ClientID)
	set(query, "id_token_hint", idTokenHint)
	set(query, "post_logout_redirect_uri", postLogoutRedirect)
	u.RawQuery = query.Encode()
	return u.String(), true
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
