package app

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

const (
	minSecret        = 32
	minRoleSession   = 900 // DurationSeconds of AssumeRole and AssumeRoleWithWebIdentity
	maxRoleSession   = 12 * 3600
	defaultMaxAge    = 12 * time.Hour
	makeSecretAdvice = "make one with: openssl rand -base64 32"
)

// findings are what is to be said about options: problems, which have to be
// solved first, and notes, about what is dangerous or without effect. Each is a
// sentence that names the flag and the way out.
type findings struct{ problems, notes []string }

func (f *findings) problem(format string, args ...any) {
	f.problems = append(f.problems, fmt.Sprintf(format, args...))
}

func (f *findings) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// loginProxySettings are options that were checked, with what was parsed.
type loginProxySettings struct {
	LoginProxyOptions
	secret   []byte
	previous [][]byte
	public   *url.URL // nil: not given
	upstream *url.URL
	trusted  []netip.Prefix
	maxAge   time.Duration
}

// settings checks options without asking the network. The settings can be used
// if there is no problem.
func (o LoginProxyOptions) settings() (*loginProxySettings, *findings) {
	s, f := &loginProxySettings{LoginProxyOptions: o}, &findings{}
	for _, step := range []func(*findings){
		s.checkServer, s.checkPublicURL, s.checkTrustedProxies, s.checkSecrets, s.checkSessions,
		s.checkAWS, s.checkRoles, s.checkOIDC, s.checkDoor, s.checkProxy, s.checkVault,
	} {
		step(f)
	}
	return s, f
}

func (s *loginProxySettings) checkServer(f *findings) {
	if s.Port < 0 || s.Port > 65535 {
		f.problem("--port is %d; it must be at most 65535", s.Port)
	}
	if _, err := netip.ParseAddr(s.Address); s.Address != "" && s.Address != "localhost" && err != nil {
		f.problem("--address is %q; give an IP address, and the port as --port", s.Address)
	}
	s.checkPorts(f)
	if (s.TLSCertFile == "") != (s.TLSPrivateKey == "") {
		f.problem("--tls-cert-file and --tls-private-key-file belong together; give both, or none for plain HTTP behind a proxy that ends TLS")
	}
	s.checkLoginURL(f)
}

// checkPorts wants listeners that do not get in each other's way.
func (s *loginProxySettings) checkPorts(f *findings) {
	type listener struct{ flag, host, port string }
	all := []listener{{"port", s.Address, strconv.Itoa(s.Port)}}
	for _, l := range []struct{ flag, address string }{{"auth-address", s.AuthAddress}, {"admin-address", s.AdminAddress}} {
		if l.address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.address)
		if err != nil {
			f.problem("--%s is %q; write HOST:PORT, or :PORT for all addresses", l.flag, l.address)
			continue
		}
		for _, o := range all {
			if port == o.port && port != "0" && (host == o.host || everywhere(host) || everywhere(o.host)) {
				f.problem("--%s and --%s are both %s; give them different ports", o.flag, l.flag, port)
			}
		}
		all = append(all, listener{l.flag, host, port})
	}
}

// everywhere tells the addresses that stand for all of them.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// checkLoginURL wants a path that is equal to its cleaned and escaped self, and
// that no path of the Kubernetes API lies under.
func (s *loginProxySettings) checkLoginURL(f *findings) {
	p := s.LoginURL
	api := p == "/api" || p == "/apis" || strings.HasPrefix(p, "/api/") || strings.HasPrefix(p, "/apis/")
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p || (&url.URL{Path: p}).EscapedPath() != p || strings.ContainsAny(p, ";:\\"):
		f.problem("--login-url is %q; give a plain path that begins with a slash and does not end with one, as /login", p)
	case p == "/" || api:
		f.problem("--login-url is %q, which would hide pages of the upstream server; give another path, as /login", p)
	}
}

func (s *loginProxySettings) checkPublicURL(f *findings) {
	if s.AuthAddress != "" && (s.PublicURL == "" || len(s.TrustedProxies) == 0) {
		f.note("--auth-address without --public-url and --trusted-proxy knows neither the method nor the page that the other proxy asks about, and refuses links from other sites; set both")
	}
	if s.PublicURL == "" {
		if len(s.TrustedProxies) == 0 {
			f.note("neither --public-url nor --trusted-proxy is set: the redirect URL is made from the Host header, and of X-Forwarded-* only the scheme is used; set --public-url to what people type")
		}
		return
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		f.problem("--public-url must be a scheme and a host, as https://dashboard.example.com; the path of the login page is --login-url")
		return
	}
	u.Path = ""
	s.public = u
	switch {
	case u.Scheme == "http" && s.TLSCertFile != "":
		f.problem("--public-url begins with http:// but --tls-cert-file makes this server speak HTTPS; write https:// or leave the certificate out")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		f.note("--public-url begins with http://, so that cookies and pages can be read on the way; use https://")
	}
}

func (s *loginProxySettings) checkTrustedProxies(f *findings) {
	for _, text := range s.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil {
				prefix = netip.PrefixFrom(address, address.BitLen())
			}
		}
		switch {
		case err != nil:
			f.problem("--trusted-proxy is %q; give a network as 10.0.0.0/8 or an address, and the flag once for each", text)
			continue
		case prefix.Bits() == 0:
			f.note("--trusted-proxy %s trusts everybody's X-Forwarded-* headers; give the network of the proxy in front", text)
		}
		s.trusted = append(s.trusted, prefix.Masked())
	}
}

