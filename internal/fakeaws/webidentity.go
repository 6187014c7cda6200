package fakeaws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	maxWebToken = 20000
	// clockSkew is the window that IAM leaves a token beyond its end ("Create an
	// OpenID Connect identity provider in IAM" in the IAM user guide).
	clockSkew = 5 * time.Minute
)

// webIdentity is a verified ID token and the provider that vouches for it.
type webIdentity struct {
	provider oidcProvider
	claims   webClaims
}

// webClaims are the claims of an ID token that AWS looks at.
type webClaims struct {
	jwt.Claims
	AuthorizedParty string            `json:"azp"`
	Email           string            `json:"email"`
	AMR             oneOrMany[string] `json:"amr"`
	SourceIdentity  string            `json:"https://aws.amazon.com/source_identity"`
	Tags            struct {
		Principal  map[string]oneOrMany[string] `json:"principal_tags"`
		Transitive []string                     `json:"transitive_tag_keys"`
	} `json:"https://aws.amazon.com/tags"`
}

type webIdentityResult struct {
	assumed
	SubjectFromWebIdentityToken string
	Provider                    string
	Audience                    string
}

// assumeWithToken prepares AssumeRoleWithWebIdentity: it verifies the token,
// for which it asks the issuer over HTTP.
func (s *Server) assumeWithToken(req *request, p params) action {
	who, err := s.verify(req.Context(), p, req.now)
	return func(c *call) (any, error) {
		if err != nil {
			return nil, err
		}
		return c.assumeAs(who)
	}
}

// verify is the ladder that a token climbs before the role is looked at.
func (s *Server) verify(ctx context.Context, p params, now time.Time) (webIdentity, error) {
	raw := p.get("WebIdentityToken")
	if len(raw) < 4 || len(raw) > maxWebToken {
		return webIdentity{}, errConstraint("webIdentityToken", fmt.Sprintf("Member must have length between 4 and %d", maxWebToken))
	}
	if err := checkSessionName(p.get("RoleSessionName")); err != nil {
		return webIdentity{}, err
	}
	token, err := jwt.ParseSigned(raw, tokenAlgorithms())
	if err != nil {
		return webIdentity{}, errIDToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	var claims webClaims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return webIdentity{}, errIDToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	provider, err := s.issuing(p.get("RoleArn"), claims.Issuer)
	if err != nil {
		return webIdentity{}, err
	}
	if err := claims.check(provider, now); err != nil {
		return webIdentity{}, err
	}
	keys, err := s.fetchKeys(ctx, provider.issuer)
	if err != nil {
		return webIdentity{}, err
	}
	if !signedByOne(token, keys) {
		return webIdentity{}, errIDToken("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	}
	return webIdentity{provider: provider, claims: claims}, nil
}

// issuing finds the provider with this issuer in the account of the role.
func (s *Server) issuing(roleARN, issuer string) (oidcProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if issuer == "" {
		return oidcProvider{}, errIDToken("Missing a required claim: iss")
	}
	resource := strings.SplitN(roleARN, ":", 6)
	if len(resource) == 6 && s.accounts[resource[4]] != nil {
		name := strings.TrimPrefix(strings.TrimPrefix(issuer, "https://"), "http://")
		if p := s.accounts[resource[4]].provider(name); p != nil && p.issuer == issuer {
			return *p, nil
		}
	}
	return oidcProvider{}, errIDToken("No OpenIDConnect provider found in your account for " + issuer)
}

// check looks at everything in the claims that needs no key.
func (c *webClaims) check(p oidcProvider, now time.Time) error {
	for _, required := range []struct {
		name    string
		missing bool
	}{
		{"sub", c.Subject == ""},
		{"aud", len(c.Audience) == 0},
		{"exp", c.Expiry == nil},
		{"iat", c.IssuedAt == nil},
	} {
		if required.missing {
			return errIDToken("Missing a required claim: " + required.name)
		}
	}
	switch {
	case !slices.ContainsFunc(c.audiences(), func(a string) bool { return slices.Contains(p.clientIDs, a) }):
		return errIDToken("Incorrect token audience")
	case now.After(c.Expiry.Time().Add(clockSkew)):
		return &Error{
			Code:    "ExpiredTokenException",
			Message: fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), c.Expiry.Time().Unix()),
			Status:  http.StatusBadRequest,
		}
	case now.Add(clockSkew).Before(c.IssuedAt.Time()), c.NotBefore != nil && now.Add(clockSkew).Before(c.NotBefore.Time()):
		return errIDToken("Token is not yet valid")
	}
	return nil
}

// audiences are what AWS takes for the token's audience: azp if there is one.
func (c *webClaims) audiences() []string {
	if c.AuthorizedParty != "" {
		return []string{c.AuthorizedParty}
	}
	return c.Audience
}

// origin reads the session tags and source identity that the token carries.
func (c *webClaims) origin() (origin, error) {
	o := origin{source: c.SourceIdentity}
	if o.source != "" {
		if err := checkSource(o.source); err != nil {
			return origin{}, err
		}
	}
	var tags []tag
	for key, values := range c.Tags.Principal {
		if len(values) != 1 {
			return origin{}, errIDToken("The principal_tags of the token must have one value each")
		}
		t := tag{Key: key, Value: values[0]}
		if err := t.check(); err != nil {
			return origin{}, err
		}
		tags = append(tags, t)
	}
	err := o.add(tags, c.Tags.Transitive)
	return o, err
}

// assumeAs lets the bearer of a verified token into the role if its trust policy does.
func (c *call) assumeAs(who webIdentity) (any, error) {
	r, home, err := c.namedByARN()
	if err != nil {
		return nil, err
	}
	from, err := who.claims.origin()
	if err != nil {
		return nil, err
	}
	f := who.facts()
	from.describe(f, c.params.get("RoleSessionName"))
	is := func(kind, principal string) bool {
		return kind == "Federated" && home != nil && principal == who.provider.arn(home.id)
	}
	for _, action := range append([]string{"sts:AssumeRoleWithWebIdentity"}, from.needs()...) {
		if r == nil || !r.policy.admits(attempt{action: action, facts: f, is: is}) {
			return nil, errDenied("Not authorized to perform %s", action)
		}
	}
	begun, err := c.begin(&identity{account: home, role: r, origin: from})
	if err != nil {
		return nil, err
	}
	return webIdentityResult{
		assumed: begun, SubjectFromWebIdentityToken: who.claims.Subject,
		Provider: who.provider.arn(home.id), Audience: strings.Join(who.claims.audiences(), ","),
	}, nil
}

// facts are the condition keys of OIDC federation ("Available keys for AWS OIDC
// federation" in the IAM user guide), which begin with the provider's name.
func (w webIdentity) facts() facts {
	f, name := facts{}, w.provider.name+":"
	f.set(name+"aud", w.claims.audiences()...)
	f.set(name+"sub", w.claims.Subject)
	f.set(name+"amr", w.claims.AMR...)
	f.set(name+"email", w.claims.Email)
	f.set(name + "oaud")
	if w.claims.AuthorizedParty != "" {
		f.set(name+"oaud", w.claims.Audience...)
	}
	return f
}

func errIDToken(message string) error {
	return &Error{Code: "InvalidIdentityToken", Message: message, Status: http.StatusBadRequest}
}

func errIDP(message string) error {
	return &Error{Code: "IDPCommunicationError", Message: message, Status: http.StatusBadRequest}
}

// decode reads a JSON document of the issuer.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return errIDP("The identity provider's answer is not the JSON that was expected")
	}
	return nil
}
