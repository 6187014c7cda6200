package fakevault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakevault"
)

// bed is a Vault with the AWS and the issuer behind it.
type bed struct {
	*fakevault.Server
	t      *testing.T
	url    string
	issuer string
	aws    *fakeaws.Server
	iam    *iam.Client
	key    *ecdsa.PrivateKey
	now    time.Time
}

func newBed(t *testing.T, change func(*fakevault.Config)) *bed {
	t.Helper()
	b := &bed{t: t, now: time.Now(), key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	b.aws = fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", AdminUser: "vault"})
	b.iam = iam.New(iam.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(serve(t, b.aws)), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
	b.issuer = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.key.Public()}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": b.issuer, "jwks_uri": b.issuer + "/keys"})
	}))
	cfg := fakevault.Config{
		IAM: b.iam, Issuer: b.issuer, Now: func() time.Time { return b.now },
		AuthRoles: map[string]fakevault.AuthRole{
			"login": {BoundAudiences: []string{"dashboard"}, Policies: []string{"dev"}, BoundClaims: map[string]string{"groups": "devs"}},
			"loose": {},
		},
		AWSRoles: map[string]fakevault.AWSRole{"dev": {Tags: map[string]string{"b": "2", "a": "1"}}, "ops": {}},
		Policies: map[string][]string{"dev": {"aws/creds/d*"}},
	}
	if change != nil {
		change(&cfg)
	}
	b.Server = fakevault.New(cfg)
	b.url = serve(t, b.Server)
	return b
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (b *bed) token(changes map[string]any) string {
	claims := map[string]any{"iss": b.issuer, "sub": "jane@example.com", "aud": []string{"dashboard"}, "exp": b.now.Add(time.Hour).Unix(), "groups": []string{"x", "devs"}}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: b.key}, nil))
	return must(jwt.Signed(signer).Claims(claims).Serialize())
}

// answer is what Vault answers, as far as tests look.
type answer struct {
	status        int
	Errors        []string
	LeaseID       string `json:"lease_id"`
	LeaseDuration int    `json:"lease_duration"`
	Auth          struct {
		Token         string `json:"client_token"`
		Policies      []string
		LeaseDuration int `json:"lease_duration"`
		Renewable     bool
	}
	Data struct {
		AccessKey   string `json:"access_key"`
		SecretKey   string `json:"secret_key"`
		DisplayName string `json:"display_name"`
		TTL         int
	}
}

// ask sends a request such as "POST auth/jwt/login".
func (b *bed) ask(what, token string, body any) answer {
	b.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	text := ""
	if body != nil {
		text = string(must(json.Marshal(body)))
	}
	r := must(http.NewRequestWithContext(b.t.Context(), method, b.url+"/v1/"+path, strings.NewReader(text)))
	r.Header.Set("X-Vault-Token", token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode}
	if a.status != http.StatusNoContent {
		if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
			b.t.Fatalf("%s: %v", what, err)
		}
	}
	return a
}

func (b *bed) logIn() string {
	b.t.Helper()
	a := b.ask("POST auth/jwt/login", "", map[string]string{"role": "login", "jwt": b.token(nil)})
	if a.Auth.Token == "" {
		b.t.Fatalf("logging in: %v", a)
	}
	return a.Auth.Token
}

func TestLogin(t *testing.T) {
	b := newBed(t, nil)
	for _, row := range []struct {
		reason, role, token, want string
	}{
		{"all is well", "login", b.token(nil), ""},
		{"another audience", "login", b.token(map[string]any{"aud": "x"}), "does not match any bound audience"},
		{"an audience and a role without", "loose", b.token(nil), "no audiences bound to the role"},
		{"neither", "loose", b.token(map[string]any{"aud": nil}), ""},
		{"another group", "login", b.token(map[string]any{"groups": "x"}), "bound claim"},
		{"another issuer", "login", b.token(map[string]any{"iss": "https://x"}), "issuer"},
		{"expired", "login", b.token(map[string]any{"exp": b.now.Add(-2 * time.Minute).Unix()}), "token is expired"},
		{"without an end", "login", b.token(map[string]any{"exp": nil}), "no expiry"},
		{"without a name", "login", b.token(map[string]any{"sub": nil}), `claim "sub" not found`},
		{"another key", "login", newBed(t, nil).token(map[string]any{"iss": b.issuer}), "no known key"},
		{"no token", "login", "x", "malformed jwt"},
		{"no such role", "ops", b.token(nil), "could not be found"},
	} {
		a := b.ask("PUT auth/jwt/login", "", map[string]string{"role": row.role, "jwt": row.token})
		switch {
		case row.want == "" && (a.status != http.StatusOK || a.Auth.Token == "" || a.Auth.LeaseDuration != 768*3600):
			t.Errorf("%s: got %v", row.reason, a)
		case row.want != "" && (a.status != http.StatusBadRequest || !strings.Contains(strings.Join(a.Errors, ""), row.want)):
			t.Errorf("%s: got %d %q", row.reason, a.status, a.Errors)
		}
	}
}

