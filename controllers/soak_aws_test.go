package controllers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakWire carries requests to the emulator as bytes, but not over a network.
type soakWire struct{ http.Handler }

// Do is what an aws.HTTPClient does.
func (w soakWire) Do(r *http.Request) (answer *http.Response, err error) {
	body, err := whole(r.Body)
	if err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.Body, in.RequestURI = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.URL, err = url.ParseRequestURI(in.RequestURI); err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil { // as net/http has it
			answer, err = nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: io.EOF}
		}
	}()
	out := httptest.NewRecorder()
	w.ServeHTTP(out, in)
	return out.Result(), nil
}

// whole reads a body, if there is one.
func whole(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	return io.ReadAll(body)
}

// clockSigner signs with the test's time.
type clockSigner struct {
	*v4.Signer
	now func() time.Time
}

// SignHTTP has the parameters of iam.HTTPSignerV4.
//
//nolint:revive // the interface is not ours
func (c clockSigner) SignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return c.Signer.SignHTTP(ctx, credentials, r, payloadHash, service, region, c.now(), opts...)
}

func (s *soak) awsConfig(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://aws.test"), RetryMaxAttempts: 1, HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
	}
}

func (s *soak) signer() clockSigner { return clockSigner{v4.NewSigner(), s.now} }

func (s *soak) iamOf(c aws.Config) *iam.Client {
	return iam.NewFromConfig(c, func(o *iam.Options) { o.HTTPSignerV4 = s.signer() })
}

// newLister reads both accounts.
func (r *replica) newLister() *principals.Accounts {
	s := r.soak
	own, other := s.awsConfig(soakHanging{soakWire{s.aws}, r}), s.awsConfig(soakFrozen{soakWire{s.aws}, s})
	other.Credentials = otherCredentials()
	read := func(c aws.Config, account string) *principals.Lister {
		config := principals.Config{
			IAM: s.iamOf(c), STS: sts.NewFromConfig(c, func(o *sts.Options) { o.HTTPSignerV4 = s.signer() }),
			Credentials: c.Credentials, Now: r.time, AccountID: account,
		}
		if account != "" {
			config.Partition = "aws"
		}
		return principals.New(config)
	}
	return principals.NewAccounts(read(own, ""), read(other, otherAccount))
}

func otherCredentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("AKIAOTHER", "other", "")
}

// soakLister asks AWS for a replica.
type soakLister struct{ *replica }

func (l soakLister) List(ctx context.Context, needs rules.Needs) principals.Listing {
	listing := l.lister.List(ctx, needs)
	began := l.now()
	if l.slow.After(began) && !l.crawl(ctx) {
		return listing
	}
	l.listed = began
	l.pay()
	if l.stallAt == listStall {
		l.stallAt = 0
		l.stall(l.replica)
	}
	return listing
}

// crawl has a listing take long. No refresh waits for it.
func (r *replica) crawl(ctx context.Context) (ended bool) {
	ours, release := r.rec.listing.underWay, make(chan bool, 1)
	rec := r.rec
	r.after(r.slow.Sub(r.now()), func() {
		if r.crawls == ours {
			r.crawls = nil
		}
		counts := rec == r.rec && rec.listing.underWay == ours
		if release <- counts; counts {
			<-ours.done
			r.wakeUp(r)
		}
	})
	r.crawls = ours
	r.giveUp()
	select {
	case counts := <-release:
		return counts
	case <-ctx.Done():
		return false
	}
}

func (l soakLister) Exists(ctx context.Context, kind rules.Kind, principalARN string) (bool, error) {
	return l.lister.Exists(ctx, kind, principalARN)
}

func (l soakLister) RollCall(ctx context.Context, kind rules.Kind, account string, needs rules.Needs) principals.Listing {
	return l.lister.RollCall(ctx, kind, account, needs)
}

// listStall has the process stand still after its listing.
const listStall = -1

var errLost = errors.New("the answer was lost")
