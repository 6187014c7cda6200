// Package controlplane runs a real kube-apiserver and etcd on this machine,
// for tests and for the demo.
//
// It promises a control plane with RBAC on, reachable on the loopback
// interface only, that is gone (servers and files) when the program that
// started it is gone, however that ended. What is installed into the cluster is
// left to the caller. There are no controllers and no nodes: a deleted
// namespace stays Terminating for ever, so callers keep apart by unique names.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// serverTimeout is how long each server may take to become healthy, or to end.
// Four seconds are usual for both; a machine whose cores are all compiling needs
// many times that.
const serverTimeout = 2 * time.Minute

// Config says how the control plane is to run. The zero value is ready to use.
type Config struct {
	// Assets is the folder that holds kube-apiserver and etcd.
	// Default: what FindAssets finds.
	Assets string

	// Dir is an empty or missing folder for everything that the servers write:
	// certificates with their keys, etcd's data, logs. Stop leaves it in place.
	// Default: a temporary folder that Stop removes.
	Dir string

	// APIServerArgs are further flags of kube-apiserver: names without the
	// leading dashes, each with its values. They replace the flag's value
	// where envtest sets one too, for example
	//
	//	{"authentication-token-webhook-config-file": {"webhook.yaml"}}
	APIServerArgs map[string][]string

	// Audit records every write request that the API server answers, for
	// Writes to read. It costs a synchronous line of log a request.
	Audit bool
}

// ControlPlane is a running kube-apiserver and etcd. Its methods may be called
// from several goroutines, except Stop, KillAPIServer and StartAPIServer, which
// must not overlap with anything.
type ControlPlane struct {
	plane     *envtest.ControlPlane
	admin     *rest.Config
	dir       string
	temporary bool
	audit     string // path of the audit log, "" without Config.Audit
	guard     *guard

	users sync.Mutex // held while envtest issues a certificate
}

// Start starts etcd and kube-apiserver and returns when the API server answers
// and has made the namespaces default and kube-system. On an error nothing
// stays behind. The caller must call Stop.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	assets, err := assetsOf(cfg)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{dir: cfg.Dir, temporary: cfg.Dir == ""}
	if err := c.makeDir(); err != nil {
		return nil, err
	}
	if err := c.start(ctx, assets, cfg); err != nil {
		err = fmt.Errorf("starting the control plane of %s: %w%s", assets, err, c.lastWords())
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, assets string, cfg Config) error {
	if err := c.configure(assets, cfg); err != nil {
		return err
	}
	if err := c.plane.Start(); err != nil {
		return err
	}
	admin, err := c.User("admin", "system:masters")
	if err != nil {
		return err
	}
	c.admin = admin
	return c.awaitNamespaces(ctx)
}

func assetsOf(cfg Config) (string, error) {
	if cfg.Assets == "" {
		return FindAssets()
	}
	return cfg.Assets, checkAssets(cfg.Assets)
}

func (c *ControlPlane) makeDir() error {
	if c.temporary {
		dir, err := os.MkdirTemp("", "controlplane-")
		c.dir = dir
		return err
	}
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return err
	}
	c.dir = dir
	return os.MkdirAll(dir, 0o700)
}

// awaitNamespaces waits for the namespaces that the API server makes by itself
// shortly after it reports healthy.
func (c *ControlPlane) awaitNamespaces(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	k8s, err := client.New(c.admin, client.Options{})
	if err != nil {
		return err
	}
	for _, name := range []string{"default", "kube-system"} {
		for {
			err := k8s.Get(ctx, client.ObjectKey{Name: name}, &corev1.Namespace{})
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("namespace %s: %w", name, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// RESTConfig returns how to reach the API server as a member of
// system:masters, without the client-side rate limit. The copy is the caller's.
func (c *ControlPlane) RESTConfig() *rest.Config {
	return rest.CopyConfig(c.admin)
}

// User returns how to reach the API server as the user of that name and those
// groups, who has the rights that RBAC gives them and no others.
func (c *ControlPlane) User(name string, groups ...string) (*rest.Config, error) {
	c.users.Lock()
	defer c.users.Unlock()
	user, err := c.plane.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: -1})
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return rest.CopyConfig(user.Config()), nil
}

// Token returns how to reach the API server with a bearer token, such as one
// that a token webhook (Config.APIServerArgs) is to judge.
func (c *ControlPlane) Token(token string) *rest.Config {
	cfg := rest.AnonymousClientConfig(c.admin)
	cfg.BearerToken = token
	return cfg
}

// Stop ends both servers and removes what they wrote, unless Config.Dir named
// the place. It may be called again.
func (c *ControlPlane) Stop() error {
	var errs []error
	if c.plane != nil {
		// Told to stop, the API server waits a minute for whoever watches.
		if err := c.KillAPIServer(); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, c.plane.Stop())
	}
	if c.guard != nil {
		errs = append(errs, c.guard.dismiss())
		c.guard = nil
	}
	if c.temporary {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// Kubeconfig returns a kubeconfig file with one context, for the cluster and the
// credentials of cfg. Certificates are embedded, so the file stands alone.
func Kubeconfig(cfg *rest.Config) ([]byte, error) {
	const name = "controlplane"
	return clientcmd.Write(clientcmdapi.Config{
		CurrentContext: name,
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server:                   cfg.Host,
			CertificateAuthorityData: cfg.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: cfg.CertData,
			ClientKeyData:         cfg.KeyData,
			Token:                 cfg.BearerToken,
		}},
	})
}
