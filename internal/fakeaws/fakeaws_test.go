package fakeaws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	adminKey    = "AKIAIOSFODNN7EXAMPLE"
	adminSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// clock is the time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bed is an emulator that listens, with clients of the real SDK.
type bed struct {
	*fakeaws.Server
	clock *clock
	url   string
	iam   *iam.Client
	sts   *sts.Client
}

func newBed(t *testing.T, change ...func(*fakeaws.Config)) *bed {
	t.Helper()
	// The SDK signs with the system's clock, so the emulator starts there.
	c := &clock{now: time.Now()}
	cfg := fakeaws.Config{
		AccessKeyID: adminKey, SecretAccessKey: adminSecret, AdminUser: "admin",
		Now: c.Now, Random: rand.NewPCG(1, 2),
	}
	for _, f := range change {
		f(&cfg)
	}
	b := &bed{Server: fakeaws.New(cfg), clock: c}
	server := httptest.NewServer(b.Server)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.iam, b.sts = b.clients(adminKey, adminSecret, "")
	return b
}

func withRoot(c *fakeaws.Config) { c.AdminUser = "" }

// clients signs with the key, without retries.
func (b *bed) clients(id, secret, token string) (*iam.Client, *sts.Client) {
	cfg := aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(b.url),
		Credentials:  credentials.NewStaticCredentialsProvider(id, secret, token),
		HTTPClient:   wholeBodies{},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
	return iam.NewFromConfig(cfg), sts.NewFromConfig(cfg)
}

func (b *bed) retrying(attempts int) *iam.Client {
	return iam.New(iam.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(b.url),
		Credentials:  credentials.NewStaticCredentialsProvider(adminKey, adminSecret, ""),
		HTTPClient:   wholeBodies{},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = attempts, time.Millisecond, noLimit{}
		}),
	})
}

// wholeBodies gives net/http bodies that it knows to be in memory. The SDK's own
// body makes the transport drop the connection, in the middle of the answer, if
// that begins before the transport has looked for more body to send.
type wholeBodies struct{}

func (wholeBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return http.DefaultClient.Do(r)
}

// noLimit is a retry rate limiter that never says no.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}

func (noLimit) AddTokens(uint) error { return nil }

// code is the AWS error code and status of err; empty for no error.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	if err != nil {
		return "not an API error: " + err.Error()
	}
	return ""
}

func status(err error) int {
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return http.StatusOK
}

// must gives the value; a test that cannot go on without it ends there.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
