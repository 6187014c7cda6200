package app

import (
	"time"

	"github.com/spf13/pflag"
)

// LoginProxyOptions configure the login proxy. Each field is the flag of its
// name; the zero value of a field that is not required is "not given".
type LoginProxyOptions struct {
	Port    int
	Address string
	// PublicURL is what people type, scheme and host. TrustedProxies are the
	// addresses and networks whose X-Forwarded-* are believed.
	PublicURL      string
	TrustedProxies []string
	LoginURL       string
	// AuthAddress and AdminAddress are further listeners, HOST:PORT; none: "".
	AuthAddress, AdminAddress  string
	TLSCertFile, TLSPrivateKey string
	Debug                      bool
	LogFormat                  string

	CookieSecret             string
	CookieSecretFile         string
	PreviousCookieSecrets    []string
	PreviousCookieSecretFile []string
	CookieName               string
	SessionStore             string
	SessionStoreFile         string
	MaxSessions              int
	SessionMaxAge            time.Duration
	SessionIdle              time.Duration

	ClusterName string
	IAMRoles    []string
	// IAMSessionDuration is in seconds, as in the flag.
	IAMSessionDuration int
	Region             string
	STSMode            string
	RolePolicy         string

	ClientID                string
	ClientSecret            string
	ClientSecretFile        string
	OIDCIssuer              string
	Scopes                  []string
	EmailDomains            []string
	IgnoreEmailVerification bool

	ProxyHost             string
	ProxyUseHTTPS         bool
	ProxyCAFile           string
	ProxyPreserveHost     bool
	ProxyDisableCSPHeader bool
	ProxyCSPHeader        bool

	Vault            VaultOptions
	KubernetesServer string
	KubernetesCAFile string
}

// VaultOptions name the Vault that issues IAM users, and how to ask it.
type VaultOptions struct {
	Addr, Namespace, CAFile string
	AuthMount, AuthRole     string
	AWSMount, AWSRole       string
	// Name is how the picker calls it.
	Name string
}

const (
	storeMemory     = "memory"
	modeWebIdentity = "web-identity"
	modeAssumeRole  = "assume-role"

	defaultAuthMount = "jwt"
	defaultAWSMount  = "aws"
)

// flagGroup is a part of the help text.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// loginProxyAliases are flags by another name.
func loginProxyAliases() map[string]string {
	return map[string]string{"iam-roles": "iam-role", "email-domains": "email-domain"}
}

// BindFlags adds the flags with their defaults.
func (o *LoginProxyOptions) BindFlags(flags *pflag.FlagSet) {
	for _, g := range o.groups() {
		flags.AddFlagSet(g.flags)
	}
}

// groups are the flags with their defaults, in the order of the help text.
func (o *LoginProxyOptions) groups() []flagGroup {
	var all []flagGroup
	for _, g := range []struct {
		title string
		bind  func(*pflag.FlagSet)
	}{
		{"Server options", o.bindServer},
		{"Session options", o.bindSessions},
		{"AWS options", o.bindAWS},
		{"OIDC options", o.bindOIDC},
		{"Proxy options", o.bindProxy},
		{"Vault options", o.bindVault},
	} {
		flags := pflag.NewFlagSet(g.title, pflag.ContinueOnError)
		flags.SortFlags = false
		g.bind(flags)
		all = append(all, flagGroup{g.title, flags})
	}
	return all
}

func (o *LoginProxyOptions) bindServer(flags *pflag.FlagSet) {
	flags.IntVarP(&o.Port, "port", "p", 3001, "`port` to listen on")
	flags.StringVar(&o.Address, "address", "", "IP `address` to listen on; default: all")
	flags.StringVar(&o.PublicURL, "public-url", "", "the `URL` that people type, as https://dashboard.example.com")
	flags.StringArrayVar(&o.TrustedProxies, "trusted-proxy", nil,
		"`CIDR` of the reverse proxy in front, whose X-Forwarded-* headers are believed; can be given several times")
	flags.StringVar(&o.LoginURL, "login-url", "/login", "`path` that the login page and all other pages of its own lie under")
	flags.StringVar(&o.AuthAddress, "auth-address", "",
		"`HOST:PORT` of a second listener that answers nginx auth_request, Traefik and Envoy; it hands out tokens: let only the proxy reach it")
	flags.StringVar(&o.AdminAddress, "admin-address", "", "`HOST:PORT` of /healthz, /readyz and /metrics; default: none")
	flags.StringVar(&o.TLSCertFile, "tls-cert-file", "", "serve HTTPS with this certificate `file`; read again when it changes")
	flags.StringVar(&o.TLSPrivateKey, "tls-private-key-file", "", "key `file` of the certificate")
	flags.BoolVar(&o.Debug, "debug", false, "log more; never secrets, tokens or cookies")
	flags.StringVar(&o.LogFormat, "log-format", "json", "how to log: json or console")
}

