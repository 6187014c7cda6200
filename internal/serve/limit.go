package serve

import (
	"log" //nolint:depguard // the type of http.Server's ErrorLog
	"net"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// limit lets n connections be open at once. A slow client holds one place and
// no more; the timeouts give it back.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a place and then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: conn, free: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close ends Accept.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type placed struct {
	net.Conn
	free func()
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
