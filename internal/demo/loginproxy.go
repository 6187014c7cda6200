package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakedashboard"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakevault"
)

const (
	// Both stand in aws-auth.yaml.
	developerRole = "dashboard-developer"
	adminRole     = "dashboard-admin"
	// ownIdentity is how the login page calls the IAM user that Vault makes.
	ownIdentity = "Personal IAM user"
	vaultRole   = "dashboard"
	clientID    = "dashboard"
	emailDomain = "corp.example"
	loginPath   = "/login"
	// The people whom the provider knows: jane may take both roles, omar one, and eve
	// is of another company.
	userJane, userOmar, userEve = "jane", "omar", "eve"
)

// portal is where people log in to reach the dashboard.
type portal struct {
	url    string // of the login proxy
	issuer string // of the OpenID provider
}

// loginProxy runs the login proxy with all that it needs around it: a provider,
// roles that trust it, a Vault, and a dashboard to stand in front of.
func (d *demo) loginProxy(ctx context.Context, w *world, log logr.Logger, fail context.CancelCauseFunc) error {
	o, listener, err := d.loginProxyOptions(ctx)
	if err != nil {
		return err
	}
	if err := d.provider(ctx, w, o); err != nil {
		return fmt.Errorf("starting the provider: %w", err)
	}
	o.OIDCIssuer = w.portal.issuer
	if err := w.makeRoles(ctx); err != nil {
		return fmt.Errorf("making the roles of the dashboard: %w", err)
	}
	o.IAMRoles = []string{roleARN(developerRole), roleARN(adminRole)}
	if o.Vault.Addr, err = d.vault(ctx, w); err != nil {
		return fmt.Errorf("starting Vault: %w", err)
	}
	if o.ProxyHost, err = d.dashboard(ctx, w); err != nil {
		return fmt.Errorf("starting the dashboard: %w", err)
	}
	admin, err := freePort(ctx)
	if err != nil {
		return err
	}
	o.AdminAddress = "127.0.0.1:" + strconv.Itoa(admin)
	w.portal.url = o.PublicURL
	d.background("login proxy", w, fail, func(ctx context.Context) error {
		return app.RunLoginProxy(ctx, *o, app.LoginProxyDeps{
			AWS: w.emulator.config(), Cluster: rest.AnonymousClientConfig(w.cluster.admin),
			Listener: listener, Log: log.WithName("login-proxy"),
		})
	})
	d.part("login", "an OpenID provider at %s; it knows %s, %s and %s, without passwords",
		w.portal.issuer, userJane, userOmar, userEve)
	d.part("", "and a Vault at %s, whose users the cluster gets to know through the controller", o.Vault.Addr)
	d.part("login proxy", "%s, in front of a small dashboard", w.portal.url)
	return w.awaitReady(ctx, "http://"+o.AdminAddress+"/readyz")
}

// awaitReady waits until a part says that it is ready.
func (w *world) awaitReady(ctx context.Context, address string) error {
	v, err := newVisitor()
	if err != nil {
		return err
	}
	_, err = w.retry(ctx, func(ctx context.Context) error { return v.open(ctx, address) },
		func(err error) bool { return err != nil || v.status != http.StatusOK })
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", address, err)
	}
	return nil
}

// loginProxyOptions are those that do not depend on other parts.
func (d *demo) loginProxyOptions(ctx context.Context) (*app.LoginProxyOptions, net.Listener, error) {
	l, moved, err := listen(ctx, d.LoginProxyAddress, d.AnyLoginProxyPort)
	if err != nil {
		return nil, nil, fmt.Errorf("--login-proxy-address: %w", err)
	}
	d.atEnd(func() error { _ = l.Close(); return nil }) // as a rule the login proxy has closed it
	if moved {
		d.say("  %s", d.paint(yellow, d.LoginProxyAddress+" is taken by another program; a free port is used instead"))
	}
	o := &app.LoginProxyOptions{}
	flags := pflag.NewFlagSet("login-proxy", pflag.ContinueOnError)
	o.BindFlags(flags)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	o.PublicURL = "http://localhost:" + port
	o.CookieSecret, o.ClientSecret = rand.Text()+rand.Text(), rand.Text()
	o.ClientID, o.ClusterName, o.Region = clientID, clusterID, region
	o.EmailDomains = []string{emailDomain}
	o.Vault.AuthRole, o.Vault.AWSRole, o.Vault.Name = vaultRole, vaultRole, ownIdentity
	return o, l, nil
}

