package loginproxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// arrived is a request that the upstream got.
type arrived struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

// upstream notes what it gets.
type upstream struct {
	server *httptest.Server
	mu     sync.Mutex
	got    []arrived
	hold   chan struct{} // closed: /slow goes on
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{hold: make(chan struct{})}
	u.server = httptest.NewServer(u)
	t.Cleanup(func() { u.server.CloseClientConnections(); u.server.Close() })
	t.Cleanup(func() { close(u.hold) })
	return u
}

func (u *upstream) took() []arrived {
	u.mu.Lock()
	defer u.mu.Unlock()
	got := u.got
	u.got = nil
	return got
}

// seen is what it got and nobody took yet.
func (u *upstream) seen() []arrived {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]arrived(nil), u.got...)
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Header.Get("Upgrade") == "" {
		body, _ = io.ReadAll(r.Body)
	}
	u.mu.Lock()
	u.got = append(u.got, arrived{r.Method, r.RequestURI, r.Host, string(body), r.Header.Clone()})
	u.mu.Unlock()
	switch {
	case r.Header.Get("Upgrade") != "" && r.URL.Path != "/refuses-upgrade":
		echo(w)
	case r.URL.Path == "/stream":
		for { // until the client goes
			if _, err := io.WriteString(w, "tick\n"); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	case r.URL.Path == "/flood":
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case r.URL.Path == "/slow":
		select {
		case <-u.hold:
		case <-r.Context().Done():
		}
	case r.URL.Path == "/dies":
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/sets-cookies":
		w.Header().Add("Set-Cookie", cookie+"=planted; Path=/")
		w.Header().Add("Set-Cookie", "__Host-"+cookie+"=planted; Path=/; Secure")
		w.Header().Add("Set-Cookie", "theme=dark; Path=/")
	default:
		_, _ = io.WriteString(w, "hello from upstream")
	}
}

// echo switches protocols and sends back what it gets.
func echo(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(conn, rw)
}