func (o *LoginProxyOptions) bindSessions(flags *pflag.FlagSet) {
	flags.StringVar(&o.CookieSecret, "cookie-secret", "",
		"`secret` that cookies and stored sessions are sealed with, at least 32 bytes; make one with: openssl rand -base64 32 (required)")
	flags.StringVar(&o.CookieSecretFile, "cookie-secret-file", "", "`file` that holds it instead")
	flags.StringArrayVar(&o.PreviousCookieSecrets, "cookie-secret-previous", nil,
		"`secret` that was used before and still opens cookies and sessions; can be given several times")
	flags.StringArrayVar(&o.PreviousCookieSecretFile, "cookie-secret-previous-file", nil,
		"`file` that holds one instead; can be given several times")
	flags.StringVar(&o.CookieName, "cookie-name", "", "`name` of the session cookie; default: made from issuer, client, cluster and login URL")
	flags.StringVar(&o.SessionStore, "session-store", storeMemory, "where sessions are: memory, or a redis:// `URL` for several replicas")
	flags.StringVar(&o.SessionStoreFile, "session-store-file", "", "`file` that holds the URL instead, because it has a password in it")
	flags.IntVar(&o.MaxSessions, "max-sessions", 0, "largest `number` of sessions in memory, the one unused for longest goes; default: unlimited")
	flags.DurationVar(&o.SessionMaxAge, "session-max-age", 0, "how long a login lasts; default: --iam-session-duration, else 12h")
	flags.DurationVar(&o.SessionIdle, "session-idle", time.Hour, "how long a login lasts without a request")
}

func (o *LoginProxyOptions) bindAWS(flags *pflag.FlagSet) {
	flags.StringVar(&o.ClusterName, "cluster-name", "", "`name` of the EKS cluster that tokens are made for (required)")
	flags.StringArrayVar(&o.IAMRoles, "iam-role", nil,
		"`ARN` of a role to assume at login, also --iam-roles; several let people choose (required, or a Vault role)")
	flags.IntVar(&o.IAMSessionDuration, "iam-session-duration", 0,
		"`seconds` that the role is assumed for, and a login lasts; not more than the role's maximum session duration; default: that of AWS, an hour")
	flags.StringVar(&o.Region, "region", "", "AWS `region` of the STS to ask; default: $AWS_REGION, else the instance's")
	flags.StringVar(&o.STSMode, "sts-mode", modeWebIdentity,
		"web-identity: assume roles with the person's ID token; assume-role: with the proxy's own credentials, needs --role-policy")
	flags.StringVar(&o.RolePolicy, "role-policy", "", "YAML `file` that says which claims may take which role; default: everybody every role")
}

func (o *LoginProxyOptions) bindOIDC(flags *pflag.FlagSet) {
	flags.StringVar(&o.ClientID, "client-id", "", "OIDC client `ID` (required)")
	flags.StringVar(&o.ClientSecret, "client-secret", "", "OIDC client `secret`; only public clients have none")
	flags.StringVar(&o.ClientSecretFile, "client-secret-file", "", "`file` that holds it instead")
	flags.StringVar(&o.OIDCIssuer, "oidc-issuer", "", "`URL` of the OIDC issuer, as https://accounts.google.com (required)")
	flags.StringArrayVar(&o.Scopes, "scopes", []string{"openid", "email", "profile"},
		"`scope` to ask for; can be given several times; add offline_access where the provider gives refresh tokens for it")
	flags.StringArrayVar(&o.EmailDomains, "email-domain", nil,
		"`domain` that the email address must be of, also --email-domains; can be given several times; default: any")
	flags.BoolVar(&o.IgnoreEmailVerification, "ignore-email-verification", false, "let people in whose email address the provider has not verified")
}

func (o *LoginProxyOptions) bindProxy(flags *pflag.FlagSet) {
	flags.StringVar(&o.ProxyHost, "proxy-host", "", "`HOST[:PORT]` of the upstream server (required)")
	flags.BoolVar(&o.ProxyUseHTTPS, "proxy-use-https", false, "use HTTPS to the upstream server")
	flags.StringVar(&o.ProxyCAFile, "proxy-ca-file", "", "`file` of the certificate authorities that the upstream server is trusted by; default: the system's")
	flags.BoolVar(&o.ProxyPreserveHost, "proxy-preserve-host", false, "pass the Host header on to the upstream server")
	flags.BoolVar(&o.ProxyCSPHeader, "proxy-csp-header", false, "set a Content-Security-Policy on the upstream server's pages, too")
	flags.BoolVar(&o.ProxyDisableCSPHeader, "proxy-disable-csp-header", false, "set none on them, which is the default")
}

func (o *LoginProxyOptions) bindVault(flags *pflag.FlagSet) {
	v := &o.Vault
	flags.StringVar(&v.Addr, "vault-addr", "", "`URL` of a Vault that issues an IAM user for each login, as https://vault.example.com:8200")
	flags.StringVar(&v.AuthRole, "vault-auth-role", "", "`role` of Vault's JWT auth method to log in with")
	flags.StringVar(&v.AWSRole, "vault-aws-role", "", "`role` of Vault's AWS secrets engine that issues the user")
	flags.StringVar(&v.Name, "vault-name", "", "how the login page calls it; default: the role of --vault-aws-role")
	flags.StringVar(&v.AuthMount, "vault-auth-mount", defaultAuthMount, "`path` of the JWT auth method")
	flags.StringVar(&v.AWSMount, "vault-aws-mount", defaultAWSMount, "`path` of the AWS secrets engine")
	flags.StringVar(&v.Namespace, "vault-namespace", "", "Vault `namespace`")
	flags.StringVar(&v.CAFile, "vault-ca-file", "", "`file` of the certificate authorities that Vault is trusted by; default: the system's")
	flags.StringVar(&o.KubernetesServer, "kubernetes-server", "",
		"`URL` of the API server that is asked whether it accepts the issued user yet; default: that of the pod's own cluster")
	flags.StringVar(&o.KubernetesCAFile, "kubernetes-ca-file", "", "`file` of the certificate authorities that the API server is trusted by")
}
