package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// LoginProxyDeps is the world that the login proxy works in.
type LoginProxyDeps struct {
	// AWS reaches STS. Its region is what --region overrides; its credentials
	// are used with --sts-mode assume-role only.
	AWS aws.Config
	// HTTP reaches the OIDC provider. Default: http.DefaultTransport.
	HTTP *http.Client
	// Cluster is asked whether it accepts the users that Vault issues. Default:
	// --kubernetes-server, or the pod's own cluster.
	Cluster *rest.Config
	// Listener takes the requests; serving ends it. Default: --address and --port.
	Listener net.Listener
	// Now is the clock. Default time.Now.
	Now func() time.Time
	Log logr.Logger
}

// loginProxyParts are what runs, put together.
type loginProxyParts struct {
	*loginProxySettings
	registry    *prometheus.Registry
	provider    *oidclogin.Provider
	assumer     *webidentity.Assumer
	proxy       *loginproxy.Proxy
	certificate *serve.Pair // nil: plain HTTP
	close       func() error
}

// build puts the parts together. It reads files and asks nothing of the network.
func (s *loginProxySettings) build(deps LoginProxyDeps) (*loginProxyParts, error) {
	parts := &loginProxyParts{loginProxySettings: s, registry: prometheus.NewRegistry(), close: func() error { return nil }}
	parts.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.Region != "" {
		deps.AWS.Region = s.Region
	}
	if deps.AWS.Region == "" {
		return nil, errors.New("--region is missing, and neither AWS_REGION nor the instance tells it; give the cluster's region")
	}
	keys, err := session.NewKeys(s.secret, s.previous...)
	if err != nil {
		return nil, fmt.Errorf("--cookie-secret: %w", err)
	}
	c := loginproxy.Config{
		LoginURL: s.LoginURL, PublicURL: s.public, TrustedProxies: s.trusted,
		Upstream: s.upstream, PreserveHost: s.ProxyPreserveHost, UpstreamCSP: s.ProxyCSPHeader,
		ClusterName: s.ClusterName, Region: deps.AWS.Region, Issuer: s.OIDCIssuer, ClientID: s.ClientID,
		Keys: keys, CookieName: s.CookieName, MaxAge: s.maxAge, Idle: s.SessionIdle,
		Now: deps.Now, Log: deps.Log, Registerer: parts.registry,
	}
	for _, step := range []func(*loginproxy.Config, LoginProxyDeps) error{
		parts.addSessions, parts.addProvider, parts.addRoles, parts.addVault, parts.addTransport, parts.addCertificate,
	} {
		if err := step(&c, deps); err != nil {
			return nil, err
		}
	}
	if parts.proxy, err = loginproxy.New(c); err != nil {
		return nil, err
	}
	return parts, nil
}

func (p *loginProxyParts) addSessions(c *loginproxy.Config, deps LoginProxyDeps) error {
	if p.SessionStore == storeMemory {
		c.Sessions = session.NewMemory(session.MemoryConfig{Max: p.MaxSessions, Idle: p.SessionIdle, Now: deps.Now})
		return nil
	}
	redis, err := session.NewRedis(session.RedisConfig{
		URL: p.SessionStore, Keys: c.Keys, Idle: p.SessionIdle, Now: deps.Now, Log: deps.Log.WithName("redis"),
		Associated: strings.Join([]string{p.OIDCIssuer, p.ClientID, p.ClusterName}, "\x00"),
	})
	if err != nil {
		return fmt.Errorf("--session-store: %w", err)
	}
	c.Sessions, p.close = redis, redis.Close
	return nil
}

func (p *loginProxyParts) addProvider(c *loginproxy.Config, deps LoginProxyDeps) (err error) {
	p.provider, err = oidclogin.New(oidclogin.Config{
		Issuer: p.OIDCIssuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret, Scopes: p.Scopes,
		EmailDomains: p.EmailDomains, IgnoreEmailVerification: p.IgnoreEmailVerification, RequireEmail: true,
		HTTPClient: deps.HTTP, Now: deps.Now, Log: deps.Log.WithName("oidc"),
	})
	c.Provider = p.provider
	return err
}

