package fakeaws_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// denyAll is a session policy under which only GetCallerIdentity works.
const denyAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`

// anonymous is an STS client without credentials.
func (b *bed) anonymous() *sts.Client {
	return sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &b.url, HTTPClient: wholeBodies{}, Retryer: aws.NopRetryer{}})
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	b, idp, ctx := newBed(t), newIssuer(t), t.Context()
	idp.register(t, b)
	role := b.role(t, "dash", idp.federated(withIDToken, `{"StringEquals":{"IDP:aud":"dashboard"}}`))
	out, err := b.anonymous().AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: role, RoleSessionName: aws.String("jane@example.com"), Policy: aws.String(denyAll),
		WebIdentityToken: aws.String(idp.token(nil)), DurationSeconds: aws.Int32(7200),
	})
	if err != nil {
		t.Fatal(err)
	}
	session := "arn:aws:sts::123456789012:assumed-role/dash/jane@example.com"
	got := []string{*out.AssumedRoleUser.Arn, *out.SubjectFromWebIdentityToken, *out.Provider, *out.Audience}
	if diff := cmp.Diff([]string{session, "jane-1", idp.arn(), "dashboard"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if left := time.Until(*out.Credentials.Expiration); left < 119*time.Minute || left > 2*time.Hour {
		t.Errorf("it lasts as long as was asked for: got %s", left)
	}
	asIAM, asSTS := b.clients(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	if who := must(asSTS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})); *who.Arn != session {
		t.Errorf("whatever the session policy says, one may ask who one is: got %s", *who.Arn)
	}
	if _, err := asIAM.ListUsers(ctx, &iam.ListUsersInput{}); code(err) != "AccessDenied" || !strings.Contains(err.Error(), "explicit deny in a session policy") {
		t.Errorf("the session policy denies everything else: got %v", err)
	}
	if _, err := asSTS.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("me")}); code(err) != "AccessDenied" {
		t.Errorf("other roles, too: got %v", err)
	}
}

// tokenRow is one token and how AWS answers it.
type tokenRow struct {
	reason, token, code string
}

func TestWebIdentityTokens(t *testing.T) {
	b, idp := newBed(t), newIssuer(t)
	idp.register(t, b)
	stranger, pretender := newIssuer(t), must(rsa.GenerateKey(rand.Reader, 2048))
	role := b.role(t, "dash", idp.federated(withIDToken, `{}`))
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	good := idp.token(nil)
	for _, row := range []tokenRow{
		{"a good token", good, ""},
		{"signed with an elliptic curve", sign(jose.ES256, jose.JSONWebKey{KeyID: "ec", Key: idp.keys["ec"]}, idp.claims(nil)), ""},
		{"that names no key", sign(jose.RS256, idp.keys["rsa"], idp.claims(nil)), ""},
		{"for several audiences", idp.token(claims{"aud": []string{"x", "other"}}), ""},
		{"for another audience", idp.token(claims{"aud": "x"}), "InvalidIdentityToken"},
		{"for an authorized party", idp.token(claims{"aud": "x", "azp": "dashboard"}), ""},
		{"for another authorized party", idp.token(claims{"azp": "x"}), "InvalidIdentityToken"},
		{"just expired, within a clock's error", idp.token(claims{"exp": at(-4 * time.Minute)}), ""},
		{"expired", idp.token(claims{"exp": at(-6 * time.Minute)}), "ExpiredTokenException"},
		{"issued in the future", idp.token(claims{"iat": at(6 * time.Minute)}), "InvalidIdentityToken"},
		{"not yet valid", idp.token(claims{"nbf": at(6 * time.Minute)}), "InvalidIdentityToken"},
		{"without a subject", idp.token(claims{"sub": nil}), "InvalidIdentityToken"},
		{"without an audience", idp.token(claims{"aud": nil}), "InvalidIdentityToken"},
		{"without an end", idp.token(claims{"exp": nil}), "InvalidIdentityToken"},
		{"without a beginning", idp.token(claims{"iat": nil}), "InvalidIdentityToken"},
		{"without an issuer", idp.token(claims{"iss": nil}), "InvalidIdentityToken"},
		{"of an issuer that is not registered", stranger.token(nil), "InvalidIdentityToken"},
		{"of an issuer by another scheme", idp.token(claims{"iss": "https://" + idp.name()}), "InvalidIdentityToken"},
		{"signed by somebody else", sign(jose.RS256, jose.JSONWebKey{KeyID: "rsa", Key: pretender}, idp.claims(nil)), "InvalidIdentityToken"},
		{"signed with a key that is not published", sign(jose.RS256, jose.JSONWebKey{KeyID: "old", Key: idp.keys["rsa"]}, idp.claims(nil)), "InvalidIdentityToken"},
		{"signed with a shared secret", sign(jose.HS256, []byte(strings.Repeat("s", 32)), idp.claims(nil)), "InvalidIdentityToken"},
		{"signed by an algorithm that IAM does not take", sign(jose.PS256, jose.JSONWebKey{KeyID: "rsa", Key: idp.keys["rsa"]}, idp.claims(nil)), "InvalidIdentityToken"},
		{"without its signature", good[:strings.LastIndexByte(good, '.')+1], "InvalidIdentityToken"},
		{"no token", "opaque-access-token", "InvalidIdentityToken"},
	} {
		if _, err := b.assumeWith(t.Context(), role, row.token); code(err) != row.code {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.code)
		}
	}
}

// assumeWith is the shortest call with an ID token.
func (b *bed) assumeWith(ctx context.Context, role *string, token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	return b.anonymous().AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: role, RoleSessionName: aws.String("jane"), WebIdentityToken: &token,
	})
}

func TestWebIdentityTrust(t *testing.T) {
	idp := newIssuer(t)
	for _, row := range []struct {
		reason, condition string
		claims            claims
		allowed           bool
	}{
		{"no condition", `{}`, nil, true},
		{"the audience", `{"StringEquals":{"IDP:aud":["x","dashboard"]}}`, nil, true},
		{"another audience", `{"StringEquals":{"IDP:aud":"other"}}`, nil, false},
		{"keys have no case, values do", `{"StringEquals":{"IDP:AUD":"Dashboard"}}`, nil, false},
		{"the subject", `{"StringEquals":{"IDP:sub":"jane-1"}}`, nil, true},
		{"a pattern", `{"StringLike":{"IDP:sub":"jane-?"}}`, nil, true},
		{"a pattern that is longer", `{"StringLike":{"IDP:sub":"jane-??*"}}`, nil, false},
		{"patterns only where they are patterns", `{"StringEquals":{"IDP:sub":"jane*"}}`, nil, false},
		{"all of two conditions", `{"StringEquals":{"IDP:aud":"dashboard"},"StringLike":{"IDP:sub":"joe*"}}`, nil, false},
		{"the email", `{"StringLike":{"IDP:email":"*@example.com"}}`, nil, true},
		{"no email", `{"StringLike":{"IDP:email":"*"}}`, claims{"email": nil}, false},
		{"no email, if there is one", `{"StringLikeIfExists":{"IDP:email":"*@example.com"}}`, claims{"email": nil}, true},
		{"a method", `{"ForAnyValue:StringEquals":{"IDP:amr":"mfa"}}`, claims{"amr": []string{"pwd", "mfa"}}, true},
		{"a method that was not used", `{"ForAnyValue:StringEquals":{"IDP:amr":"mfa"}}`, claims{"amr": []string{"pwd"}}, false},
		{"no method", `{"ForAnyValue:StringEquals":{"IDP:amr":"mfa"}}`, nil, false},
		{"only methods of a list", `{"ForAllValues:StringLike":{"IDP:amr":["m*","hwk"]}}`, claims{"amr": []string{"mfa", "pwd"}}, false},
		{"the audience beside an authorized party", `{"StringEquals":{"IDP:oaud":"api","IDP:aud":"dashboard"}}`, claims{"aud": "api", "azp": "dashboard"}, true},
		{"the session's name", `{"StringEquals":{"sts:RoleSessionName":"jane"}}`, nil, true},
		{"not this subject", `{"StringNotEquals":{"IDP:sub":"jane-1"}}`, nil, false},
		{"an absent key", `{"Null":{"IDP:amr":"true"}}`, nil, true},
		{"claims that are no keys allow nothing", `{"StringEquals":{"IDP:groups":"admins"}}`, claims{"groups": "admins"}, false},
		{"the keys of another provider, too", `{"StringEquals":{"accounts.google.com:sub":"jane-1"}}`, nil, false},
	} {
		b := newBed(t)
		idp.register(t, b)
		role := b.role(t, "dash", idp.federated(withIDToken, row.condition))
		_, err := b.assumeWith(t.Context(), role, idp.token(row.claims))
		if want := map[bool]string{false: "AccessDenied"}[row.allowed]; code(err) != want {
			t.Errorf("%s: got %v, want %q", row.reason, err, want)
		}
	}
	b := newBed(t)
	idp.register(t, b)
	for reason, trust := range map[string]string{
		"the account's own people only":   "",
		"another provider":                strings.ReplaceAll(idp.federated(withIDToken, `{}`), idp.name(), "accounts.google.com"),
		"another action":                  idp.federated(`"sts:AssumeRole"`, `{}`),
		"the provider as a user's ARN":    strings.ReplaceAll(idp.federated(withIDToken, `{}`), "Federated", "AWS"),
		"everybody with an AWS signature": trusting("Allow", `"*"`, `{}`),
	} {
		role := must(b.CreateRole("/", "r"+strings.ReplaceAll(reason, " ", "")[:8], trust))
		if _, err := b.assumeWith(t.Context(), &role.ARN, idp.token(nil)); code(err) != "AccessDenied" || status(err) != http.StatusForbidden {
			t.Errorf("a role that trusts %s: got %v", reason, err)
		}
	}
}

func TestWebIdentityTrouble(t *testing.T) {
	b, idp, ctx := newBed(t), newIssuer(t), t.Context()
	idp.register(t, b)
	role := b.role(t, "dash", idp.federated(withIDToken, `{}`))
	short := &sts.AssumeRoleWithWebIdentityInput{RoleArn: role, RoleSessionName: aws.String("jane"), WebIdentityToken: aws.String(idp.token(nil))}
	for seconds, want := range map[int32]string{899: "ValidationError", 900: "", 7200: "", 7201: "ValidationError", 43201: "ValidationError"} {
		short.DurationSeconds = &seconds
		if _, err := b.anonymous().AssumeRoleWithWebIdentity(ctx, short); code(err) != want {
			t.Errorf("for %d seconds: got %v, want %q", seconds, err, want)
		}
	}
	missing := strings.Replace(*role, "dash", "none", 1)
	if _, err := b.assumeWith(ctx, &missing, idp.token(nil)); code(err) != "AccessDenied" {
		t.Errorf("a role that is not there: got %v", err)
	}
	idp.status = http.StatusInternalServerError
	if _, err := b.assumeWith(ctx, role, idp.token(nil)); code(err) != "IDPCommunicationError" {
		t.Errorf("an issuer in trouble: got %v", err)
	}
	idp.status, idp.claimed = 0, "https://elsewhere.example.com"
	if _, err := b.assumeWith(ctx, role, idp.token(nil)); code(err) != "InvalidIdentityToken" {
		t.Errorf("an issuer that calls itself otherwise: got %v", err)
	}
	idp.claimed = idp.url
	b.Inject(fakeaws.Fault{Action: "AssumeRoleWithWebIdentity", Effect: fakeaws.Throttled, Times: 1})
	if _, err := b.assumeWith(ctx, role, idp.token(nil)); code(err) != "Throttling" {
		t.Errorf("an injected fault: got %v", err)
	}
	must(b.iam.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(idp.arn())}))
	if _, err := b.assumeWith(ctx, role, idp.token(nil)); code(err) != "InvalidIdentityToken" {
		t.Errorf("an issuer that is no longer registered: got %v", err)
	}
	if n := b.Calls("AssumeRoleWithWebIdentity"); n != 10 {
		t.Errorf("all calls are counted: got %d", n)
	}
}
