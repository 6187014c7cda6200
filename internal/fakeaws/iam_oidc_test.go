package fakeaws_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
)

func TestOpenIDConnectProviders(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	thumbprint := strings.Repeat("0a", 20)
	made := must(b.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String("https://idp.example.com/tenant"), ClientIDList: []string{"a", "b"}, ThumbprintList: []string{thumbprint},
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	}))
	arn := "arn:aws:iam::123456789012:oidc-provider/idp.example.com/tenant"
	if *made.OpenIDConnectProviderArn != arn || len(made.Tags) != 1 {
		t.Errorf("got %s %v", *made.OpenIDConnectProviderArn, made.Tags)
	}
	read := must(b.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn}))
	got := []any{*read.Url, read.ClientIDList, read.ThumbprintList, *read.Tags[0].Value, read.CreateDate.IsZero()}
	if diff := cmp.Diff([]any{"idp.example.com/tenant", []string{"a", "b"}, []string{thumbprint}, "v", false}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	listed := must(b.iam.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{})).OpenIDConnectProviderList
	if len(listed) != 1 || *listed[0].Arn != arn {
		t.Errorf("got %v", listed)
	}
	for range 2 { // deleting what is gone is no error
		must(b.iam.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn}))
	}
	if _, err := b.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn}); code(err) != "NoSuchEntity" {
		t.Errorf("it is gone: got %v", err)
	}
	if _, err := b.iam.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String("arn:aws:iam::123456789012:role/x")}); code(err) != "InvalidInput" {
		t.Errorf("an ARN of something else: got %v", err)
	}
}

func TestCreateOpenIDConnectProviderRefuses(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	must(b.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://taken.example.com")}))
	for _, row := range []struct {
		reason string
		in     iam.CreateOpenIDConnectProviderInput
		code   string
	}{
		{"plain HTTP", iam.CreateOpenIDConnectProviderInput{Url: aws.String("http://idp.example.com")}, "ValidationError"},
		{"plain HTTP on this machine", iam.CreateOpenIDConnectProviderInput{Url: aws.String("http://localhost:1")}, ""},
		{"no URL", iam.CreateOpenIDConnectProviderInput{Url: aws.String("idp.example.com")}, "InvalidInput"},
		{"a query", iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://idp.example.com?x=1")}, "InvalidInput"},
		{"one that is there", iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://taken.example.com")}, "EntityAlreadyExists"},
		{"a thumbprint that is none", iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://a.example.com"), ThumbprintList: []string{"xyz"}}, "ValidationError"},
		{"too many thumbprints", iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://a.example.com"), ThumbprintList: make([]string, 6)}, "InvalidInput"},
		{"an empty client id", iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://a.example.com"), ClientIDList: []string{""}}, "ValidationError"},
		{"too many client ids", iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://a.example.com"), ClientIDList: make([]string, 101)}, "LimitExceeded"},
	} {
		if _, err := b.iam.CreateOpenIDConnectProvider(ctx, &row.in); code(err) != row.code {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.code)
		}
	}
	for i := range 98 {
		must(b.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String(fmt.Sprint("https://", i, ".example.com"))}))
	}
	if _, err := b.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://last.example.com")}); code(err) != "LimitExceeded" {
		t.Errorf("an account has a hundred: got %v", err)
	}
}

// The CLI finds a web identity in its environment and uses it for itself.
func TestWebIdentityOfAWSCLI(t *testing.T) {
	aws, b, idp := awsCLI(t), newBed(t), newIssuer(t)
	run := func(args ...string) string {
		t.Helper()
		out, err := aws(append([]string{"--endpoint-url", b.url}, args...)...)
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	run("iam", "create-open-id-connect-provider", "--url", idp.url, "--client-id-list", "dashboard")
	if out := run("iam", "list-open-id-connect-providers"); !strings.Contains(out, idp.arn()) {
		t.Errorf("got %s", out)
	}
	run("iam", "create-role", "--role-name", "dash", "--assume-role-policy-document", idp.federated(withIDToken, `{"StringLike":{"IDP:sub":"jane*"}}`))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(idp.token(nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run("sts", "assume-role-with-web-identity", "--role-arn", "arn:aws:iam::123456789012:role/dash",
		"--role-session-name", "jane", "--web-identity-token", "file://"+file, "--policy", denyAll, "--query", "[SubjectFromWebIdentityToken,AssumedRoleUser.Arn]", "--output", "text")
	if strings.TrimSpace(out) != "jane-1\tarn:aws:sts::123456789012:assumed-role/dash/jane" {
		t.Errorf("got %s", out)
	}
}