func (p *loginProxyParts) addRoles(c *loginproxy.Config, deps LoginProxyDeps) error {
	for _, role := range p.IAMRoles {
		c.Identities = append(c.Identities, loginproxy.Identity{ARN: role, Sources: p.roleSources()})
	}
	if p.RolePolicy != "" {
		text, err := os.ReadFile(p.RolePolicy)
		if err != nil {
			return fmt.Errorf("--role-policy: %w", err)
		}
		if c.Policy, err = loginproxy.ParsePolicy(text); err != nil {
			return fmt.Errorf("--role-policy %s: %w", p.RolePolicy, err)
		}
	}
	var err error
	p.assumer, err = webidentity.New(webidentity.Config{
		Mode: webidentity.Mode(p.STSMode), Region: deps.AWS.Region, Duration: time.Duration(p.IAMSessionDuration) * time.Second,
		ClusterName: p.ClusterName, STS: sts.NewFromConfig(deps.AWS, func(o *sts.Options) { o.Region = deps.AWS.Region }),
	})
	c.Assumer = p.assumer
	return err
}

// roleSources are the modes whose credentials count. With assume-role the role
// policy decides, and it does so for each session anew; with web-identity IAM does,
// and it was not asked about those that were had with assume-role.
func (s *loginProxySettings) roleSources() []string {
	if s.STSMode == modeAssumeRole {
		return []string{modeAssumeRole, modeWebIdentity}
	}
	return []string{modeWebIdentity}
}

// source tells Vaults, and what they issue, apart.
func (v VaultOptions) source() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{v.Addr, v.Namespace, v.AuthMount, v.AuthRole, v.AWSMount, v.AWSRole}, "\x00")))
	return "vault " + hex.EncodeToString(sum[:8])
}

func (p *loginProxyParts) addVault(c *loginproxy.Config, deps LoginProxyDeps) error {
	v := p.Vault
	if v.Addr == "" {
		return nil
	}
	name := cmp.Or(v.Name, v.AWSRole)
	vault, err := webidentity.NewVault(webidentity.VaultConfig{
		Name: name, Addr: v.Addr, Namespace: v.Namespace, CAFile: v.CAFile,
		AuthMount: v.AuthMount, AuthRole: v.AuthRole, AWSMount: v.AWSMount, AWSRole: v.AWSRole, Now: deps.Now,
	})
	if err != nil {
		return fmt.Errorf("--vault-…: %w", err)
	}
	cluster := deps.Cluster
	switch {
	case cluster != nil:
	case p.KubernetesServer != "":
		cluster = &rest.Config{Host: p.KubernetesServer, TLSClientConfig: rest.TLSClientConfig{CAFile: p.KubernetesCAFile}}
	default:
		if cluster, err = rest.InClusterConfig(); err != nil {
			return errors.New("--vault-addr needs --kubernetes-server outside of a cluster, to see whether it accepts the issued user yet")
		}
	}
	c.Identities = append(c.Identities, loginproxy.Identity{Name: name, Vault: vault, Sources: []string{v.source()}})
	c.Accepts = accepts(cluster)
	return nil
}

// accepts asks the cluster who the holder of a token is, and takes a refusal
// for no. Whoever is somebody but may not ask is accepted, too.
func accepts(cluster *rest.Config) func(context.Context, string) (bool, error) {
	anonymous := rest.AnonymousClientConfig(cluster)
	anonymous.UserAgent = "aws-auth-refresher/" + version
	return func(ctx context.Context, token string) (bool, error) {
		asked := rest.CopyConfig(anonymous)
		asked.BearerToken = token
		client, err := authenticationclient.NewForConfig(asked)
		if err != nil {
			return false, fmt.Errorf("configuring the Kubernetes client: %w", err)
		}
		_, err = client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		switch {
		case err == nil || apierrors.IsForbidden(err):
			return true, nil
		case apierrors.IsUnauthorized(err):
			return false, nil
		default:
			return false, fmt.Errorf("asking the cluster who somebody is: %w", err)
		}
	}
}

// addTransport trusts other authorities than the system's, if it is told to.
func (p *loginProxyParts) addTransport(c *loginproxy.Config, _ LoginProxyDeps) error {
	if p.ProxyCAFile == "" {
		return nil
	}
	text, err := os.ReadFile(p.ProxyCAFile)
	if err != nil {
		return fmt.Errorf("--proxy-ca-file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("--proxy-ca-file: there is no certificate in %s; it must be in PEM", p.ProxyCAFile)
	}
	transport := loginproxy.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	c.Transport = transport
	return nil
}

func (p *loginProxyParts) addCertificate(_ *loginproxy.Config, deps LoginProxyDeps) error {
	if p.TLSCertFile == "" {
		return nil
	}
	p.certificate = &serve.Pair{CertFile: p.TLSCertFile, KeyFile: p.TLSPrivateKey, Log: deps.Log}
	if err := p.certificate.Load(); err != nil {
		return fmt.Errorf("--tls-cert-file: %w", err)
	}
	return nil
}
