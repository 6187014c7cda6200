package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// good are options that nothing is wrong with.
func good() LoginProxyOptions {
	var o LoginProxyOptions
	o.groups() // sets the defaults
	o.CookieSecret, o.ClusterName, o.IAMRoles = strings.Repeat("s", minSecret), "demo", []string{"arn:aws:iam::123456789012:role/dev"}
	o.ClientID, o.ClientSecret, o.OIDCIssuer, o.ProxyHost = "id", "client-secret", "https://accounts.example.com", "upstream:8080"
	o.PublicURL, o.EmailDomains = "https://dashboard.example.com", []string{"example.com"}
	return o
}

func TestLoginProxyProblems(t *testing.T) {
	if _, f := good().settings(); len(f.problems)+len(f.notes) != 0 {
		t.Fatalf("the options that all rows start from have %q %q", f.problems, f.notes)
	}
	for _, row := range []struct {
		reason, want string
		change       func(*LoginProxyOptions)
	}{
		{"short secret", "--cookie-secret has 31 bytes", func(o *LoginProxyOptions) { o.CookieSecret = strings.Repeat("s", 31) }},
		{"short previous secret", "--cookie-secret-previous has 1 bytes", func(o *LoginProxyOptions) { o.PreviousCookieSecrets = []string{"x"} }},
		{"port", "--port is 70000", func(o *LoginProxyOptions) { o.Port = 70000 }},
		{"address with port", "give an IP address, and the port as --port", func(o *LoginProxyOptions) { o.Address = "0.0.0.0:80" }},
		{"listener without port", "--auth-address is \"localhost\"", func(o *LoginProxyOptions) { o.AuthAddress = "localhost" }},
		{"one listener twice", "give them different ports", func(o *LoginProxyOptions) { o.AuthAddress, o.AdminAddress = ":1", ":1" }},
		{"a port twice", "--port and --admin-address are both 3001", func(o *LoginProxyOptions) { o.Address, o.AdminAddress = "127.0.0.1", "[::]:3001" }},
		{"no region", "--region is \"Ireland\"", func(o *LoginProxyOptions) { o.Region = "Ireland" }},
		{"a short account", "other than 12 digits", func(o *LoginProxyOptions) { o.IAMRoles = []string{"arn:aws:iam::1:role/dev"} }},
		{"key without certificate", "belong together", func(o *LoginProxyOptions) { o.TLSPrivateKey = "key.pem" }},
		{"plain URL of a TLS server", "write https:// or leave the certificate out", func(o *LoginProxyOptions) {
			o.TLSCertFile, o.TLSPrivateKey, o.PublicURL = "c", "k", "http://localhost"
		}},
		{"public URL with a path", "--public-url must be", func(o *LoginProxyOptions) { o.PublicURL = "https://a.example.com/x" }},
		{"public URL with a user", "--public-url must be", func(o *LoginProxyOptions) { o.PublicURL = "https://u:p@a.example.com" }},
		{"public URL without a scheme", "--public-url must be", func(o *LoginProxyOptions) { o.PublicURL = "a.example.com" }},
		{"trusted proxy by name", "--trusted-proxy is \"nginx\"", func(o *LoginProxyOptions) { o.TrustedProxies = []string{"nginx"} }},
		{"store", "--session-store must be memory", func(o *LoginProxyOptions) { o.SessionStore = "redis:6379" }},
		{"cookie name", "--cookie-name is \"a b\"", func(o *LoginProxyOptions) { o.CookieName = "a b" }},
		{"max sessions", "--max-sessions is -1", func(o *LoginProxyOptions) { o.MaxSessions = -1 }},
		{"cluster name", "which is no name of a cluster", func(o *LoginProxyOptions) { o.ClusterName = "a b" }},
		{"duration too short", "--iam-session-duration is 60 seconds", func(o *LoginProxyOptions) { o.IAMSessionDuration = 60 }},
		{"duration too long", "AWS allows 900 to 43200", func(o *LoginProxyOptions) { o.IAMSessionDuration = 43201 }},
		{"mode", "choose web-identity or assume-role", func(o *LoginProxyOptions) { o.STSMode = "saml" }},
		{"a user as role", "is not a role", func(o *LoginProxyOptions) { o.IAMRoles = []string{"arn:aws:iam::123456789012:user/dev"} }},
		{"two roles in one flag", "give the flag once for each", func(o *LoginProxyOptions) { o.IAMRoles = []string{o.IAMRoles[0] + "," + o.IAMRoles[0]} }},
		{"a role twice", "is given twice", func(o *LoginProxyOptions) { o.IAMRoles = append(o.IAMRoles, o.IAMRoles[0]) }},
		{"issuer without scheme", "--oidc-issuer must be a URL", func(o *LoginProxyOptions) { o.OIDCIssuer = "accounts.google.com" }},
		{"discovery document", "leave /.well-known/openid-configuration out", func(o *LoginProxyOptions) {
			o.OIDCIssuer += "/.well-known/openid-configuration"
		}},
		{"scopes without openid", "lacks openid", func(o *LoginProxyOptions) { o.Scopes = []string{"email"} }},
		{"scopes in one flag", "several scopes", func(o *LoginProxyOptions) { o.Scopes = []string{"openid email"} }},
		{"domain with @", "write what stands behind the @", func(o *LoginProxyOptions) { o.EmailDomains = []string{"@example.com"} }},
		{"wildcard domain", "without wildcards", func(o *LoginProxyOptions) { o.EmailDomains = []string{"*.example.com"} }},
		{"upstream with path", "without a path", func(o *LoginProxyOptions) { o.ProxyHost = "upstream/path" }},
		{"upstream with a wrong port", "HOST or HOST:PORT", func(o *LoginProxyOptions) { o.ProxyHost = "upstream:0" }},
		{"upstream with user", "HOST or HOST:PORT", func(o *LoginProxyOptions) { o.ProxyHost = "user@upstream" }},
		{"missing CA file", "--proxy-ca-file: open /nowhere", func(o *LoginProxyOptions) { o.ProxyUseHTTPS, o.ProxyCAFile = true, "/nowhere" }},
		{"Vault without roles", "--vault-addr needs --vault-auth-role", func(o *LoginProxyOptions) { o.Vault.Addr = "https://vault" }},
		{"Vault without scheme", "--vault-addr must be a URL", func(o *LoginProxyOptions) {
			o.Vault = VaultOptions{Addr: "vault:8200", AuthRole: "a", AWSRole: "b"}
		}},
		{"plain API server", "--kubernetes-server must be an https:// URL", func(o *LoginProxyOptions) {
			o.Vault = VaultOptions{Addr: "https://vault:8200", AuthRole: "a", AWSRole: "b"}
			o.KubernetesServer = "http://api"
		}},
	} {
		o := good()
		row.change(&o)
		_, f := o.settings()
		if len(f.problems) != 1 || !strings.Contains(f.problems[0], row.want) {
			t.Errorf("%s: got %q, want one problem with %q", row.reason, f.problems, row.want)
		}
	}
}

