package serve_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// startStreams serves plain HTTP and gives the address.
func startStreams(t *testing.T, c serve.StreamConfig) (address string, stop func() error) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Listener = listener
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve.RunStreams(ctx, c) }()
	t.Cleanup(cancel)
	return listener.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

func dial(t *testing.T, address, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// TestStreamsLast: what the server has begun to answer may take longer than a
// client may pause in its own body.
func TestStreamsLast(t *testing.T) {
	const pause = 50 * time.Millisecond
	address, stop := startStreams(t, serve.StreamConfig{BodyPause: pause, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("the body: %v", err)
		}
		for range 3 {
			select {
			case <-r.Context().Done():
				t.Errorf("the request ended: %v", context.Cause(r.Context()))
			case <-time.After(pause):
			}
			fmt.Fprintln(w, "tick")
			_ = http.NewResponseController(w).Flush()
		}
	})})
	_, answer := dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	text, err := io.ReadAll(answer)
	if err != nil || strings.Count(string(text), "tick") != 3 {
		t.Errorf("got %q %v, want three ticks", text, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestDawdlersAreCutOff: a body that does not come ends the request, also when
// nobody reads it.
func TestDawdlersAreCutOff(t *testing.T) {
	for _, row := range []struct {
		reason string
		read   bool
	}{{"a handler reads it", true}, {"nobody reads it", false}} {
		address, _ := startStreams(t, serve.StreamConfig{BodyPause: 50 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if row.read {
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					t.Errorf("%s: the body has ended", row.reason)
				}
			}
			w.WriteHeader(http.StatusUnauthorized)
		})})
		conn, answer := dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow")
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(answer); err != nil {
			t.Errorf("%s: the connection stays open: %v", row.reason, err)
		}
	}
}

// TestHurriedBodies: a handler's limit holds however the body drips in, and
// does not outlast the body.
func TestHurriedBodies(t *testing.T) {
	const within = 100 * time.Millisecond
	type hurried interface {
		Hurry(within time.Duration) (unread bool)
	}
	address, _ := startStreams(t, serve.StreamConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := r.Body.(hurried)
		if !ok || !body.Hurry(within) || !body.Hurry(time.Hour) {
			t.Error("there is no rest of the body to hurry")
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, "late", http.StatusRequestTimeout)
			return
		}
		if body.Hurry(time.Nanosecond) {
			t.Error("a body that has ended has a rest")
		}
		select {
		case <-r.Context().Done():
			t.Error("the limit of the body ended the request")
		case <-time.After(2 * within):
		}
	})})
	conn, answer := dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	dripped := make(chan struct{})
	go func() {
		defer close(dripped)
		for ticks := time.NewTicker(within / 10); ; <-ticks.C {
			if _, err := io.WriteString(conn, "a"); err != nil {
				return
			}
		}
	}()
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "408") {
		t.Errorf("a body that drips in: %q %v", line, err)
	}
	<-dripped // the connection was closed
	_, answer = dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("a body that is there: %q %v", line, err)
	}
}

func TestHeadersAreLimited(t *testing.T) {
	address, _ := startStreams(t, serve.StreamConfig{Handler: http.NotFoundHandler()})
	_, answer := dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\nCookie: "+strings.Repeat("x", 36<<10))
	line, err := answer.ReadString('\n')
	if err != nil || !strings.Contains(line, "431") {
		t.Errorf("got %q %v, want 431", line, err)
	}
}

// TestStreamsAreCutOff: they do not keep the server from stopping.
func TestStreamsAreCutOff(t *testing.T) {
	begun := make(chan struct{})
	address, stop := startStreams(t, serve.StreamConfig{Drain: time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})})
	_, answer := dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := answer.ReadByte(); err == nil {
		t.Error("the stream goes on")
	}
}

func TestPair(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	first, second := &serve.Certificates{Dir: dir, Names: []string{"first"}}, &serve.Certificates{Dir: t.TempDir(), Names: []string{"second"}}
	for _, c := range []*serve.Certificates{first, second} {
		if _, err := c.Ensure(); err != nil {
			t.Fatal(err)
		}
	}
	pair := &serve.Pair{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), Now: func() time.Time { return now }}
	if err := pair.Load(); err != nil {
		t.Fatal(err)
	}
	name := func() string {
		got, err := pair.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(got.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return parsed.DNSNames[0]
	}
	if got := name(); got != "first" {
		t.Errorf("got %s, want first", got)
	}
	move(t, second.CertPath(), pair.CertFile)
	now = now.Add(time.Second)
	if got := name(); got != "first" {
		t.Errorf("without its key the new certificate is used: %s", got)
	}
	move(t, second.KeyPath(), pair.KeyFile)
	now = now.Add(time.Second)
	if got := name(); got != "second" {
		t.Errorf("got %s, want second", got)
	}
	missing := &serve.Pair{CertFile: "missing", KeyFile: "missing"}
	if err := missing.Load(); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing files: %v", err)
	}
}
