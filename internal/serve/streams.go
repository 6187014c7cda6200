package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	// closed as in Config, or waits. Default 10,000.
	MaxConnections int
	// Drain is how long requests under way may take after ctx has ended; what
	// takes longer is cut off. Default 20 seconds.
	Drain time.Duration
	// BodyPause is how long a client may pause while it sends a body. Default
	// one minute.
	BodyPause time.Duration
}

const (
	streamConns     = 10_000
	streamDrain     = 20 * time.Second
	streamPause     = time.Minute
	streamMaxHeader = 64 << 10
	streamRequests  = 250 // at once on a connection of HTTP/2
)

// RunStreams serves until ctx ends, as Run does, but has no limit on how long an
// answer or an upgraded connection takes: it is for what people watch. A client
// that dawdles over its headers or its body is cut off all the same.
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
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamRequests, MaxReadFrameSize: maxFrame, WriteByteTimeout: c.BodyPause},
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
			body.extend()
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	pause   time.Duration
}

// extend cannot fail for a connection of this server; a handler under test has
// no deadline to set.
func (b *patientBody) extend() { _ = b.control.SetReadDeadline(time.Now().Add(b.pause)) }

// Read moves the deadline on, and takes it away at the end.
func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		_ = b.control.SetReadDeadline(time.Time{})
	case err == nil:
		b.extend()
	}
	return n, err
}
