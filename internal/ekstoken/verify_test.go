package ekstoken

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dialTo gives the default transport, but every connection goes to a server of
// the test; requests keep their hosts.
func dialTo(tb testing.TB, s *httptest.Server) *http.Transport {
	tb.Helper()
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

func TestVerifyGolden(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012","Arn":"arn:aws:iam::123456789012:user/a/alice","UserId":"AIDAX"}}}`))
	}))
	defer s.Close()
	v, err := NewVerifier(VerifierConfig{ClusterID: "test-cluster", Transport: dialTo(t, s), Now: func() time.Time { return goldenTime.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), golden(t))
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{ARN: "arn:aws:iam::123456789012:user/a/alice", CanonicalARN: "arn:aws:iam::123456789012:user/a/alice",
		AccountID: "123456789012", UserID: "AIDAX", PrincipalID: "AIDAX", AccessKeyID: "ASIAR2TG44V6AS3ZZE7C"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
