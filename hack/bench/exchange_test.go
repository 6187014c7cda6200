package bench

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// referenceMint gives the reference's way to make a token.
func referenceMint(tb testing.TB, c aws.Credentials) func() (string, error) {
	tb.Helper()
	generator, err := token.NewGenerator(false, false)
	if err != nil {
		tb.Fatal(err)
	}
	client := sts.New(sts.Options{Region: region, Credentials: credentials.StaticCredentialsProvider{Value: c}})
	return func() (string, error) {
		t, err := generator.GetWithSTS(clusterID, client)
		return t.Token, err
	}
}

func ourMint(c aws.Credentials) func() (string, error) {
	config := mintConfig(c)
	return func() (string, error) {
		t, err := ekstoken.Mint(config)
		return t.Value, err
	}
}

func TestEachTakesTheTokensOfTheOther(t *testing.T) {
	for name, c := range map[string]aws.Credentials{"a user's keys": keys(), "a session": sessionKeys()} {
		t.Run(name, func(t *testing.T) {
			u := serve(t, signedBy(c))
			replaceDefaultTransport(t, u.redirect(t, goDefault(t)))
			ours, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{ClusterID: clusterID, Transport: u.redirect(t, ekstoken.NewTransport())})
			if err != nil {
				t.Fatal(err)
			}
			reference := token.NewVerifier(clusterID, "aws", region)
			for maker, mint := range map[string]func() (string, error){"the reference": referenceMint(t, c), "we": ourMint(c)} {
				value, err := mint()
				if err != nil {
					t.Fatal(err)
				}
				got, err := ours.Verify(t.Context(), value)
				if err != nil {
					t.Fatalf("we refuse what %s minted: %v", maker, err)
				}
				want, err := reference.Verify(value)
				if err != nil {
					t.Fatalf("the reference refuses what %s minted: %v", maker, err)
				}
				if got.ARN != want.ARN || got.CanonicalARN != want.CanonicalARN || got.AccountID != want.AccountID ||
					got.UserID != want.UserID || got.SessionName != want.SessionName || got.AccessKeyID != want.AccessKeyID {
					t.Errorf("we read %+v, the reference %+v", got, want)
				}
			}
		})
	}
}

// TestAnotherClustersTokenIsRefused proves that the STS above looks at signatures.
func TestAnotherClustersTokenIsRefused(t *testing.T) {
	u := serve(t, signedBy(keys()))
	v, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{ClusterID: "another", Transport: u.redirect(t, ekstoken.NewTransport())})
	if err != nil {
		t.Fatal(err)
	}
	value, err := referenceMint(t, keys())()
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), value)
	if refused, ok := errors.AsType[*ekstoken.Refused](err); !ok || refused.Code != "SignatureDoesNotMatch" {
		t.Errorf("got error %v, want SignatureDoesNotMatch", err)
	}
}

// TestTheReferenceTakesTheGoldenTokenForOld holds that testdata/golden.token is
// well-formed to the reference: its age is the only thing wrong with it.
func TestTheReferenceTakesTheGoldenTokenForOld(t *testing.T) {
	golden, err := os.ReadFile("../../internal/ekstoken/testdata/golden.token")
	if err != nil {
		t.Fatal(err)
	}
	replaceDefaultTransport(t, canned{})
	_, err = token.NewVerifier(clusterID, "aws", region).Verify(strings.TrimSpace(string(golden)))
	if err == nil || !strings.Contains(err.Error(), "is expired") {
		t.Errorf("got error %v", err)
	}
}
