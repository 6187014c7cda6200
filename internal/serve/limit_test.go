package serve_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

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
	arrived, goOn := make(chan struct{}), make(chan struct{})
	b := start(t, serve.Config{MaxConnections: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-goOn
		}
		peer(w, r)
	})})
	slow, next := make(chan error, 1), make(chan error, 1)
	first, second := b.dial(t, false), b.dial(t, false)
	go func() {
		_, err := first.get(t, "/slow")
		slow <- err
	}()
	<-arrived
	go func() {
		_, err := second.get(t, "/")
		next <- err
	}()
	close(goOn)
	if err := <-slow; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-next; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
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