func (s *loginProxySettings) checkSecrets(f *findings) {
	secret, err := readSecret("cookie-secret", s.CookieSecret, s.CookieSecretFile)
	switch {
	case err != nil:
		f.problem("%v", err)
	case secret == "":
		f.problem("--cookie-secret is missing; %s", makeSecretAdvice)
	case len(secret) < minSecret:
		f.problem("--cookie-secret has %d bytes and needs at least %d; %s", len(secret), minSecret, makeSecretAdvice)
	}
	s.secret = []byte(secret)
	previous := slices.Clone(s.PreviousCookieSecrets)
	for _, file := range s.PreviousCookieSecretFile {
		text, err := readSecret("cookie-secret-previous", "", file)
		if err != nil {
			f.problem("%v", err)
			continue
		}
		previous = append(previous, text)
	}
	for _, p := range previous {
		switch {
		case len(p) < minSecret:
			f.problem("--cookie-secret-previous has %d bytes and needs at least %d; leave it out, and people log in again", len(p), minSecret)
		case p == secret:
			f.note("--cookie-secret-previous is the same as --cookie-secret and without effect; give the secret that was used before")
		}
		s.previous = append(s.previous, []byte(p))
	}
}

func (s *loginProxySettings) checkSessions(f *findings) {
	store := s.SessionStore
	if s.SessionStoreFile != "" {
		if store == storeMemory {
			store = ""
		}
		text, err := readSecret("session-store", store, s.SessionStoreFile)
		if err != nil {
			f.problem("%v", err)
			text = storeMemory
		}
		store = text
	}
	s.SessionStore = store
	redis := regexp.MustCompile(`^(rediss?|unix)://.`).MatchString(store)
	switch {
	case !redis && store != storeMemory:
		f.problem("--session-store must be memory, or a URL that begins with redis://, rediss:// or unix://")
	case redis && s.MaxSessions > 0:
		f.note("--max-sessions is without effect with Redis; set maxmemory there, or --session-idle here")
	}
	if s.CookieName != "" && !regexp.MustCompile(`^[A-Za-z0-9_.-]+$`).MatchString(s.CookieName) {
		f.problem("--cookie-name is %q; use letters, digits, dots, dashes and underscores", s.CookieName)
	}
	if s.MaxSessions < 0 {
		f.problem("--max-sessions is %d; give a positive number, or leave it out for as many as memory holds", s.MaxSessions)
	}
	if s.SessionMaxAge < 0 || s.SessionIdle < 0 {
		f.problem("--session-max-age and --session-idle must not be negative")
	}
	s.maxAge = s.SessionMaxAge
	if s.maxAge == 0 {
		s.maxAge = defaultMaxAge
		if s.IAMSessionDuration > 0 {
			s.maxAge = time.Duration(s.IAMSessionDuration) * time.Second
		}
	}
	if s.SessionIdle > s.maxAge && s.maxAge > 0 {
		f.note("--session-idle of %s is without effect, because a login ends after %s anyway", s.SessionIdle, s.maxAge)
	}
}

func (s *loginProxySettings) checkAWS(f *findings) {
	if s.ClusterName == "" {
		f.problem("--cluster-name is missing; aws eks list-clusters shows the names")
	} else if !regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.:/-]*$`).MatchString(s.ClusterName) {
		f.problem("--cluster-name is %q, which is no name of a cluster; aws eks list-clusters shows the names", s.ClusterName)
	}
	if d := s.IAMSessionDuration; d != 0 && (d < minRoleSession || d > maxRoleSession) {
		f.problem("--iam-session-duration is %d seconds; AWS allows %d to %d, and not more than the role's own maximum", d, minRoleSession, maxRoleSession)
	}
	if s.Region != "" && !regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`).MatchString(s.Region) {
		f.problem("--region is %q, which is no name of a region; write it as eu-west-1", s.Region)
	}
	switch s.STSMode {
	case modeWebIdentity:
	case modeAssumeRole:
		if s.RolePolicy == "" {
			f.problem("--sts-mode assume-role needs --role-policy, because IAM does not check the person then; write which claims may take which role")
		}
	default:
		f.problem("--sts-mode is %q; choose web-identity or assume-role", s.STSMode)
	}
}

func (s *loginProxySettings) checkRoles(f *findings) {
	if len(s.IAMRoles) == 0 && s.Vault.Addr == "" {
		f.problem("--iam-role is missing; give the ARN of the role to assume, or a Vault with --vault-addr")
	}
	for i, role := range s.IAMRoles {
		parsed, err := arn.Parse(role)
		switch {
		case strings.Contains(role, ",arn:"):
			f.problem("--iam-role %s holds several roles; give the flag once for each", role)
		case err != nil:
			f.problem("--iam-role: %v; write it as arn:aws:iam::123456789012:role/NAME", err)
		case !regexp.MustCompile(`^[0-9]{12}$`).MatchString(parsed.AccountID):
			f.problem("--iam-role %s has an account of other than 12 digits; write it as arn:aws:iam::123456789012:role/NAME", role)
		case parsed.Type != arn.TypeRole:
			f.problem("--iam-role %s is not a role; write it as arn:aws:iam::123456789012:role/NAME", role)
		case slices.Contains(s.IAMRoles[:i], role):
			f.problem("--iam-role %s is given twice; give it once", role)
		}
	}
	if s.RolePolicy == "" && len(s.IAMRoles) > 1 {
		f.note("without --role-policy the roles' own trust policies alone decide who may take which role")
	}
}

// loopback tells hosts that are this machine.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}