// provider runs an OpenID provider.
func (d *demo) provider(ctx context.Context, w *world, o *app.LoginProxyOptions) error {
	p, err := fakeidp.New(fakeidp.Config{
		Users: []fakeidp.User{
			{Username: userJane, Email: userJane + "@" + emailDomain, Name: "Jane Doe"},
			{Username: userOmar, Email: userOmar + "@" + emailDomain, Name: "Omar Haddad"},
			{Username: userEve, Email: userEve + "@elsewhere.example", Name: "Eve, of another company"},
		},
		Clients: []fakeidp.Client{{
			ID: clientID, Secret: o.ClientSecret, RedirectURIs: []string{o.PublicURL + loginPath + "/oauth/callback"},
			BackchannelLogoutURI: o.PublicURL + loginPath + "/backchannel-logout",
		}},
	})
	if err != nil {
		return err
	}
	w.portal.issuer, err = d.serve(ctx, p)
	p.SetIssuer(w.portal.issuer)
	return err
}

// serve answers on a free port until the demo ends.
func (d *demo) serve(ctx context.Context, handler http.Handler) (address string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	d.atEnd(func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			return errors.Join(served, err)
		}
		return err
	})
	return "http://" + l.Addr().String(), nil
}

// vault runs a Vault that makes IAM users for those who log in, and returns its
// address.
func (d *demo) vault(ctx context.Context, w *world) (string, error) {
	if err := w.ensureGroup(ctx); err != nil {
		return "", err
	}
	return d.serve(ctx, fakevault.New(fakevault.Config{
		IAM: w.iam, Issuer: w.portal.issuer,
		AuthRoles: map[string]fakevault.AuthRole{vaultRole: {BoundAudiences: []string{clientID}, Policies: []string{vaultRole}}},
		AWSRoles:  map[string]fakevault.AWSRole{vaultRole: {PolicyARNs: []string{iamPolicy}, Groups: []string{iamGroup}}},
		Policies:  map[string][]string{vaultRole: {"aws/creds/" + vaultRole}},
	}))
}

// dashboard runs what the login proxy stands in front of, and returns its
// address without a scheme.
func (d *demo) dashboard(ctx context.Context, w *world) (string, error) {
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(w.cluster.admin))
	if err != nil {
		return "", err
	}
	address, err := d.serve(ctx, fakedashboard.New(fakedashboard.Config{
		Kubernetes: w.cluster.admin.Host, Transport: transport, AccountPath: loginPath,
	}))
	return strings.TrimPrefix(address, "http://"), err
}

func roleARN(name string) string { return "arn:aws:iam::" + accountID + ":role/" + name }

// makeRoles has IAM trust the provider, and makes the roles that its people may
// take.
func (w *world) makeRoles(ctx context.Context) error {
	issuer, err := url.Parse(w.portal.issuer)
	if err != nil {
		return err
	}
	made, err := w.iam.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: &w.portal.issuer, ClientIDList: []string{clientID},
	})
	if err != nil {
		return err
	}
	claims := func(more map[string]string) map[string]any {
		all := map[string]string{issuer.Host + ":aud": clientID}
		for name, value := range more {
			all[issuer.Host+":"+name] = value
		}
		return map[string]any{"StringEquals": all}
	}
	for name, condition := range map[string]map[string]any{
		developerRole: claims(nil),
		adminRole:     claims(map[string]string{"sub": userJane}),
	} {
		trust, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
			"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
			"Principal": map[string]any{"Federated": *made.OpenIDConnectProviderArn},
		}}})
		if err != nil {
			return err
		}
		if _, err := w.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(string(trust))}); err != nil {
			return err
		}
	}
	return nil
}
