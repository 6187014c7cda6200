package serve_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

func TestCertificate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	certificates := &serve.Certificates{Dir: filepath.Join(t.TempDir(), "state"), Names: []string{"localhost", "127.0.0.1"}, Now: func() time.Time { return now }}
	if made, err := certificates.Ensure(); err != nil || !made {
		t.Fatalf("made %t, %v", made, err)
	}
	block, _ := pem.Decode(certificates.PEM())
	got, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"localhost"}, got.DNSNames); diff != "" || len(got.IPAddresses) != 1 || got.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("made for %v %v with a key of %s", got.DNSNames, got.IPAddresses, got.PublicKeyAlgorithm)
	}
	if years := got.NotAfter.Sub(now).Hours() / 24 / 365; years != 10 {
		t.Errorf("it is good for %.1f years, want 10", years)
	}
	if info, err := os.Stat(certificates.KeyPath()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v (%v)", info.Mode(), err)
	}
	if made, err := certificates.Ensure(); err != nil || made {
		t.Errorf("a certificate that is there was made again: %t %v", made, err)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := &serve.Certificates{Dir: t.TempDir(), Names: []string{"first"}, Now: func() time.Time { return now }}
	second := &serve.Certificates{Dir: t.TempDir(), Names: []string{"a second one"}}
	for _, c := range []*serve.Certificates{first, second} {
		if _, err := c.Ensure(); err != nil {
			t.Fatal(err)
		}
	}
	old, replacement := first.PEM(), second.PEM()
	step := func(reason string, want []byte) {
		t.Helper()
		now = now.Add(time.Second)
		if _, err := first.Get(nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(first.PEM())); diff != "" {
			t.Errorf("%s: -want +got\n%s", reason, diff)
		}
	}
	step("unchanged", old)
	move(t, second.CertPath(), first.CertPath())
	step("a certificate without its key: the old pair stays", old)
	move(t, second.KeyPath(), first.KeyPath())
	step("both are there", replacement)
	if err := os.Remove(first.KeyPath()); err != nil {
		t.Fatal(err)
	}
	step("the files are gone: the last pair stays", replacement)
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// bench is a running server and a client that trusts it.
type bench struct {
	url      string
	roots    *x509.CertPool
	stop     context.CancelFunc
	result   chan error
	accepted chan struct{} // one for each connection
}

// telling is a listener that tells of every connection.
type telling struct {
	net.Listener
	accepted chan struct{}
}

func (l telling) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return conn, err
}

func start(t *testing.T, c serve.Config) *bench {
	t.Helper()
	certificates := &serve.Certificates{Dir: t.TempDir(), Names: []string{"127.0.0.1"}}
	if _, err := certificates.Ensure(); err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{}, 100)
	c.Listener, c.Certificate = telling{listener, accepted}, certificates.Get
	ctx, stop := context.WithCancel(t.Context())
	b := &bench{url: "https://" + listener.Addr().String(), roots: x509.NewCertPool(), stop: stop, result: make(chan error, 1), accepted: accepted}
	b.roots.AppendCertsFromPEM(certificates.PEM())
	go func() { b.result <- serve.Run(ctx, c) }()
	t.Cleanup(stop)
	return b
}

// get asks for the root and gives the major version of HTTP that answers.
func (b *bench) get(t *testing.T, change func(*tls.Config)) (int, error) {
	t.Helper()
	config := &tls.Config{RootCAs: b.roots}
	change(config)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, err
	}
	return response.ProtoMajor, response.Body.Close()
}

func TestTLS(t *testing.T) {
	b := start(t, serve.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })})
	version, err := b.get(t, func(*tls.Config) {})
	if err != nil || version != 2 {
		t.Errorf("got HTTP/%d %v, want HTTP/2", version, err)
	}
	if _, err := b.get(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	b.stop()
	if err := <-b.result; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestDraining(t *testing.T) {
	for _, row := range []struct {
		reason string
		drain  time.Duration
		ends   bool
	}{{"a request under way is finished", time.Minute, true}, {"not for ever", time.Millisecond, false}} {
		begun, goOn := make(chan struct{}), make(chan struct{})
		b := start(t, serve.Config{Drain: row.drain, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(begun)
			<-goOn
		})})
		answered := make(chan error, 1)
		go func() {
			_, err := b.get(t, func(*tls.Config) {})
			answered <- err
		}()
		<-begun
		b.stop()
		if row.ends {
			close(goOn)
		}
		err, answer := <-b.result, <-answered
		if (err == nil) != row.ends || (answer == nil) != row.ends {
			t.Errorf("%s: the server ended with %v, the request with %v", row.reason, err, answer)
		}
		if !row.ends {
			close(goOn)
		}
	}
}

// TestConnectionsAreLimited: a connection too many waits and is served when
// another one is closed.
func TestConnectionsAreLimited(t *testing.T) {
	b := start(t, serve.Config{MaxConnections: 1, Handler: http.NotFoundHandler()})
	var dialer net.Dialer
	idle, err := dialer.DialContext(t.Context(), "tcp", b.url[len("https://"):])
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := b.get(t, func(*tls.Config) {})
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("two connections are served at once: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestLimitsOfHTTP2: what a client may make the server keep for one connection.
func TestLimitsOfHTTP2(t *testing.T) {
	b := start(t, serve.Config{Handler: http.NotFoundHandler()})
	conn := b.begin(t, "h2")
	if _, err := io.WriteString(conn, beginning); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 9)
	if _, err := io.ReadFull(conn, header); err != nil {
		t.Fatal(err)
	}
	settings := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
	if _, err := io.ReadFull(conn, settings); err != nil || header[3] != 4 {
		t.Fatalf("the first frame is no SETTINGS: % x (%v)", header, err)
	}
	got := map[uint16]uint32{}
	for ; len(settings) > 0; settings = settings[6:] {
		got[binary.BigEndian.Uint16(settings)] = binary.BigEndian.Uint32(settings[2:])
	}
	for name, limit := range map[uint16]uint32{3: 20, 4: 64 << 10, 5: 16 << 10} { // streams, window, frame (RFC 9113, 6.5.2)
		if value, ok := got[name]; !ok || value > limit {
			t.Errorf("setting %d is %d (%t), want at most %d", name, value, ok, limit)
		}
	}
}

func TestWriteFileLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := serve.WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err = errors.Join(err); err != nil || len(entries) != 1 {
		t.Errorf("got %v %v, want the directory alone", entries, err)
	}
}
