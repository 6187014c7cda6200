package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// TestLoginProxyAlone: sessions in memory, HTTPS of its own, and what is told
// to machines.
func TestLoginProxyAlone(t *testing.T) {
	bed := newLoginBed(t)
	certificates := &serve.Certificates{Dir: t.TempDir(), Names: []string{"127.0.0.1"}}
	if _, err := certificates.Ensure(); err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("client-secret", 3)
	r := bed.start(t, func(o *app.LoginProxyOptions) {
		o.TLSCertFile, o.TLSPrivateKey = certificates.CertPath(), certificates.KeyPath()
		o.PublicURL = strings.Replace(o.PublicURL, "http:", "https:", 1)
		o.Debug, o.LoginURL, o.CookieName = true, "/auth", "dashboard"
		bed.front = o.PublicURL
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificates.PEM())
	visitor := bed.browser(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	visitor.client.Transport = transport

	if p := visitor.logIn(t, bed.front+"/", "eve"); p.StatusCode != http.StatusForbidden || bed.count() > 0 {
		t.Errorf("somebody of another domain: %s, %d requests upstream\n%s", p.Status, bed.count(), p.text)
	}
	p := visitor.logIn(t, bed.front+"/", jane)
	if p.StatusCode != http.StatusOK || p.ProtoMajor != 2 || p.text != "the dashboard\n" {
		t.Fatalf("the login leads to %s over %s\n%s", p.Status, p.Proto, p.text)
	}
	token := bed.last(t).Header.Get("Authorization")
	cookies := visitor.client.Jar.Cookies(p.Request.URL)
	if len(cookies) != 1 || cookies[0].Name != "__Host-dashboard" {
		t.Fatalf("the cookies are %v", cookies)
	}
	metrics := readPage(t, "http://"+r.admin+"/metrics")
	for _, want := range []string{"go_goroutines", "login_proxy"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s:\n%s", want, metrics)
		}
	}
	if health := readPage(t, "http://"+r.admin+"/healthz"); health != "ok" {
		t.Errorf("/healthz says %s", health)
	}
	bed.mu.Lock()
	defer bed.mu.Unlock()
	logs := bed.logs.String()
	if !strings.Contains(logs, "jane@corp.example") {
		t.Error("the log does not say who it was")
	}
	for what, value := range map[string]string{
		"token": strings.TrimPrefix(token, "Bearer "), "cookie": cookies[0].Value, "cookie secret": "secretsecret", "client secret": secret,
	} {
		if strings.Contains(logs, value) {
			t.Errorf("the log holds the %s", what)
		}
	}
}

// TestLoginProxyRefusesToStart: what needs the world to be found out.
func TestLoginProxyRefusesToStart(t *testing.T) {
	bed := newLoginBed(t)
	for _, row := range []struct {
		reason, want string
		change       func(*app.LoginProxyOptions)
	}{
		{"a taken port", "--admin-address: listen tcp", func(o *app.LoginProxyOptions) { o.AdminAddress = bed.upstream }},
		{"a missing policy", "--role-policy: open /nowhere", func(o *app.LoginProxyOptions) { o.RolePolicy = "/nowhere" }},
		{"a CA file without certificates", "there is no certificate in /dev/null", func(o *app.LoginProxyOptions) {
			o.ProxyUseHTTPS, o.ProxyCAFile = true, "/dev/null"
		}},
		{"a certificate that is not there", "--tls-cert-file: reading the certificate", func(o *app.LoginProxyOptions) {
			o.TLSCertFile, o.TLSPrivateKey = "/nowhere", "/nowhere"
		}},
		{"Vault outside of a cluster", "needs --kubernetes-server outside of a cluster", func(o *app.LoginProxyOptions) {
			o.Vault = app.VaultOptions{Addr: "https://vault:8200", AuthRole: "a", AWSRole: "b"}
		}},
		{"an unusable Redis URL", "--session-store: the Redis URL cannot be read", func(o *app.LoginProxyOptions) { o.SessionStore = "redis://host:port" }},
	} {
		var o app.LoginProxyOptions
		o.LoginURL, o.SessionStore, o.STSMode, o.Scopes = "/login", "memory", "web-identity", []string{"openid", "email"}
		o.CookieSecret, o.ClusterName, o.IAMRoles = strings.Repeat("secret", 10), loginCluster, []string{loginRole}
		o.ClientID, o.OIDCIssuer, o.ProxyHost, o.Address = loginClient, bed.issuer.String(), bed.upstream, "127.0.0.1"
		row.change(&o)
		err := app.RunLoginProxy(t.Context(), o, app.LoginProxyDeps{AWS: bed.aws})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := app.RunLoginProxy(ctx, app.LoginProxyOptions{}, app.LoginProxyDeps{}); err == nil {
		t.Error("options with nothing in them are accepted")
	}
}

// TestLoginProxyManifestsAreAccepted: a real API server takes what is shipped.
func TestLoginProxyManifestsAreAccepted(t *testing.T) {
	c := clusterClient(t, bed)
	var objects []*unstructured.Unstructured
	if err := filepath.WalkDir(filepath.Join(deployed, "login-proxy"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(deployed, path)
		objects = append(objects, manifests(t, name)...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	namespaces := 0
	for _, first := range []bool{true, false} { // the others lie in namespaces
		for _, object := range objects {
			if (object.GetKind() == "Namespace") != first {
				continue
			}
			options := []client.CreateOption{client.FieldValidation("Strict")}
			if first {
				namespaces++
			} else {
				options = append(options, client.DryRunAll)
			}
			if err := client.IgnoreAlreadyExists(c.Create(t.Context(), object, options...)); err != nil {
				t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
			}
		}
	}
	if namespaces == 0 {
		t.Fatal(errors.New("there is no namespace in deploy/login-proxy"))
	}
}

// TestLoginProxyLogsOpenDoors: who starts it without --check-config reads the same.
func TestLoginProxyLogsOpenDoors(t *testing.T) {
	b := newLoginBed(t)
	b.start(t, func(o *app.LoginProxyOptions) { o.EmailDomains = nil })
	b.mu.Lock()
	defer b.mu.Unlock()
	if log := b.logs.String(); !strings.Contains(log, `"note"="everybody who has an account at `+b.issuer.String()+" gets in") {
		t.Errorf("it is not logged:\n%s", log)
	}
}
