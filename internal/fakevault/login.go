package fakevault

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// logIn is the login of the JWT auth method.
func (s *Server) logIn(c *call) (any, error) {
	role, ok := s.cfg.AuthRoles[c.text("role")]
	if !ok {
		return nil, refuse(http.StatusBadRequest, "role %q could not be found", c.text("role"))
	}
	if role.TokenMaxTTL == 0 {
		role.TokenMaxTTL = systemTTL
	}
	if role.TokenTTL == 0 {
		role.TokenTTL = systemTTL
	}
	claims, err := s.verify(c, c.text("jwt"))
	if err != nil {
		return nil, err
	}
	if err := role.admits(claims); err != nil {
		return nil, err
	}
	name, _ := claims[role.userClaim()].(string)
	if name == "" {
		return nil, refuse(http.StatusBadRequest, "claim %q not found in token", role.userClaim())
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	t := &token{
		id: newToken(), displayName: normalized(strings.ReplaceAll(s.cfg.AuthMount, "/", "-") + "-" + name),
		policies: slices.Concat([]string{"default"}, role.Policies), role: role,
		issued: now, expires: now.Add(min(role.TokenTTL, role.TokenMaxTTL)),
	}
	s.tokens[t.id] = t
	return s.authAnswer(t), nil
}

func (r AuthRole) userClaim() string {
	if r.UserClaim == "" {
		return "sub"
	}
	return r.UserClaim
}

// admits holds verified claims to the role.
func (r AuthRole) admits(claims map[string]any) error {
	audiences := list(claims["aud"])
	switch {
	case len(r.BoundAudiences) == 0 && len(audiences) > 0:
		return refuse(http.StatusBadRequest, "error validating token: audience claim found in JWT but no audiences bound to the role")
	case len(r.BoundAudiences) > 0 && !slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(r.BoundAudiences, a) }):
		return refuse(http.StatusBadRequest, "error validating token: invalid audience (aud) claim: audience claim does not match any bound audience")
	}
	for claim, want := range r.BoundClaims {
		if !slices.Contains(list(claims[claim]), want) {
			return refuse(http.StatusBadRequest, "error validating claims: claim %q does not match any associated bound claim values", claim)
		}
	}
	return nil
}

// list reads a claim that is one text or several.
func list(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		var texts []string
		for _, item := range v {
			if text, ok := item.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	default:
		return nil
	}
}

// leeway is what Vault's JWT auth method leaves for clocks that differ.
const leeway = time.Minute

// verify returns the claims of a token that the issuer signed and that is in its time.
func (s *Server) verify(ctx context.Context, raw string) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.EdDSA})
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "error validating token: malformed jwt")
	}
	keys, err := s.keys(ctx)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "error validating token: error verifying token signature: fetching keys: %v", err)
	}
	for _, key := range keys {
		var claims jwt.Claims
		var all map[string]any
		if parsed.Claims(key.Key, &claims, &all) != nil {
			continue
		}
		if claims.Expiry == nil {
			return nil, refuse(http.StatusBadRequest, "error validating token: token has no expiry")
		}
		expected := jwt.Expected{Issuer: s.cfg.Issuer, Time: s.cfg.Now()}
		if err := claims.ValidateWithLeeway(expected, leeway); err != nil {
			return nil, refuse(http.StatusBadRequest, "error validating token: error validating claims: %v", err)
		}
		return all, nil
	}
	return nil, refuse(http.StatusBadRequest, "error validating token: error verifying token signature: no known key successfully validated the token signature")
}

// keys fetches the issuer's keys by way of its discovery document.
func (s *Server) keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	var discovered struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := s.fetch(ctx, strings.TrimSuffix(s.cfg.Issuer, "/")+"/.well-known/openid-configuration", &discovered); err != nil {
		return nil, err
	}
	var keys jose.JSONWebKeySet
	err := s.fetch(ctx, discovered.JWKSURI, &keys)
	return keys.Keys, err
}

func (s *Server) fetch(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	response, err := s.cfg.HTTPClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(into)
}
