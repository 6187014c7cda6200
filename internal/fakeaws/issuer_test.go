package fakeaws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer is an OpenID Connect provider that only publishes keys.
type issuer struct {
	url     string
	keys    map[string]crypto.Signer // by key id
	status  int                      // of its answers, 0: 200
	claimed string                   // the issuer in its discovery document
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]crypto.Signer{
		"rsa": must(rsa.GenerateKey(rand.Reader, 2048)),
		"ec":  must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
	}}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL + "/tenant"
	i.claimed = i.url
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.status != 0 {
		w.WriteHeader(i.status)
		return
	}
	var answer any = map[string]string{"issuer": i.claimed, "jwks_uri": i.url + "/keys"}
	switch r.URL.Path {
	case "/tenant/.well-known/openid-configuration":
	case "/tenant/keys":
		var set jose.JSONWebKeySet
		for id, key := range i.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: id, Key: key.Public(), Use: "sig"})
		}
		answer = set
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// name is the provider's name in ARNs and condition keys.
func (i *issuer) name() string { return strings.TrimPrefix(i.url, "http://") }

func (i *issuer) arn() string { return "arn:aws:iam::123456789012:oidc-provider/" + i.name() }

type claims map[string]any

// claims are those of a good token, with changes; nil takes one away.
func (i *issuer) claims(changes claims) claims {
	now := time.Now()
	c := claims{"iss": i.url, "sub": "jane-1", "aud": "dashboard", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "email": "jane@example.com"}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs claims with RS256.
func (i *issuer) token(changes claims) string {
	return sign(jose.RS256, jose.JSONWebKey{KeyID: "rsa", Key: i.keys["rsa"]}, i.claims(changes))
}

func sign(algorithm jose.SignatureAlgorithm, key any, c claims) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil))
	return must(jwt.Signed(signer).Claims(map[string]any(c)).Serialize())
}

// register makes the issuer known to IAM, with the client dashboard.
func (i *issuer) register(t *testing.T, b *bed) {
	t.Helper()
	out, err := b.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: &i.url, ClientIDList: []string{"dashboard", "other"},
	})
	if err != nil || *out.OpenIDConnectProviderArn != i.arn() {
		t.Fatalf("registering the issuer: %v", err)
	}
}

// federated is a trust policy for the issuer's people, with a condition.
func (i *issuer) federated(actions, condition string) string {
	condition = strings.ReplaceAll(condition, "IDP", i.name())
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + i.arn() + `"},"Action":` + actions + `,"Condition":` + condition + `}]}`
}

const withIDToken = `"sts:AssumeRoleWithWebIdentity"`

// role makes a role with a trust policy and returns its ARN.
func (b *bed) role(t *testing.T, name, trust string) *string {
	t.Helper()
	out, err := b.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, MaxSessionDuration: aws.Int32(7200)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Role.Arn
}
