package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// cloud stands where the servers look for AWS: behind a proxy, with a certificate
// for STS's own name.
type cloud struct {
	*upstream
	proxy, certificate string
}

func serveAWS(b *testing.B, handler http.HandlerFunc) cloud {
	b.Helper()
	host := "sts." + region + ".amazonaws.com"
	certificate := selfSigned(b, host)
	listener := &tunnels{connections: make(chan net.Conn), closed: make(chan struct{})}
	u := newUpstream(handler)
	if err := u.server.Listener.Close(); err != nil {
		b.Fatal(err)
	}
	u.server.Listener = listener
	u.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	u.server.StartTLS()
	b.Cleanup(u.server.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != host+":443" {
			http.Error(w, "there is nothing else than "+host, http.StatusForbidden)
			return
		}
		listener.take(w)
	}))
	b.Cleanup(proxy.Close)
	file := filepath.Join(b.TempDir(), "aws.pem")
	writeFile(b, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	return cloud{upstream: u, proxy: proxy.URL, certificate: file}
}

// tunnels is a listener for the connections that a proxy was asked for: one
// process less to copy bytes than behind a proxy that dials.
type tunnels struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (t *tunnels) take(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := io.WriteString(connection, "HTTP/1.1 200 OK\r\n\r\n"); err == nil {
		select {
		case t.connections <- connection:
			return
		case <-t.closed:
		}
	}
	_ = connection.Close()
}

func (t *tunnels) Accept() (net.Conn, error) {
	select {
	case c := <-t.connections:
		return c, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

func (t *tunnels) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

func (t *tunnels) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func selfSigned(tb testing.TB, host string) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