func TestUserOfALease(t *testing.T) {
	b := newBed(t, nil)
	token := b.logIn()
	made := b.ask("GET aws/creds/dev", token, nil)
	if made.status != http.StatusOK || made.LeaseDuration != 768*3600 || made.Data.SecretKey == "" {
		t.Fatalf("got %v", made)
	}
	users := must(b.iam.ListUsers(t.Context(), &iam.ListUsersInput{})).Users
	name := *users[len(users)-1].UserName
	if !regexp.MustCompile(`^vault-jwt-jane@example\.com-dev-\d+-[A-Z2-7]{20}$`).MatchString(name) {
		t.Errorf("got %s", name)
	}
	tags := must(b.iam.ListUserTags(t.Context(), &iam.ListUserTagsInput{UserName: &name})).Tags
	if len(tags) != 2 || *tags[0].Key+*tags[0].Value != "a1" {
		t.Errorf("it is tagged: got %v", tags)
	}
	keys := must(b.iam.ListAccessKeys(t.Context(), &iam.ListAccessKeysInput{UserName: &name})).AccessKeyMetadata
	if len(keys) != 1 || *keys[0].AccessKeyId != made.Data.AccessKey {
		t.Errorf("the key is the user's: got %v", keys)
	}
	if err := b.RevokePrefix(t.Context(), "aws/creds/ops/"); err != nil || len(b.Leases()) != 1 {
		t.Errorf("other leases: got %v", err)
	}
	if err := b.RevokePrefix(t.Context(), "aws/creds/"); err != nil || len(b.Leases()) != 0 {
		t.Errorf("an operator revokes: got %v %v", b.Leases(), err)
	}
	if users := must(b.iam.ListUsers(t.Context(), &iam.ListUsersInput{})).Users; len(users) != 1 {
		t.Errorf("the user is gone: got %d", len(users))
	}
	if a := b.ask("GET aws/creds/dev", token, nil); a.status != http.StatusOK {
		t.Errorf("the token stays: got %v", a)
	}
	b.aws.Inject(fakeaws.Fault{Action: "DeleteUser", Effect: fakeaws.Failing, Times: 1})
	if err := b.RevokePrefix(t.Context(), ""); err == nil || len(b.Leases()) != 1 {
		t.Errorf("AWS in trouble: the lease stays to be tried again: got %v", err)
	}
	if err := b.RevokePrefix(t.Context(), ""); err != nil || len(b.Leases()) != 0 {
		t.Errorf("the second time: got %v", err)
	}
}

func TestLongUserNames(t *testing.T) {
	b := newBed(t, nil)
	long := b.token(map[string]any{"sub": strings.Repeat("Zoë ", 30)})
	token := b.ask("POST auth/jwt/login", "", map[string]string{"role": "login", "jwt": long}).Auth.Token
	if a := b.ask("GET aws/creds/dev", token, nil); a.status != http.StatusOK {
		t.Errorf("a name is made to fit: got %v", a)
	}
}

func TestTokens(t *testing.T) {
	b := newBed(t, nil)
	token := b.logIn()
	for _, row := range []struct {
		what, token string
		body        any
		want        int
	}{
		{"GET sys/health", "", nil, http.StatusOK},
		{"GET auth/token/lookup-self", token, nil, http.StatusOK},
		{"GET auth/token/lookup-self", "hvs.x", nil, http.StatusForbidden},
		{"GET auth/token/lookup-self", "", nil, http.StatusForbidden},
		{"GET aws/creds/ops", token, nil, http.StatusForbidden},
		{"GET aws/creds/dnone", token, nil, http.StatusBadRequest},
		{"PUT sys/leases/revoke", token, map[string]string{"lease_id": "x"}, http.StatusForbidden},
		{"POST auth/token/renew-self", token, map[string]string{"increment": "soon"}, http.StatusBadRequest},
		{"GET secret/x", token, nil, http.StatusNotFound},
		{"DELETE aws/creds/dev", token, nil, http.StatusNotFound},
	} {
		if a := b.ask(row.what, row.token, row.body); a.status != row.want {
			t.Errorf("%s: got %d %q, want %d", row.what, a.status, a.Errors, row.want)
		}
	}
	for _, row := range []struct {
		increment any
		want      int
	}{{60, 60}, {"2h", 7200}, {nil, 768 * 3600}, {int64(1 << 30), 768 * 3600}} {
		body := map[string]any{}
		if row.increment != nil {
			body["increment"] = row.increment
		}
		if a := b.ask("PUT auth/token/renew-self", token, body); a.Auth.LeaseDuration != row.want {
			t.Errorf("renewing by %v: got %s", row.increment, fmt.Sprint(a))
		}
	}
	if a := b.ask("GET auth/token/lookup-self", token, nil); a.Data.DisplayName != "jwt-jane@example.com" || a.Data.TTL != 768*3600 {
		t.Errorf("got %v", a)
	}
	b.now = b.now.Add(768 * time.Hour)
	if a := b.ask("GET auth/token/lookup-self", token, nil); a.status != http.StatusForbidden || !strings.Contains(a.Errors[0], "invalid token") {
		t.Errorf("at its end it is unknown: got %v", a)
	}
}

func TestNamespace(t *testing.T) {
	b := newBed(t, func(c *fakevault.Config) { c.Namespace = "team" })
	if a := b.ask("POST auth/jwt/login", "", map[string]string{"role": "login"}); a.status != http.StatusNotFound {
		t.Errorf("outside of the namespace there is nothing: got %v", a)
	}
}
