package app

import (
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (s *loginProxySettings) checkOIDC(f *findings) {
	if s.ClientID == "" {
		f.problem("--client-id is missing; the provider shows it where you registered this proxy")
	}
	secret, err := readSecret("client-secret", s.ClientSecret, s.ClientSecretFile)
	switch {
	case err != nil:
		f.problem("%v", err)
	case secret == "":
		f.note("without --client-secret the provider must know this proxy as a public client")
	}
	s.ClientSecret = secret
	s.checkIssuer(f)
	s.checkScopes(f)
	for i, domain := range s.EmailDomains {
		switch {
		case strings.ContainsAny(domain, ", "):
			f.problem("--email-domain %q holds several domains; give the flag once for each", domain)
		case !regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`).MatchString(domain):
			f.problem("--email-domain is %q; write what stands behind the @, as example.com, without wildcards", domain)
		case slices.ContainsFunc(s.EmailDomains[:i], func(other string) bool { return strings.EqualFold(other, domain) }):
			f.note("--email-domain %s is given twice; the second is without effect", domain)
		}
	}
}

func (s *loginProxySettings) checkIssuer(f *findings) {
	if s.OIDCIssuer == "" {
		f.problem("--oidc-issuer is missing; it is the URL that /.well-known/openid-configuration lies under, as https://accounts.google.com")
		return
	}
	u, err := url.Parse(s.OIDCIssuer)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		f.problem("--oidc-issuer must be a URL without query, as https://accounts.google.com")
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		f.problem("--oidc-issuer must be the issuer's URL itself; leave /.well-known/openid-configuration out")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		f.note("--oidc-issuer begins with http://: whoever can change its answers on the way decides who gets in, and IAM accepts only https:// issuers; use https://")
	}
}

func (s *loginProxySettings) checkScopes(f *findings) {
	for _, scope := range s.Scopes {
		if strings.ContainsAny(scope, " ,") {
			f.problem("--scopes %q holds several scopes; give the flag once for each", scope)
			return
		}
	}
	if !slices.Contains(s.Scopes, "openid") {
		f.problem("--scopes lacks openid, without which there is no ID token; add it")
	}
	switch {
	case slices.Contains(s.Scopes, "email"):
	case len(s.EmailDomains) > 0:
		f.problem("--email-domain needs the scope email; add --scopes email")
	default:
		f.note("--scopes lacks email: nobody gets in unless the provider sends the email address anyway")
	}
}

func (s *loginProxySettings) checkProxy(f *findings) {
	scheme := "http"
	if s.ProxyUseHTTPS {
		scheme = "https"
	}
	s.upstream = &url.URL{Scheme: scheme, Host: s.ProxyHost}
	switch {
	case s.ProxyHost == "":
		f.problem("--proxy-host is missing; give HOST or HOST:PORT of the upstream server")
	case strings.Contains(s.ProxyHost, "://"):
		f.problem("--proxy-host is %q; leave the scheme out, and give --proxy-use-https for HTTPS", s.ProxyHost)
	case !isHostPort(s.ProxyHost):
		f.problem("--proxy-host is %q; give HOST or HOST:PORT, without a path", s.ProxyHost)
	}
	readable(f, "proxy-ca-file", s.ProxyCAFile)
	if s.ProxyCAFile != "" && !s.ProxyUseHTTPS {
		f.note("--proxy-ca-file is without effect without --proxy-use-https; give both, or leave the file out")
	}
	if s.ProxyCSPHeader && s.ProxyDisableCSPHeader {
		f.problem("--proxy-csp-header and --proxy-disable-csp-header contradict each other; leave one of them out")
	}
	if !s.ProxyCSPHeader && s.ProxyDisableCSPHeader {
		f.note("--proxy-disable-csp-header is without effect, because no Content-Security-Policy is set on the upstream server's pages unless --proxy-csp-header asks for it")
	}
}

// isHostPort accepts a name or an IP address, with or without a port.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), "80"
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return false
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && (net.ParseIP(host) != nil || regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`).MatchString(host))
}

func (s *loginProxySettings) checkVault(f *findings) {
	v := s.Vault
	if v.Addr == "" {
		if v.AuthMount == defaultAuthMount {
			v.AuthMount = ""
		}
		if v.AWSMount == defaultAWSMount {
			v.AWSMount = ""
		}
		for _, given := range []struct{ flag, value string }{
			{"vault-auth-role", v.AuthRole}, {"vault-aws-role", v.AWSRole}, {"vault-name", v.Name}, {"vault-namespace", v.Namespace},
			{"vault-auth-mount", v.AuthMount}, {"vault-aws-mount", v.AWSMount},
			{"vault-ca-file", v.CAFile}, {"kubernetes-server", s.KubernetesServer}, {"kubernetes-ca-file", s.KubernetesCAFile},
		} {
			if given.value != "" {
				f.note("--%s is without effect without --vault-addr; give both, or leave it out", given.flag)
			}
		}
		return
	}
	if u, err := url.Parse(v.Addr); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		f.problem("--vault-addr must be a URL, as https://vault.example.com:8200")
	} else if u.Scheme == "http" && !loopback(u.Hostname()) {
		f.note("--vault-addr begins with http://, so that access keys can be read on the way; use https://")
	}
	if v.AuthRole == "" || v.AWSRole == "" {
		f.problem("--vault-addr needs --vault-auth-role, the role of the JWT auth method, and --vault-aws-role, the role of the AWS secrets engine")
	}
	readable(f, "vault-ca-file", v.CAFile)
	readable(f, "kubernetes-ca-file", s.KubernetesCAFile)
	if s.KubernetesServer == "" {
		if s.KubernetesCAFile != "" {
			f.note("--kubernetes-ca-file is without effect without --kubernetes-server; give both, or leave the file out")
		}
		return
	}
	if u, err := url.Parse(s.KubernetesServer); err != nil || u.Scheme != "https" || u.Host == "" {
		f.problem("--kubernetes-server must be an https:// URL; aws eks describe-cluster shows it as endpoint")
	}
}

// readable refuses a file that cannot be read.
func readable(f *findings, flag, path string) {
	if path == "" {
		return
	}
	if _, err := os.ReadFile(path); err != nil {
		f.problem("--%s: %v", flag, err)
	}
}
