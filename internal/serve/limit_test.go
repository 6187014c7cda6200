package serve_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// dial opens a connection of its own, of HTTP/2 or HTTP/1.1.
func (b *bench) dial(t *testing.T, http2 bool) *client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.roots}, ForceAttemptHTTP2: http2, MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{http.Client{Transport: transport}, b.url}
}

type client struct {
	http.Client
	url string
}

func (c *client) get(t *testing.T, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// peer answers with the client's address, which tells connections apart.
func peer(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }

// TestIdleConnectionsGiveWay: connections that stay open without a request keep
// nobody out; the one that is idle for longest is closed.
func TestIdleConnectionsGiveWay(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		b := start(t, serve.Config{MaxConnections: 3, Handler: http.HandlerFunc(peer)})
		var clients []*client
		var addresses []string
		for range 3 {
			clients = append(clients, b.dial(t, http2))
		}
		for _, i := range []int{0, 1, 2, 0} { // the second one is idle for longest
			address, err := clients[i].get(t, "/")
			if err != nil {
				t.Fatal(err)
			}
			if addresses = append(addresses, address); i == 0 && addresses[0] != address {
				t.Fatal("the connection was not used again")
			}
		}
		if _, err := b.dial(t, http2).get(t, "/"); err != nil {
			t.Fatalf("HTTP/2 %t: a fourth connection: %v", http2, err)
		}
		for _, i := range []int{0, 2} {
			if address, err := clients[i].get(t, "/"); err != nil || address != addresses[i] {
				t.Errorf("HTTP/2 %t: connection %d was closed though another one was idle for longer (%v)", http2, i, err)
			}
		}
	}
}

// TestBusyConnectionsStay: while every connection is at work the next one
// waits, and the first one that becomes idle gives way.
func TestBusyConnectionsStay(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		arrived, goOn := make(chan struct{}), make(chan struct{})
		b := start(t, serve.Config{MaxConnections: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(arrived)
				<-goOn
			}
			peer(w, r)
		})})
		slow, next := make(chan error, 1), make(chan error, 1)
		first, second := b.dial(t, http2), b.dial(t, http2)
		go func() {
			_, err := first.get(t, "/slow")
			slow <- err
		}()
		<-arrived
		<-b.accepted
		go func() {
			_, err := second.get(t, "/")
			next <- err
		}()
		<-b.accepted
		select {
		case err := <-next:
			t.Errorf("HTTP/2 %t: the next one did not wait (%v)", http2, err)
		case <-time.After(100 * time.Millisecond):
		}
		close(goOn)
		if err := <-slow; err != nil {
			t.Errorf("HTTP/2 %t: the request under way: %v", http2, err)
		}
		select {
		case err := <-next:
			if err != nil {
				t.Errorf("HTTP/2 %t: the one that waited: %v", http2, err)
			}
		case <-time.After(10 * time.Second): // a third of what a connection may be idle
			t.Fatalf("HTTP/2 %t: an idle connection does not give way", http2)
		}
	}
}

// TestBeginningsGiveWay: connections on which no request ever comes keep nobody
// out, however far they have come.
func TestBeginningsGiveWay(t *testing.T) {
	for _, row := range []struct {
		reason   string
		protocol string // that is agreed on; empty: the handshake does not begin
		text     string // that is sent then
		waits    time.Duration
	}{
		{"no handshake", "", "", 4 * time.Second}, // which is given 5
		{"no request", "http/1.1", "", 4 * time.Second},
		{"half a request", "http/1.1", "GET / HTT", 4 * time.Second},
		{"nothing of HTTP/2", "h2", "", 8 * time.Second},
		{"settings", "h2", beginning, 15 * time.Second},
	} {
		b := start(t, serve.Config{MaxConnections: 3, Handler: http.HandlerFunc(peer)})
		var idlers []net.Conn
		for range 3 {
			idlers = append(idlers, b.begin(t, row.protocol))
			<-b.accepted
		}
		honest := b.dial(t, true)
		honest.Timeout = row.waits
		answered := make(chan error, 1)
		go func() {
			_, err := honest.get(t, "/")
			answered <- err
		}()
		<-b.accepted // it waits now
		for _, conn := range idlers {
			if _, err := io.WriteString(conn, row.text); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-answered; err != nil {
			t.Errorf("%s: the others kept an honest one out: %v", row.reason, err)
		}
	}
}

// beginning is a client's preface and its empty settings (RFC 9113, 3.4).
const beginning = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// begin opens a connection and agrees on a protocol, unless that is empty.
func (b *bench) begin(t *testing.T, protocol string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.url[len("https://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if protocol == "" {
		return conn
	}
	secured := tls.Client(conn, &tls.Config{RootCAs: b.roots, ServerName: "127.0.0.1", NextProtos: []string{protocol}})
	if err := secured.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return secured
}

// TestWaitingEndsWithTheServer: a connection that waits for a place does not
// hold up the end.
func TestWaitingEndsWithTheServer(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	b := start(t, serve.Config{MaxConnections: 1, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-goOn
	})})
	first := b.dial(t, false)
	answered := make(chan error, 1)
	go func() {
		_, err := first.get(t, "/")
		answered <- err
	}()
	<-arrived
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.url[len("https://"):])
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("a connection without a place was answered")
	}
	close(goOn)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-b.result; err != nil {
		t.Error(err)
	}
}
