package oidclogin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// maxToken is the longest token that is looked at.
const maxToken = 64 << 10

// judge is a key set that notes its error, of which go-oidc's verifier leaves
// only the words.
type judge struct {
	keys *keySet
	err  error
}

// VerifySignature is oidc.KeySet's.
func (j *judge) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := j.keys.VerifySignature(ctx, token)
	j.err = err
	return payload, err
}

// trouble returns the error of fetching the keys if that is what went wrong.
func (j *judge) trouble() error {
	if errors.Is(j.err, errNoKeys) || errors.Is(j.err, context.Canceled) || errors.Is(j.err, context.DeadlineExceeded) {
		return unavailable("checking a signature", j.err)
	}
	return nil
}

// verifier is good for one token. Its clock is behind by the leeway, within
// which an expired token counts; go-oidc gives nbf five minutes from there.
func (p *Provider) verifier(d *discovered) (*oidc.IDTokenVerifier, *judge) {
	j := &judge{keys: d.keys}
	return oidc.NewVerifier(p.config.Issuer, j, &oidc.Config{
		ClientID:             p.config.ClientID,
		SupportedSigningAlgs: d.algorithms,
		Now:                  func() time.Time { return p.config.Now().Add(-Leeway) },
	}), j
}

// verify checks an ID token by OpenID Connect Core 1.0, section 3.1.3.7, all but
// the nonce.
func (p *Provider) verify(ctx context.Context, d *discovered, raw string) (*oidc.IDToken, map[string]any, error) {
	if err := checkType(raw, ""); err != nil {
		return nil, nil, refuse(sayAgain, "ID token: %s", err)
	}
	verifier, j := p.verifier(d)
	token, err := verifier.Verify(ctx, raw)
	if trouble := j.trouble(); trouble != nil {
		return nil, nil, trouble
	}
	if err != nil {
		return nil, nil, refuse(sayAgain, "ID token: %.300s", err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return nil, nil, refuse(sayAgain, "ID token: %.300s", err)
	}
	if err := p.checkClaims(claims, token.Audience, token.IssuedAt); err != nil {
		return nil, nil, refuse(sayAgain, "ID token: %s", err)
	}
	if subject, ok := claims["sub"].(string); !ok || subject == "" || subject != token.Subject {
		return nil, nil, refuse(sayAgain, "ID token: no sub")
	}
	return token, claims, nil
}

// checkClaims holds for both kinds of token and adds what go-oidc leaves out. The
// claims are looked up by their exact names; encoding/json, which go-oidc reads
// with, also takes them in another case.
func (p *Provider) checkClaims(claims map[string]any, audience []string, issuedAt time.Time) error {
	// Google may leave out the scheme, and go-oidc lets only Google do so.
	issuer, google := claims["iss"], p.config.Issuer == googleIssuer
	if issuer != p.config.Issuer && (!google || issuer != strings.TrimPrefix(googleIssuer, "https://")) {
		return errors.New("no iss")
	}
	if _, ok := claims["aud"]; !ok {
		return errors.New("no aud")
	}
	azp, present := claims["azp"]
	switch {
	case present && azp != p.config.ClientID:
		return errors.New("azp is another client")
	case !present && len(audience) > 1:
		return errors.New("several audiences and no azp")
	}
	if _, ok := claims["iat"].(float64); !ok {
		return errors.New("no iat")
	}
	if issuedAt.After(p.config.Now().Add(Leeway)) {
		return errors.New("iat lies ahead: are the clocks right?")
	}
	return nil
}

// checkType refuses a token whose header says that it is one of another kind
// (RFC 8725, section 3.11). Tokens that say no kind are taken: few providers do.
func checkType(raw, kind string) error {
	if len(raw) > maxToken {
		return errors.New("too long")
	}
	encoded, _, _ := strings.Cut(raw, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return errors.New("the header is not base64url")
	}
	var header struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(decoded, &header); err != nil {
		return errors.New("the header is not JSON")
	}
	typ := strings.TrimPrefix(foldASCII(header.Type), "application/")
	if typ == "" || typ == "jwt" || typ == kind {
		return nil
	}
	if kind == "" && !strings.HasSuffix(typ, "+jwt") {
		return nil
	}
	return errors.New("the header says that it is of another kind")
}
