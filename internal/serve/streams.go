package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// StreamConfig says what RunStreams serves, and where.
type StreamConfig struct {
	// Listener takes the connections, without TLS. RunStreams closes it.
	Listener net.Listener
	Handler  http.Handler
	// Certificate gives the certificate of each handshake. Default: plain HTTP.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Log takes what goes wrong with connections, at level 1. Default: none.
	Log logr.Logger
	// MaxConnections is how many connections are open at once. One more has one
	// closed as in Config, or waits. Each takes up to 80 KiB while its request
	// arrives. Default 2,500.
	MaxConnections int
	// Drain is how long requests under way may take after ctx has ended; what
	// takes longer is cut off. Default 20 seconds.
	Drain time.Duration
	// BodyPause is how long a client may pause while it sends a body. Default
	// one minute.
	BodyPause time.Duration
}

// What anybody may make a server of streams hold before it knows who they are:
// a head of 32 KiB, which has room for the cookies that browsers pile up, a form
// of 16 KiB where the handler reads one, and some 30 KiB of stack, buffers and
// copies: 75 to 80 KiB a connection, and 195 MiB for all of them.
const (
	streamConns      = 2500
	streamMaxHeader  = 32 << 10
	streamMaxStreams = 100 // requests at once on a connection of HTTP/2
	streamDrain      = 20 * time.Second
	streamPause      = time.Minute
)

// RunStreams serves until ctx ends, as Run does, but has no limit on how long an
// answer or an upgraded connection takes: it is for what people watch. A client
// that dawdles over its headers or its body is cut off all the same. Handlers
// can be stricter about a body: it has a method Hurry(time.Duration) bool.
// Upgraded connections are not waited for at the end.
func RunStreams(ctx context.Context, c StreamConfig) error {
	if c.MaxConnections == 0 {
		c.MaxConnections = streamConns
	}
	if c.Drain == 0 {
		c.Drain = streamDrain
	}
	if c.BodyPause == 0 {
		c.BodyPause = streamPause
	}
	server := &http.Server{
		Handler:           patient(c.Handler, c.BodyPause),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    streamMaxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamMaxStreams, MaxReadFrameSize: maxFrame, WriteByteTimeout: c.BodyPause},
		ErrorLog:          errorLog(c.Log),
	}
	listener := limit(c.Listener, c.MaxConnections)
	server.ConnState = listener.track
	ended := make(chan error, 1)
	go func() { ended <- serveOn(server, listener, c.Certificate) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving on %s: %w", c.Listener.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		c.Log.Info("streams were cut off", "after", c.Drain.String())
		return server.Close()
	}
	return err
}

func serveOn(server *http.Server, l net.Listener, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) error {
	if certificate == nil {
		return server.Serve(l)
	}
	server.TLSConfig = &tls.Config{MinVersion: tlsMinVersion, GetCertificate: certificate, NextProtos: []string{"h2", "http/1.1"}}
	return server.ServeTLS(l, "", "")
}

// patient gives a body as long as something of it arrives every now and then.
// The deadline stands before anything reads, because the server itself reads
// what a handler leaves unread, and goes when the body has ended: from then on
// the connection is read only to notice that the client has left.
func patient(next http.Handler, pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			body := &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w), pause: pause}
			body.extend(false)
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	pause   time.Duration

	mu    sync.Mutex
	until time.Time // when it must have arrived; zero: no matter
	ended bool
}

// Hurry has the rest of the body arrive within a time, however it is spread; an
// earlier limit stays. It tells whether there is a rest.
func (b *patientBody) Hurry(within time.Duration) (unread bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	if until := time.Now().Add(within); b.until.IsZero() || until.Before(b.until) {
		b.until = until
		_ = b.control.SetReadDeadline(until)
	}
	return true
}

// extend moves the deadline on, or takes it away at the end. It cannot fail for
// a connection of this server; a handler under test has no deadline to set.
func (b *patientBody) extend(ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = b.ended || ended
	var deadline time.Time
	if !b.ended {
		deadline = time.Now().Add(b.pause)
		if !b.until.IsZero() && b.until.Before(deadline) {
			deadline = b.until
		}
	}
	_ = b.control.SetReadDeadline(deadline)
}

// Read gives the client more time, within the limit.
func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		b.extend(err != nil)
	}
	return n, err
}
