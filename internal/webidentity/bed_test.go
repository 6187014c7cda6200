package webidentity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// bed is an AWS and an issuer that it knows.
type bed struct {
	*fakeaws.Server
	t      *testing.T
	aws    string // address
	issuer string
	key    *ecdsa.PrivateKey
	iam    *iam.Client
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	b.Server = fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", AdminUser: "proxy"})
	b.aws, b.issuer = serve(t, b.Server), serve(t, http.HandlerFunc(b.publish))
	b.iam = iam.NewFromConfig(b.config())
	must(b.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &b.issuer, ClientIDList: []string{"dashboard"}}))
	return b
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func (b *bed) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &b.aws, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	}
}

func (b *bed) publish(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/keys") {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.key.Public(), KeyID: "k"}}})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"issuer": b.issuer, "jwks_uri": b.issuer + "/keys"})
}

// login is a person who has just logged in, with changed claims.
func (b *bed) login(email string, changes map[string]any) webidentity.Person {
	claims := map[string]any{
		"iss": b.issuer, "sub": "id|1", "aud": "dashboard", "email": email,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: b.key, KeyID: "k"}}, nil))
	return webidentity.Person{
		Issuer: b.issuer, Subject: "id|1", Email: email, Claims: claims,
		IDToken: must(jwt.Signed(signer).Claims(claims).Serialize()),
	}
}

// role makes the role dash, which lets the issuer's people in, and the proxy on a
// condition.
func (b *bed) role(condition string) string {
	provider := "arn:aws:iam::123456789012:oidc-provider/" + strings.TrimPrefix(b.issuer, "http://")
	trust := `{"Statement":[` +
		`{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"sts:AssumeRoleWithWebIdentity"},` +
		`{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Condition":` + condition + `}]}`
	made := must(b.iam.CreateRole(b.t.Context(), &iam.CreateRoleInput{RoleName: aws.String("dash"), AssumeRolePolicyDocument: &trust, MaxSessionDuration: aws.Int32(7200)}))
	return *made.Role.Arn
}

func (b *bed) assumer(cfg webidentity.Config) *webidentity.Assumer {
	if cfg.STS == nil {
		cfg.STS = sts.NewFromConfig(b.config())
	}
	return must(webidentity.New(cfg))
}

// as is an AWS configuration with credentials.
func (b *bed) as(c webidentity.Credentials) aws.Config {
	cfg := b.config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	return cfg
}

// whoIs is the ARN that AWS knows credentials by, or its refusal.
func (b *bed) whoIs(c webidentity.Credentials) string {
	out, err := sts.NewFromConfig(b.as(c)).GetCallerIdentity(b.t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		return err.Error()
	}
	return *out.Arn
}

// must gives the value; a test that cannot go on without it ends there.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
