package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/go-logr/logr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// clusterID is what tokens for the demo's cluster are made for.
const clusterID = "demo"

// authenticator is the server that the demo's API server asks about tokens.
type authenticator struct {
	options app.AuthenticatorOptions
}

// prepareAuthenticator writes the server's certificate and the kubeconfig of the
// webhook, which the API server wants to read before anybody listens there.
func prepareAuthenticator(ctx context.Context, dir string) (*authenticator, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	file := authnconfig.Default()
	file.ClusterID = clusterID
	s := &file.Server
	s.StateDir = filepath.Join(dir, "authenticator")
	s.GenerateKubeconfig = filepath.Join(s.StateDir, "webhook.yaml")
	s.KubeconfigPregenerated = true
	s.Port = port
	s.BackendMode = []string{authnconfig.EKSConfigMap}
	root := app.Root(app.Authenticator())
	root.SetArgs([]string{
		"authenticator", "init", "--cluster-id", clusterID, "--port", strconv.Itoa(port),
		"--state-dir", s.StateDir, "--generate-kubeconfig", s.GenerateKubeconfig,
	})
	root.SetOut(io.Discard)
	if err := root.ExecuteContext(ctx); err != nil {
		return nil, fmt.Errorf("preparing the authenticator: %w", err)
	}
	return &authenticator{options: app.AuthenticatorOptions{File: file}}, nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	if err := l.Close(); err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// apiServerArgs have the API server ask the authenticator. It remembers an
// answer for one second, so that a removal shows.
func (a *authenticator) apiServerArgs() map[string][]string {
	return map[string][]string{
		"authentication-token-webhook-config-file": {a.options.Server.GenerateKubeconfig},
		"authentication-token-webhook-version":     {"v1"},
		"authentication-token-webhook-cache-ttl":   {"1s"},
	}
}

// authenticator runs the server of token reviews as it runs beside an API server.
func (d *demo) authenticator(w *world, log logr.Logger, fail context.CancelCauseFunc) {
	d.background("authenticator", w, fail, func(ctx context.Context) error {
		return app.RunAuthenticator(ctx, w.cluster.authenticator.options, app.AuthenticatorDeps{
			Cluster: w.cluster.admin, Transport: w.emulator.sts(), AWS: w.emulator.config(), Log: log.WithName("authenticator"),
		})
	})
	d.part("authenticator", "kube-apiserver asks it about every token; it reads aws-auth and asks the emulated STS")
}

// sts reaches the emulator in place of every STS; requests keep the real host.
func (e *emulator) sts() http.RoundTripper {
	transport := ekstoken.NewTransport()
	transport.Proxy = nil
	transport.ForceAttemptHTTP2 = false
	transport.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", e.listener.Addr().String())
	}
	return transport
}
