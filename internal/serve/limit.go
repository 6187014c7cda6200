package serve

import (
	"container/list"
	"crypto/tls"
	"log" //nolint:depguard // the type of http.Server's ErrorLog
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

const (
	// beginTime is how long a connection may take to its first request while
	// another one waits for its place.
	beginTime = time.Second
	// settleTime is how long a connection is idle before it is closed for
	// another one: HTTP/2 is so before its last answer is on its way.
	settleTime = 100 * time.Millisecond
)

// limited is a listener that lets a fixed number of connections be open at
// once. When one more comes, one is closed for it on which no request has come
// in time, else the one that has been idle for longest; while there is neither
// it waits. A slow client holds one place and no more, and the timeouts give it
// back.
type limited struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
	// idled has an element after a connection became idle.
	idled chan struct{}

	// Both are of *placed, the one that may be closed first first.
	mu    sync.Mutex
	begun list.List // no request has come yet
	idle  list.List
}

func limit(l net.Listener, n int) *limited {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{}), idled: make(chan struct{}, 1)}
}

// Accept waits for a connection and then for a place. It is not for concurrent
// use; http.Server calls it from one goroutine.
func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		select {
		case l.places <- struct{}{}:
			return &placed{Conn: conn, free: sync.OnceFunc(func() { <-l.places })}, nil
		default:
		}
		if again := l.makeRoom(time.Now()); again > 0 && !l.wait(again) {
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

// wait ends when there may be a place, after some time at the latest. It is
// false if the listener was closed.
func (l *limited) wait(atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		<-l.places // to be taken by Accept, the only one who does
	case <-l.idled:
	case <-timer.C:
	case <-l.closed:
		return false
	}
	return true
}

// makeRoom closes a connection, or says after how long to look again.
func (l *limited) makeRoom(now time.Time) (again time.Duration) {
	again = time.Hour // what becomes idle ends the wait
	l.mu.Lock()
	var conn *placed
	for _, those := range []*list.List{&l.begun, &l.idle} {
		first := those.Front()
		if first == nil {
			continue
		}
		c, _ := first.Value.(*placed)
		left := c.from.Sub(now)
		if left <= 0 {
			l.forget(c)
			conn = c
			break
		}
		again = min(again, left)
	}
	l.mu.Unlock()
	if conn == nil {
		return again
	}
	_ = conn.Close() // which gives its place back
	return 0
}

// track is http.Server's ConnState: it keeps the connections that may be closed
// for others in the order in which they may.
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
	switch {
	case state == http.StateNew:
		c.from = time.Now().Add(beginTime)
		c.list(&l.begun)
	case !c.greeted && state <= http.StateIdle && isHTTP2(conn):
		// It is active and then idle before its first request, too.
		c.greeted = state == http.StateIdle
	default:
		l.forget(c)
		if state == http.StateIdle {
			c.from = time.Now().Add(settleTime)
			c.list(&l.idle)
			select {
			case l.idled <- struct{}{}:
			default:
			}
		}
	}
}

func isHTTP2(conn net.Conn) bool {
	secured, ok := conn.(*tls.Conn)
	return ok && secured.ConnectionState().NegotiatedProtocol == "h2"
}

// forget takes a connection out of those that may be closed. The lock is held.
func (l *limited) forget(c *placed) {
	if c.place != nil {
		c.those.Remove(c.place)
		c.those, c.place = nil, nil
	}
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
	greeted bool          // HTTP/2 was agreed on, which looks like a request
	from    time.Time     // when it may be closed for another one
	those   *list.List    // where it stands; nil while it is at work
	place   *list.Element // in it
}

// list puts it behind all others.
func (c *placed) list(those *list.List) { c.those, c.place = those, those.PushBack(c) }

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