// TestLoginProxyPorts: one port of two addresses is two listeners.
func TestLoginProxyPorts(t *testing.T) {
	o := good()
	o.Address, o.AdminAddress, o.AuthAddress = "127.0.0.1", "127.0.0.2:3001", "localhost:0"
	if _, f := o.settings(); len(f.problems) != 0 {
		t.Errorf("got %q", f.problems)
	}
}

func TestLoginProxyLoginURL(t *testing.T) {
	for path, ok := range map[string]bool{
		"/login": true, "/auth/login": true, "/apiserver": true, "/.auth": true,
		"": false, "login": false, "/": false, "/login/": false, "//login": false, "/a/../b": false, "/api": false, "/api/login": false,
		"/apis": false, "/apis/x": false, "/a b": false, "/%6Cogin": false, "/a?b": false, "/a#b": false, "/a;b": false, `/a\b`: false,
	} {
		o := good()
		o.LoginURL = path
		if _, f := o.settings(); (len(f.problems) == 0) != ok {
			t.Errorf("--login-url %q: got %q, want it accepted: %t", path, f.problems, ok)
		}
	}
}

func TestLoginProxyNotes(t *testing.T) {
	byEmail := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(byEmail, []byte("rules: [{claim: email, values: [jane@example.com], identities: [\"arn:aws:iam::123456789012:role/dev\"]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		reason, want string
		change       func(*LoginProxyOptions)
	}{
		{"neither URL nor proxies", "set --public-url", func(o *LoginProxyOptions) { o.PublicURL = "" }},
		{"everybody is trusted", "trusts everybody", func(o *LoginProxyOptions) { o.TrustedProxies = []string{"0.0.0.0/0"} }},
		{"plain issuer", "--oidc-issuer begins with http://", func(o *LoginProxyOptions) { o.OIDCIssuer = "http://my-issuer.com" }},
		{"plain public URL", "--public-url begins with http://", func(o *LoginProxyOptions) { o.PublicURL = "http://dashboard.example.com" }},
		{"the same secret again", "--cookie-secret-previous is the same", func(o *LoginProxyOptions) { o.PreviousCookieSecrets = []string{o.CookieSecret} }},
		{"a bound that Redis does not keep", "--max-sessions is without effect", func(o *LoginProxyOptions) {
			o.MaxSessions, o.SessionStore = 10, "redis://localhost:6379"
		}},
		{"idle longer than a login", "--session-idle of 1h0m0s is without effect", func(o *LoginProxyOptions) { o.IAMSessionDuration = 900 }},
		{"a domain twice", "is given twice", func(o *LoginProxyOptions) { o.EmailDomains = []string{"example.com", "EXAMPLE.com"} }},
		{"unverified addresses of a domain", "--ignore-email-verification lets in", func(o *LoginProxyOptions) {
			o.IgnoreEmailVerification = true
		}},
		{"unverified addresses that decide", "--role-policy decides by the claim email", func(o *LoginProxyOptions) {
			o.IgnoreEmailVerification, o.RolePolicy = true, byEmail
		}},
		{"Vault's mount without Vault", "--vault-aws-mount is without effect", func(o *LoginProxyOptions) { o.Vault.AWSMount = "aws-eu" }},
		{"CA without HTTPS", "--proxy-ca-file is without effect", func(o *LoginProxyOptions) { o.ProxyCAFile = "/dev/null" }},
		{"the default said again", "--proxy-disable-csp-header is without effect", func(o *LoginProxyOptions) { o.ProxyDisableCSPHeader = true }},
		{"Vault's role without Vault", "--vault-aws-role is without effect", func(o *LoginProxyOptions) { o.Vault.AWSRole = "dev" }},
		{"public client", "public client", func(o *LoginProxyOptions) { o.ClientSecret = "" }},
		{"roles for everybody", "without --role-policy", func(o *LoginProxyOptions) { o.IAMRoles = append(o.IAMRoles, "arn:aws:iam::123456789012:role/two") }},
	} {
		o := good()
		row.change(&o)
		_, f := o.settings()
		if len(f.problems) != 0 || len(f.notes) != 1 || !strings.Contains(f.notes[0], row.want) {
			t.Errorf("%s: got problems %q and notes %q, want one note with %q", row.reason, f.problems, f.notes, row.want)
		}
	}
}

// TestLoginProxyVariables: each flag has its variable, lists are split as each
// of them wants it, and a flag wins.
func TestLoginProxyVariables(t *testing.T) {
	cmd := LoginProxy()
	var missing []string
	names := flagsByVariable(cmd.Flags())
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if names[envName(f.Name)] == "" && f.Name != "check-config" {
			missing = append(missing, f.Name)
		}
	})
	if len(missing) > 0 {
		t.Errorf("flags without variable: %v", missing)
	}
	if err := cmd.ParseFlags([]string{"--cluster-name", "flag"}); err != nil {
		t.Fatal(err)
	}
	unknown, err := fillFromEnv(cmd.Flags(), []string{
		"EKS_AUTH_CLUSTER_NAME=variable",
		"EKS_AUTH_IAM_ROLES=arn:aws:iam::123456789012:role/a,b,arn:aws:iam::123456789012:role/c, arn:aws:iam::123456789012:role/d",
		"EKS_AUTH_EMAIL_DOMAIN=example.com, example.org",
		"EKS_AUTH_COOKIE_SECRET_PREVIOUS=one,secret",
		"EKS_AUTH_SCOPES=openid email",
		"EKS_AUTH_SESSION_IDLE=90m",
		"EKS_AUTH_HELP=true", "EKS_AUTH_PROXY_SERVICE_PORT_HTTP=80", "EKS_AUTH_PROXY_PORT=tcp://10.0.0.1:80", "PATH=/bin",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"EKS_AUTH_HELP"}, unknown); diff != "" {
		t.Errorf("variables without meaning: -want +got\n%s", diff)
	}
	got := map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); f.Changed && ok {
			got[f.Name] = strings.Join(list.GetSlice(), " | ")
		} else if f.Changed {
			got[f.Name] = f.Value.String()
		}
	})
	want := map[string]string{
		"cluster-name":           "flag",
		"iam-role":               "arn:aws:iam::123456789012:role/a,b | arn:aws:iam::123456789012:role/c | arn:aws:iam::123456789012:role/d",
		"email-domain":           "example.com | example.org",
		"cookie-secret-previous": "one,secret",
		"scopes":                 "openid | email",
		"session-idle":           "1h30m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestDotEnv: what stands in the file is what the program gets.
func TestDotEnv(t *testing.T) {
	got, err := parseDotEnv("# a comment\nA=pa$$WORD$1\nexport B=\"${HOME}\\$X\" # why\nC='$D'\n\nE=a#b\r\nF=\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "pa$$WORD$1", "B": "${HOME}$X", "C": "$D", "E": "a#b", "F": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for text, line := range map[string]string{"hunter2": "line 1:", "A=1\nB='2\n3'\nC=\"hunter2\nD=4\n": "line 4:", "A=1\nhunter2 = 2 = 3\n!\n": "line 3:"} {
		if _, err := parseDotEnv(text); err == nil || !strings.Contains(err.Error(), line) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s and no secret", text, err, line)
		}
	}
}

func TestArguments(t *testing.T) {
	for name, want := range map[string][]string{"./start": {"login-proxy", "-p", "1"}, "/aws-auth-refresher": {"-p", "1"}} {
		if got := Arguments(name, []string{"-p", "1"}); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
