package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// startLoginProxy runs the login proxy as a process of its own.
func startLoginProxy(ctx context.Context, o LoginProxyOptions, unknown []string) error {
	s, f := o.findings(unknown)
	if err := f.err(); err != nil {
		return err
	}
	log, err := o.logger()
	if err != nil {
		return err
	}
	deps := LoginProxyDeps{Log: log}
	if deps.AWS, err = ownAWSConfig(ctx, s.Region, log); err != nil {
		return err
	}
	return s.run(ctx, f.notes, deps)
}

// RunLoginProxy serves until ctx ends. The error says that it could not begin,
// or what ended it.
func RunLoginProxy(ctx context.Context, o LoginProxyOptions, deps LoginProxyDeps) error {
	s, f := o.settings()
	if err := f.err(); err != nil {
		return err
	}
	return s.run(ctx, f.notes, deps)
}

func (s *loginProxySettings) run(ctx context.Context, notes []string, deps LoginProxyDeps) error {
	for _, note := range notes {
		deps.Log.Info("a note on the options", "note", note)
	}
	parts, err := s.build(deps)
	if err != nil {
		return err
	}
	defer func() { _ = parts.close() }()
	if err := parts.assumer.CheckDuration(ctx); err != nil {
		return fmt.Errorf("--iam-session-duration: %w", err)
	}
	listeners, err := s.listen(ctx, deps.Listener)
	if err != nil {
		return err
	}
	return parts.serve(ctx, listeners, deps)
}

// loginProxyListeners are where it listens; auth and admin may be nil.
type loginProxyListeners struct{ main, auth, admin net.Listener }

// listen opens the listeners, but for the main one if that is given.
func (s *loginProxySettings) listen(ctx context.Context, given net.Listener) (l loginProxyListeners, err error) {
	l.main = given
	defer func() {
		if err == nil {
			return
		}
		for _, opened := range []net.Listener{l.main, l.auth, l.admin} {
			if opened != nil {
				_ = opened.Close()
			}
		}
	}()
	for _, at := range []struct {
		flag, address string
		to            *net.Listener
	}{
		{"port", net.JoinHostPort(s.Address, strconv.Itoa(s.Port)), &l.main},
		{"auth-address", s.AuthAddress, &l.auth},
		{"admin-address", s.AdminAddress, &l.admin},
	} {
		if at.address == "" || *at.to != nil {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at.address)
		if err != nil {
			return l, fmt.Errorf("--%s: %w", at.flag, err)
		}
		*at.to = listener
	}
	return l, nil
}

// serve runs everything until ctx ends or a server fails. Background work and
// the admin page go on until the last request has ended.
func (p *loginProxyParts) serve(ctx context.Context, l loginProxyListeners, deps LoginProxyDeps) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	var (
		front, behind sync.WaitGroup
		mu            sync.Mutex
		failures      []error
	)
	run := func(group *sync.WaitGroup, f func() error) {
		group.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				failures = append(failures, err)
				mu.Unlock()
				stop()
			}
		})
	}
	streams := func(group *sync.WaitGroup, until context.Context, listener net.Listener, handler http.Handler) {
		if listener == nil {
			return
		}
		c := serve.StreamConfig{Listener: listener, Handler: handler, Log: deps.Log}
		if listener == l.main {
			c.Certificate = p.getCertificate()
		}
		run(group, func() error { return serve.RunStreams(until, c) })
	}
	run(&behind, func() error { return p.provider.Run(background) })
	run(&behind, func() error { return p.proxy.Run(background) })
	streams(&behind, background, l.admin, p.adminHandler(ctx))
	streams(&front, ctx, l.auth, p.proxy.AuthHandler())
	streams(&front, ctx, l.main, p.proxy.Handler())
	deps.Log.Info("serving the login proxy", "address", l.main.Addr().String(), "tls", p.certificate != nil,
		"upstream", p.upstream.String(), "clusterName", p.ClusterName, "issuer", p.OIDCIssuer, "loginURL", p.LoginURL)
	<-ctx.Done() // also when a server has failed
	deps.Log.Info("stopping; requests under way are finished first")
	front.Wait()
	end()
	behind.Wait()
	return errors.Join(failures...)
}

func (p *loginProxyParts) getCertificate() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p.certificate == nil {
		return nil
	}
	return p.certificate.Get
}

// adminHandler tells machines how it goes. It is ready until serving ends.
func (p *loginProxyParts) adminHandler(serving context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := p.proxy.Ready()
		if serving.Err() != nil {
			err = errors.New("stopping")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	return mux
}
