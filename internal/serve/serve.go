// Package serve serves an http.Handler over TLS: with time limits on everything
// that a client may drag out, a limit on connections, a certificate that is
// read again when its files change, and an end that waits for requests under
// way. What is served is left to the handler.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
)

// Config says what is served, and where.
type Config struct {
	// Listener takes the connections, without TLS. Run closes it.
	Listener net.Listener
	Handler  http.Handler
	// Certificate gives the certificate of each handshake.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Log takes what goes wrong with connections, at level 1. Default: none.
	Log logr.Logger
	// MaxConnections is how many connections are open at once. For one more one
	// is closed on which no request has come within a second, else the one that
	// has been idle for longest; while there is neither, it waits. Default 1,000.
	MaxConnections int
	// Drain is how long requests under way may take after ctx has ended.
	// Default 10 seconds.
	Drain time.Duration
}

const (
	headerTime    = 5 * time.Second
	readTime      = 10 * time.Second
	writeTime     = 30 * time.Second
	idleTime      = 30 * time.Second
	maxHeader     = 16 << 10
	maxStreams    = 20       // requests at once on a connection of HTTP/2
	maxWindow     = 64 << 10 // of bodies that nobody has read yet, on one connection
	maxFrame      = 16 << 10 // is read whole
	defaultConns  = 1000
	defaultDrain  = 10 * time.Second
	tlsMinVersion = tls.VersionTLS12
)

// Run serves until ctx ends. The error is nil then, unless requests had to be
// cut off.
func Run(ctx context.Context, c Config) error {
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultConns
	}
	if c.Drain == 0 {
		c.Drain = defaultDrain
	}
	listener := limit(c.Listener, c.MaxConnections)
	server := &http.Server{
		Handler:           c.Handler,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame,
			MaxReceiveBufferPerConnection: maxWindow, MaxReceiveBufferPerStream: maxWindow,
		},
		ConnState: listener.track,
		ErrorLog:  errorLog(c.Log),
		TLSConfig: &tls.Config{MinVersion: tlsMinVersion, GetCertificate: c.Certificate, NextProtos: []string{"h2", "http/1.1"}},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving on %s: %w", c.Listener.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(fmt.Errorf("requests were cut off after %s", c.Drain), server.Close())
	}
	return err
}
