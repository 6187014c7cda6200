package serve

import (
	"container/list"
	"crypto/tls"
	"log" //nolint:depguard // the type of http.Server's ErrorLog
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// limited is a listener that lets a fixed number of connections be open at
// once. When one more comes, the connection that has been idle for longest is
// closed for it; while none is idle it waits. A slow client holds one place and
// no more, and the timeouts give it back.
type limited struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	idle    list.List // of *placed, the one that is idle for longest first
	waiting bool      // a connection was accepted that has no place yet
}

func limit(l net.Listener, n int) *limited {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept waits for a connection and then for a place. It is not for concurrent
// use; http.Server calls it from one goroutine.
func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.places <- struct{}{}:
	default:
		l.makeRoom()
		select {
		case l.places <- struct{}{}:
		case <-l.closed:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
		l.mu.Lock()
		l.waiting = false // a place may have become free in another way
		l.mu.Unlock()
	}
	return &placed{Conn: conn, free: sync.OnceFunc(func() { <-l.places })}, nil
}

// makeRoom closes the oldest idle connection, or has the next one closed that
// becomes idle.
func (l *limited) makeRoom() {
	l.mu.Lock()
	oldest := l.idle.Front()
	if oldest == nil {
		l.waiting = true
		l.mu.Unlock()
		return
	}
	conn := l.forget(oldest)
	l.mu.Unlock()
	_ = conn.Close()
}

// track is http.Server's ConnState: it keeps the idle connections in the order
// in which they became so.
func (l *limited) track(conn net.Conn, state http.ConnState) {
	raw := conn
	if secured, ok := conn.(*tls.Conn); ok {
		raw = secured.NetConn()
	}
	c, ok := raw.(*placed)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place != nil {
		l.forget(c.place)
	}
	if state != http.StateIdle {
		return
	}
	// HTTP/2 is idle before its first request, too, which is on its way.
	begins := !c.used && isHTTP2(conn)
	c.used = true
	if l.waiting && !begins {
		l.waiting = false
		_ = c.Close()
		return
	}
	c.place = l.idle.PushBack(c)
}

func isHTTP2(conn net.Conn) bool {
	secured, ok := conn.(*tls.Conn)
	return ok && secured.ConnectionState().NegotiatedProtocol == "h2"
}

// forget takes a connection out of the idle ones. The lock is held.
func (l *limited) forget(e *list.Element) *placed {
	c, _ := l.idle.Remove(e).(*placed)
	c.place = nil
	return c
}

// Close ends Accept.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placed is a connection that holds a place.
type placed struct {
	net.Conn
	free func()
	// What follows is under the listener's lock.
	used  bool          // it was idle once
	place *list.Element // among the idle ones; nil if it is none
}

// Close gives the place back.
func (c *placed) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// errorLog passes what http.Server has to say on, as debug messages: most of it
// is about clients that left.
func errorLog(to logr.Logger) *log.Logger { return log.New(lines{to.V(1)}, "", 0) }

type lines struct{ to logr.Logger }

// Write logs one message.
func (l lines) Write(p []byte) (int, error) {
	l.to.Info("connection trouble", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}
