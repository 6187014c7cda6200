// Package bench compares this project with sigs.k8s.io/aws-iam-authenticator:
// each must take the other's tokens, and the benchmarks say how fast either is,
// as a library and as a process. make bench PKG=hack/bench runs them.
package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

const (
	clusterID = "test-cluster"
	region    = "us-west-2"
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	arn       = "arn:aws:sts::123456789012:assumed-role/Admin/alice"
	identity  = `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012",` +
		`"Arn":"` + arn + `","UserId":"AROAX:alice"},"ResponseMetadata":{"RequestId":"1"}}}`
)

// signedBy answers like STS if the request carries the signature that the SDK's
// signer gives with these credentials.
func signedBy(c aws.Credentials) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := check(r, c); err != nil {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"Error":{"Code":"SignatureDoesNotMatch","Message":%q,"Type":"Sender"},"RequestId":"1"}`, err.Error())
			return
		}
		_, _ = io.WriteString(w, identity)
	}
}

// check signs the request anew and compares.
func check(r *http.Request, c aws.Credentials) error {
	query := r.URL.Query()
	at, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	scope := strings.Split(query.Get("X-Amz-Credential"), "/")
	if len(scope) != 5 || scope[0] != c.AccessKeyID {
		return fmt.Errorf("unknown credential %q", scope)
	}
	unsigned, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "https://"+r.Host+"/", http.NoBody)
	if err != nil {
		return err
	}
	kept := unsigned.URL.Query()
	for _, name := range []string{"Action", "Version", "X-Amz-Expires"} {
		kept.Set(name, query.Get(name))
	}
	unsigned.URL.RawQuery = kept.Encode()
	unsigned.Header.Set("x-k8s-aws-id", r.Header.Get("x-k8s-aws-id"))
	want, _, err := v4.NewSigner().PresignHTTP(r.Context(), c, unsigned, emptyHash, "sts", scope[2], at)
	if err != nil {
		return err
	}
	if signature := query.Get("X-Amz-Signature"); signature == "" || !strings.Contains(want, "X-Amz-Signature="+signature) {
		return fmt.Errorf("want the signature of %s", want)
	}
	return nil
}

// upstream is a TLS server with HTTP/1.1 that stands for all of STS.
type upstream struct {
	server      *httptest.Server
	connections atomic.Int32
}

func serve(tb testing.TB, handler http.HandlerFunc) *upstream {
	tb.Helper()
	u := newUpstream(handler)
	u.server.StartTLS()
	tb.Cleanup(u.server.Close)
	return u
}

// newUpstream is one that is not started yet.
func newUpstream(handler http.HandlerFunc) *upstream {
	u := &upstream{server: httptest.NewUnstartedServer(handler)}
	u.server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.connections.Add(1)
		}
	}
	return u
}

// redirect makes a transport dial the server, whatever the request's host.
func (u *upstream) redirect(tb testing.TB, t *http.Transport) *http.Transport {
	tb.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(u.server.Certificate())
	t.Proxy = nil
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "example.com"}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", u.server.Listener.Addr().String())
	}
	tb.Cleanup(t.CloseIdleConnections)
	return t
}

// replaceDefaultTransport gives the reference, which takes none, a transport.
func replaceDefaultTransport(tb testing.TB, t http.RoundTripper) {
	tb.Helper()
	old := http.DefaultTransport
	http.DefaultTransport = t
	tb.Cleanup(func() { http.DefaultTransport = old })
}

// goDefault is what the reference runs on: Go's default transport.
func goDefault(tb testing.TB) *http.Transport {
	tb.Helper()
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		tb.Fatal("the default transport was replaced")
	}
	return t.Clone()
}

// canned is a transport without a network.
type canned struct{}

func (canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(identity)), ContentLength: int64(len(identity)), Request: r,
	}, nil
}

// keys are those of AWS's documentation.
func keys() aws.Credentials {
	return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
}

func sessionKeys() aws.Credentials {
	c := keys()
	c.SessionToken = strings.Repeat("IQoJb3JpZ2luX2VjE/+=", 20)
	return c
}

func mintConfig(c aws.Credentials) ekstoken.MintConfig {
	return ekstoken.MintConfig{
		ClusterID: clusterID, Region: region,
		Credentials: ekstoken.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken},
	}
}
