package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkServer measures how many token reviews in a second 64 workers get
// from the whole server, a process of its own: TLS, TokenReview, STS, mappings.
// STS takes 20 ms, speaks HTTP/1.1, and sees a token of another key each time.
// It and the workers share the processors with the server.
func BenchmarkServer(b *testing.B) {
	values := distinct(b, 4096)
	for _, side := range []struct {
		name, program string
		command       []string
	}{
		{"ours", ourServer, []string{"authenticator", "server"}},
		{"reference", reference, []string{"server"}},
	} {
		b.Run(side.name, func(b *testing.B) {
			var asked atomic.Int64
			u := serveAWS(b, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				<-time.After(answerIn)
				_, _ = io.WriteString(w, identity)
			})
			ask := u.start(b, program(b, side.program), side.command)
			eventually(b, "the server answers", func() bool { return ask(values[0]) == nil })
			reviews(b, ask, values, 4*workers) // opens the connections
			asked.Store(0)
			b.ResetTimer()
			reviews(b, ask, values, b.N)
			b.StopTimer()
			if n := asked.Load(); n != int64(b.N) {
				b.Errorf("STS was asked %d times for %d reviews", n, b.N)
			}
			report(b, u.upstream)
			if n := u.connections.Load(); side.program == ourServer && n > 2*workers {
				b.Errorf("%d connections to STS for %d workers", n, workers)
			}
		})
	}
}

// start starts a server and gives a way to ask it.
func (c cloud) start(b *testing.B, path string, command []string) verify {
	b.Helper()
	folder := b.TempDir()
	port := freePort(b)
	config := filepath.Join(folder, "config.yaml")
	writeFile(b, config, fmt.Appendf(nil, `clusterID: %s
server:
  port: %d
  stateDir: %s
  generateKubeconfig: %s
  mapRoles:
  - roleARN: arn:aws:iam::123456789012:role/Admin
    username: admin:{{SessionName}}
    groups: [admins]
`, clusterID, port, folder, filepath.Join(folder, "kubeconfig")))
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, append(command, "--config", config)...)
	cmd.Env = []string{
		"HOME=" + folder, "AWS_REGION=" + region, "AWS_EC2_METADATA_DISABLED=true",
		"HTTPS_PROXY=" + c.proxy, "SSL_CERT_FILE=" + c.certificate,
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		if content, err := os.ReadFile(log.Name()); b.Failed() {
			b.Logf("the log ends: %s %v", content[max(0, len(content)-2000):], err)
		}
		_ = log.Close()
	})
	address := fmt.Sprintf("localhost:%d", port)
	eventually(b, "the server listens", func() bool {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		return err == nil && connection.Close() == nil
	})
	return client(b, "https://"+address, filepath.Join(folder, "cert.pem"))
}

// client asks a server for reviews.
func client(b *testing.B, url, certificate string) verify {
	b.Helper()
	content, err := os.ReadFile(certificate)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(content) {
		b.Fatal("the server's certificate cannot be used", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: workers, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	b.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return func(value string) error {
		review := `{"apiVersion":"authentication.k8s.io/v1beta1","kind":"TokenReview","spec":{"token":"` + value + `"}}`
		request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/authenticate", strings.NewReader(review))
		if err != nil {
			return err
		}
		response, err := c.Do(request)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		var answer struct {
			Status struct {
				User struct{ Username string }
			}
		}
		if json.Unmarshal(content, &answer) != nil || answer.Status.User.Username != "admin:alice" {
			return fmt.Errorf("the server answers %s: %s", response.Status, content)
		}
		return nil
	}
}

// eventually waits for up to half a minute until done.
func eventually(b *testing.B, what string, done func() bool) {
	b.Helper()
	for deadline := time.After(30 * time.Second); !done(); {
		select {
		case <-deadline:
			b.Fatalf("still not so: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		tb.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	return number
}

func writeFile(tb testing.TB, name string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}
