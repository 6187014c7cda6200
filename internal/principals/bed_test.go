package principals_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

const account = "123456789012"

// bed is a Lister on real SDK clients, which talk to an emulator that listens.
type bed struct {
	*principals.Lister
	aws  *fakeaws.Server
	keys *keys
	sent *recorder
	now  time.Time // of the Lister
	date time.Time // what AWS says it is; zero: the truth

	url    string
	client *iam.Client
}

func newBed(t testing.TB, change ...func(*principals.Config)) *bed {
	t.Helper()
	b := &bed{
		keys: &keys{aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"}, nil},
		now:  time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	b.aws = fakeaws.New(fakeaws.Config{AccessKeyID: b.keys.AccessKeyID, SecretAccessKey: b.keys.SecretAccessKey})
	server := httptest.NewServer(dated(b.aws, func() time.Time { return b.date }))
	t.Cleanup(server.Close)
	b.url = server.URL
	sdk := b.sdk(b.keys)
	b.client = iam.NewFromConfig(sdk)
	b.sent = &recorder{IAM: b.client}
	cfg := principals.Config{
		IAM: b.sent, STS: sts.NewFromConfig(sdk), Credentials: b.keys,
		Now: func() time.Time { return b.now },
	}
	for _, f := range change {
		f(&cfg)
	}
	b.Lister = principals.New(cfg)
	return b
}

func (b *bed) sdk(keys aws.CredentialsProvider) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(b.url),
		Credentials:  keys,
		HTTPClient:   principals.WholeBodies(&http.Client{}),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		},
	}
}

// as is an IAM client with another key.
func (b *bed) as(key, secret string) *iam.Client {
	return iam.NewFromConfig(b.sdk(&keys{aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil}))
}

// lister is a Lister with another key.
func (b *bed) lister(key, secret string, change func(*principals.Config)) *principals.Lister {
	sdk := b.sdk(&keys{aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil})
	cfg := principals.Config{IAM: iam.NewFromConfig(sdk), STS: sts.NewFromConfig(sdk), Credentials: sdk.Credentials, Now: func() time.Time { return b.now }}
	change(&cfg)
	return principals.New(cfg)
}

// keys hands out the credentials that a test sets.
type keys struct {
	aws.Credentials
	err error
}

func (k *keys) Retrieve(context.Context) (aws.Credentials, error) { return k.Credentials, k.err }

// recorder notes what is asked of IAM.
type recorder struct {
	principals.IAM
	mu    sync.Mutex
	users []iam.ListUsersInput
	roles []iam.ListRolesInput

	details []iam.GetAccountAuthorizationDetailsInput
	after   func() // runs after each ListUsers
}

func (r *recorder) ListUsers(ctx context.Context, in *iam.ListUsersInput, o ...func(*iam.Options)) (*iam.ListUsersOutput, error) {
	r.mu.Lock()
	r.users = append(r.users, *in)
	r.mu.Unlock()
	out, err := r.IAM.ListUsers(ctx, in, o...)
	if r.after != nil {
		r.after()
	}
	return out, err
}

func (r *recorder) ListRoles(ctx context.Context, in *iam.ListRolesInput, o ...func(*iam.Options)) (*iam.ListRolesOutput, error) {
	r.mu.Lock()
	r.roles = append(r.roles, *in)
	r.mu.Unlock()
	return r.IAM.ListRoles(ctx, in, o...)
}

func (r *recorder) GetAccountAuthorizationDetails(
	ctx context.Context, in *iam.GetAccountAuthorizationDetailsInput, o ...func(*iam.Options),
) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	r.mu.Lock()
	r.details = append(r.details, *in)
	r.mu.Unlock()
	return r.IAM.GetAccountAuthorizationDetails(ctx, in, o...)
}

func (b *bed) createUsers(path string, names ...string) {
	for _, name := range names {
		if _, err := b.aws.CreateUser(path, name); err != nil {
			panic(err)
		}
	}
}

func (b *bed) createRoles(path string, names ...string) {
	for _, name := range names {
		if _, err := b.aws.CreateRole(path, name, ""); err != nil {
			panic(err)
		}
	}
}

func arns(l principals.Listing) []string {
	var out []string
	for _, p := range l.Principals {
		out = append(out, p.ARN)
	}
	return slices.Clip(out)
}
