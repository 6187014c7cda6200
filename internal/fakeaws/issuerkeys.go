package fakeaws

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	fetchTime = 5 * time.Second
	maxFetch  = 1 << 20
)

// tokenAlgorithms are the signatures that IAM takes ("Prerequisites: Validate the
// configuration of your identity provider" in the IAM user guide).
func tokenAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}
}

// fetchKeys asks the issuer for its discovery document and its keys.
func (s *Server) fetchKeys(ctx context.Context, issuer string) ([]jose.JSONWebKey, error) {
	var discovered struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := s.fetch(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &discovered); err != nil {
		return nil, err
	}
	if discovered.Issuer != issuer {
		return nil, errIDToken("The issuer in the discovery document of the identity provider is not " + issuer)
	}
	var keys jose.JSONWebKeySet
	if err := s.fetch(ctx, discovered.JWKSURI, &keys); err != nil {
		return nil, err
	}
	return keys.Keys, nil
}

func (s *Server) fetch(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return errIDP("The identity provider's address is malformed")
	}
	response, err := s.fetcher.Do(r)
	if err != nil {
		return errIDP("The identity provider could not be reached")
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetch))
	if err != nil || response.StatusCode != http.StatusOK {
		return errIDP(fmt.Sprintf("The identity provider answered with status %d", response.StatusCode))
	}
	return decode(body, into)
}

// signedByOne tells whether one of the keys made the signature: the one that the
// token names, any if it names none.
func signedByOne(token *jwt.JSONWebToken, keys []jose.JSONWebKey) bool {
	header := token.Headers[0]
	return slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool {
		if header.KeyID != "" && k.KeyID != header.KeyID || k.Use == "enc" || !k.IsPublic() {
			return false
		}
		return token.Claims(k.Key) == nil
	})
}
