package oidclogin

import (
	"context"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// logoutEvent is the event of a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// maxLogoutAge is how old a logout token may get. It bounds how long the caller
// has to remember its ID.
const maxLogoutAge = time.Hour

// Logout is an order of the provider to end sessions.
type Logout struct {
	Issuer string
	// Subject and SID say whose, one of them may be empty: with a SID, that
	// session's; without, all of the person's.
	Subject string
	SID     string
	// Issued is when it was given, by the provider's clock.
	Issued time.Time
	// ID must not be obeyed again; it can be forgotten at Expires, after which
	// the token is refused.
	ID      string
	Expires time.Time
}

// LogoutToken verifies a logout token (OpenID Connect Back-Channel Logout 1.0,
// section 2.6), all but that its ID was not seen before. Whoever sends it is
// nobody until that is done. Errors are *Refused or ErrUnavailable.
func (p *Provider) LogoutToken(ctx context.Context, raw string) (Logout, error) {
	d, err := p.found()
	if err != nil {
		return Logout{}, err
	}
	if err := checkType(raw, "logout+jwt"); err != nil {
		return Logout{}, refuseLogout("%s", err)
	}
	verifier, j := p.verifier(d)
	token, err := verifier.VerifyLogout(ctx, raw)
	if trouble := j.trouble(); trouble != nil {
		return Logout{}, trouble
	}
	if err != nil {
		return Logout{}, refuseLogout("%.300s", err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Logout{}, refuseLogout("%.300s", err)
	}
	if err := p.checkClaims(claims, token.Audience, token.IssuedAt); err != nil {
		return Logout{}, refuseLogout("%s", err)
	}
	return p.logout(token, claims)
}

func refuseLogout(format string, args ...any) error {
	return refuse("This is not a logout token of the login provider.", "logout token: "+format, args...)
}

func (p *Provider) logout(token *oidc.LogoutToken, claims map[string]any) (Logout, error) {
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return Logout{}, refuseLogout("no logout event")
	}
	if _, present := claims["nonce"]; present {
		return Logout{}, refuseLogout("it has a nonce")
	}
	out := Logout{Issuer: p.config.Issuer, Issued: token.IssuedAt, Expires: token.Expiry.Add(Leeway)}
	for _, claim := range []struct {
		name string
		to   *string
	}{{"sub", &out.Subject}, {"sid", &out.SID}, {"jti", &out.ID}} {
		value, present := claims[claim.name]
		text, ok := value.(string)
		if present && (!ok || text == "") {
			return Logout{}, refuseLogout("%s is not a name", claim.name)
		}
		*claim.to = text
	}
	switch {
	case out.ID == "":
		return Logout{}, refuseLogout("no jti")
	case out.Subject == "" && out.SID == "":
		return Logout{}, refuseLogout("neither sub nor sid")
	}
	if oldest := token.IssuedAt.Add(maxLogoutAge); oldest.Before(out.Expires) {
		out.Expires = oldest
	}
	if !p.config.Now().Before(out.Expires) {
		return Logout{}, refuseLogout("it is too old")
	}
	return out, nil
}
