package oidclogin

import (
	"context"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Callback is what the browser came back with.
type Callback struct {
	// Code is the parameter code.
	Code string
	// RedirectURI is the one that AuthCodeURL was given.
	RedirectURI string
	// Issuer is the parameter iss (RFC 9207), empty if there was none.
	Issuer string
}

// Login is a person that the provider has vouched for.
type Login struct {
	Issuer  string
	Subject string
	// SID is the provider's session, empty if it names none.
	SID string
	// Email has passed the rules of Config; its case is the provider's. It is
	// empty only if there is none and none is required.
	Email string
	// Claims are those of the ID token, as encoding/json decodes them. If email
	// had to be taken from userinfo it is here too, with email_verified.
	Claims  map[string]any
	IDToken string
	// RefreshToken is empty if the provider gave none.
	RefreshToken string
	// Issued and Expires are when the ID token begins and ends, by the provider's
	// clock.
	Issued, Expires time.Time
}

// Exchange makes a login of a callback whose state the caller has compared. The
// error is *Refused or ErrUnavailable; a code serves once, so that after either
// the person has to begin again.
func (p *Provider) Exchange(ctx context.Context, a Attempt, c Callback) (Login, error) {
	d, err := p.found()
	if err != nil {
		return Login{}, err
	}
	if err := d.checkCallback(c, p.config.Issuer); err != nil {
		return Login{}, err
	}
	if a.Nonce == "" || a.Verifier == "" {
		return Login{}, refuse(sayAgain, "the attempt has no nonce or no verifier")
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := p.oauth(d, c.RedirectURI).Exchange(ctx, c.Code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Login{}, tokenError(code, err)
	}
	return p.login(ctx, d, tokens, expected{nonce: a.Nonce, nonceRequired: true})
}

func (d *discovered) checkCallback(c Callback, issuer string) error {
	switch {
	case c.Code == "":
		return refuse(sayAgain, "the callback has no code")
	case c.Issuer == "" && d.issRequired:
		return refuse(sayAgain, "the callback has no iss, which this provider always sends")
	case c.Issuer != "" && c.Issuer != issuer:
		return refuse(sayAgain, "the callback comes from another issuer, %.200q", c.Issuer)
	}
	return nil
}

// Refresh redeems the refresh token of a login for a new login of the same
// person, to whom the email rules are applied anew. A provider may take each
// refresh token only once: no two calls with the same one, and what is returned
// must be kept. *Refused means that renewal has ended. With ErrUnavailable comes
// the old login to go on with: its refresh token may be a new one, because the
// provider may fail after it has issued that.
func (p *Provider) Refresh(ctx context.Context, old Login) (Login, error) {
	d, err := p.found()
	if err != nil {
		return old, err
	}
	if old.RefreshToken == "" {
		return Login{}, refuse(sayEnded, "there is no refresh token")
	}
	if old.Issuer != p.config.Issuer || old.Subject == "" {
		return Login{}, refuse(sayEnded, "the login is of another issuer, %.200q", old.Issuer)
	}
	ctx = oidc.ClientContext(ctx, p.client)
	source := p.oauth(d, "").TokenSource(ctx, &oauth2.Token{RefreshToken: old.RefreshToken})
	tokens, err := source.Token()
	if err != nil {
		return old, tokenError(refreshToken, err)
	}
	nonce, _ := old.Claims["nonce"].(string)
	login, err := p.login(ctx, d, tokens, expected{subject: old.Subject, nonce: nonce})
	if errors.Is(err, ErrUnavailable) {
		old.RefreshToken = tokens.RefreshToken
		return old, err
	}
	if err != nil {
		return Login{}, err
	}
	if login.SID == "" {
		login.SID = old.SID
	}
	if _, ok := login.Claims["nonce"]; !ok && nonce != "" {
		login.Claims["nonce"] = nonce
	}
	return login, nil
}

// expected is what an ID token has to say beside what is always so.
type expected struct {
	subject       string // empty: anybody
	nonce         string
	nonceRequired bool
}

// login verifies what the token endpoint answered.
func (p *Provider) login(ctx context.Context, d *discovered, tokens *oauth2.Token, want expected) (Login, error) {
	raw, ok := tokens.Extra("id_token").(string)
	if !ok || raw == "" {
		const reason = "the token endpoint's answer has no ID token"
		if want.nonceRequired { // a first login, and one like all others
			return Login{}, &Refused{Reason: reason, Message: sayOperate, Operator: true}
		}
		return Login{}, refuse(sayEnded, reason)
	}
	token, claims, err := p.verify(ctx, d, raw)
	if err != nil {
		return Login{}, err
	}
	if err := want.check(token, claims); err != nil {
		return Login{}, err
	}
	if want.nonceRequired && token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
			return Login{}, refuse(sayAgain, "the access token is not the one that the ID token belongs to")
		}
	}
	if p.lacksEmail(claims) && d.userInfoKnown {
		if err := d.addEmail(ctx, claims, tokens); err != nil {
			return Login{}, err
		}
	}
	email, err := p.emailOf(claims)
	if err != nil {
		return Login{}, err
	}
	sid, _ := claims["sid"].(string)
	return Login{
		Issuer:       p.config.Issuer,
		Subject:      token.Subject,
		SID:          sid,
		Email:        email,
		Claims:       claims,
		IDToken:      raw,
		RefreshToken: tokens.RefreshToken,
		Issued:       token.IssuedAt,
		Expires:      token.Expiry,
	}, nil
}

func (want expected) check(token *oidc.IDToken, claims map[string]any) error {
	if want.subject != "" && token.Subject != want.subject {
		return refuse(sayEnded, "the refreshed ID token is of another person, %.200q", token.Subject)
	}
	nonce, present := claims["nonce"]
	if (present || want.nonceRequired) && (want.nonce == "" || nonce != want.nonce) {
		return refuse(sayAgain, "the ID token has another nonce")
	}
	return nil
}

// addEmail takes the email address, and whether it is verified, from userinfo:
// both or none, so that one answer vouches for them.
func (d *discovered) addEmail(ctx context.Context, claims map[string]any, tokens *oauth2.Token) error {
	info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		if errors.Is(err, errTrouble) || isTransport(err) {
			return unavailable("asking userinfo", err)
		}
		return refuse(sayNoEmail, "no email claim, and userinfo does not help: %.200s", err)
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return refuse(sayNoEmail, "no email claim, and userinfo cannot be read")
	}
	// OpenID Connect Core 1.0, section 5.3.4: else the answer must not be used.
	if subject, ok := more["sub"].(string); !ok || subject != claims["sub"] {
		return refuse(sayAgain, "userinfo speaks of another person")
	}
	delete(claims, "email_verified")
	for _, name := range []string{"email", "email_verified"} {
		if value, ok := more[name]; ok {
			claims[name] = value
		}
	}
	return nil
}
