package session_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/redisbed"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// repeat runs every script twice and answers what the second run says.
type repeat struct{ repeated int }

func (*repeat) DialHook(next redis.DialHook) redis.DialHook { return next }
func (*repeat) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *repeat) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "eval") && next(ctx, cmd) == nil {
			h.repeated++
		}
		return next(ctx, cmd)
	}
}

// unavailable checks that every call says so.
func unavailable(t *testing.T, s store, id session.ID, change session.Session) {
	t.Helper()
	_, get := s.Get(t.Context(), id)
	_, peek := s.Peek(t.Context(), id)
	_, end := s.End(t.Context(), id)
	_, indexed := s.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: "alice"})
	release, ok, lock := s.Lock(t.Context(), id, time.Minute)
	release()
	if ok {
		t.Error("a lock was given by a server that is not there")
	}
	for name, err := range map[string]error{
		"Get": get, "Peek": peek, "End": end, "EndIndexed": indexed, "Lock": lock,
		"Create": s.Create(t.Context(), newID(t), change), "Update": s.Update(t.Context(), id, change), "Ready": s.Ready(t.Context()),
	} {
		if !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
			t.Errorf("%s answered %v, want ErrUnavailable alone", name, err)
		}
	}
}

func TestAServerThatIsGone(t *testing.T) {
	b := redisStores(t)
	w := watch(t, b.store)
	await(t, w.rechecks, "the recheck at the beginning")
	id := b.create(t, nil)
	s := b.mustPeek(t, id)
	b.redis.Stop()
	unavailable(t, b.store, id, s)

	b.redis.Restart()
	await(t, w.rechecks, "a recheck after the interruption")
	if err := b.Ready(t.Context()); err != nil {
		t.Error("Ready:", err)
	}
	b.gone(t, id, "the server came back empty")
	again := b.create(t, nil)
	if _, err := b.replica.End(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if got := await(t, w.ended, "an end after the interruption"); got != again.Key() {
		t.Errorf("heard of %s, want %s", got, again.Key())
	}
}

func TestAServerThatHangs(t *testing.T) {
	b := redisStores(t)
	w := watch(t, b.store)
	await(t, w.rechecks, "the recheck at the beginning")
	hasty := newRedis(t, session.RedisConfig{
		URL: b.redis.URL() + "?read_timeout=100ms&dial_timeout=100ms", Keys: keys(t, secretA), Associated: "here", Now: b.now,
	})
	id := b.create(t, nil)
	s := b.mustPeek(t, id)
	b.redis.Freeze()
	unavailable(t, hasty, id, s)
	patient := make(chan error, 1)
	go func() {
		_, err := b.Get(t.Context(), id)
		patient <- err
	}()
	if err := await(t, patient, "an answer with the usual patience"); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Get answered %v, want ErrUnavailable", err)
	}
	b.redis.Thaw()
	await(t, afterwards(t, b.store), "an answer")
}

// afterwards waits until the store answers again.
func afterwards(t *testing.T, s store) <-chan struct{} {
	t.Helper()
	ready := make(chan struct{})
	go func() {
		for tick := time.Tick(10 * time.Millisecond); s.Ready(t.Context()) != nil; {
			select {
			case <-tick:
			case <-t.Context().Done():
				return
			}
		}
		close(ready)
	}()
	return ready
}

func TestACallerWhoGivesUp(t *testing.T) {
	b := redisStores(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Get(ctx, b.create(t, nil))
	if !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Get answered %v, want ErrUnavailable and context.Canceled", err)
	}
}

func TestALockIsGivenBackThoughItsCallerIsGone(t *testing.T) {
	b := redisStores(t)
	id := b.create(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	release, ok, err := b.Lock(ctx, id, time.Minute)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	cancel()
	release()
	if _, ok, err := b.replica.Lock(t.Context(), id, time.Minute); !ok || err != nil {
		t.Errorf("Lock: %t, %v, want it", ok, err)
	}
}

func TestServersThatRefuse(t *testing.T) {
	for _, c := range []struct {
		reason string
		args   []string
	}{
		{"no password given", []string{"--requirepass", "hunter2"}},
		{"no room", []string{"--maxmemory", "1"}},
		{"no publishing", []string{"--user", "default", "on", "nopass", "~*", "+@all", "-publish"}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			server := redisbed.Start(t, c.args...)
			r := newRedis(t, session.RedisConfig{URL: server.URL(), Keys: keys(t, secretA)})
			if err := r.Ready(t.Context()); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("Ready answered %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestPasswordAndSocket(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	server := redisbed.Start(t, "--requirepass", "hunter2", "--unixsocket", socket)
	for _, url := range []string{
		"redis://:hunter2@" + server.Addr(), "redis://default:hunter2@" + server.Addr() + "/3", "unix://:hunter2@" + socket,
	} {
		r := newRedis(t, session.RedisConfig{URL: url, Keys: keys(t, secretA)})
		b := &bed{store: r, replica: r, now: time.Now}
		b.mustPeek(t, b.create(t, nil))
	}
	r := newRedis(t, session.RedisConfig{URL: "redis://:hunter3@" + server.Addr(), Keys: keys(t, secretA)})
	if err := r.Ready(t.Context()); !errors.Is(err, session.ErrUnavailable) || strings.Contains(err.Error(), "hunter") {
		t.Errorf("with a wrong password: %v, want ErrUnavailable without it", err)
	}
}

func TestTLS(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	dir := t.TempDir()
	plain := filepath.Join(dir, "redis.sock")
	port := freePort(t)
	redisbed.Start(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", certFile, "--tls-auth-clients", "no", "--unixsocket", plain)
	url := "rediss://127.0.0.1:" + port
	r := newRedis(t, session.RedisConfig{URL: url, RootCAs: roots, Keys: keys(t, secretA)})
	b := &bed{store: r, replica: r, now: time.Now}
	b.mustPeek(t, b.create(t, nil))
	stranger := newRedis(t, session.RedisConfig{URL: url, Keys: keys(t, secretA)})
	if err := stranger.Ready(t.Context()); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("a server that nobody vouches for: %v, want ErrUnavailable", err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only its number was wanted
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// certificate makes one for 127.0.0.1, signed by itself.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	certFile, keyFile = write("tls.crt", "CERTIFICATE", der), write("tls.key", "PRIVATE KEY", keyDER)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	return certFile, keyFile, roots
}
