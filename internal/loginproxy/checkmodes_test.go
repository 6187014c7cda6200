package loginproxy_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
)

func trustLoopback(c *loginproxy.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

var navigation = []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate"}

func TestCheckModes(t *testing.T) {
	b := newBed(t, trustLoopback)
	in := b.signedIn(t, "jane", admin)
	for _, row := range []struct {
		reason   string
		session  bool
		method   string
		target   string
		header   []string
		status   int
		location string
	}{
		{"nginx, signed in", true, "GET", "/nginx", []string{"X-Original-Method", "GET"}, 200, ""},
		{"nginx, nobody", false, "GET", "/nginx", append([]string{"X-Original-Method", "GET"}, navigation...), 401, ""},
		{"nginx, another site's form", true, "GET", "/nginx", []string{"X-Original-Method", "POST", "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"nginx does not say the method: unsafe", true, "GET", "/nginx", []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"another origin's WebSocket", true, "GET", "/nginx", []string{"X-Original-Method", "GET", "Origin", "http://evil.example"}, 403, ""},
		{"Traefik, signed in", true, "GET", "/forward", []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/pods"}, 200, ""},
		{"Traefik, nobody's page", false, "GET", "/forward", append([]string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/pods?a=b", "X-Forwarded-Host", "dash.example"}, navigation...), 302, "http://dash.example/login?return_to=%2Fpods%3Fa%3Db"},
		{"Traefik, nobody's script", false, "GET", "/forward", []string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/pods"}, 401, ""},
		{"Traefik, nobody's form", false, "GET", "/forward", append([]string{"X-Forwarded-Method", "POST", "X-Forwarded-Uri", "/pods"}, navigation...), 401, ""},
		{"Traefik, a target of another origin", false, "GET", "/forward", append([]string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "//evil.example"}, navigation...), 302, "http://" + strings.TrimPrefix(b.checks.URL, "http://") + "/login"},
		{"Envoy, signed in", true, "GET", "/envoy/api/v1/pods?x=y", nil, 200, ""},
		{"Envoy, nobody's page", false, "GET", "/envoy/pods%2Fa?x=y", navigation, 302, b.checks.URL + "/login?return_to=%2Fpods%252Fa%3Fx%3Dy"},
		{"Envoy, another site's form", true, "POST", "/envoy/x", []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"Envoy, a program's change", true, "DELETE", "/envoy/x", nil, 200, ""},
		{"Envoy, nobody, a path of ours", false, "GET", "/envoy/login/check", nil, 401, ""},
		{"a path beside", true, "GET", "/nginx/", nil, 404, ""},
		{"a path that begins like one", true, "GET", "/envoyx/y", nil, 404, ""},
		{"an encoded path", true, "GET", "/%6eginx", nil, 404, ""},
		{"the login", true, "GET", "/login", nil, 404, ""},
	} {
		t.Run(row.reason, func(t *testing.T) {
			br := b.browser(t)
			br.base = b.checks.URL
			if row.session {
				br.cookies[cookie] = in.cookies[cookie]
			}
			a := br.do(row.method, row.target, "", row.header...)
			if a.StatusCode != row.status || a.location() != row.location {
				t.Errorf("%d to %q, want %d to %q", a.StatusCode, a.location(), row.status, row.location)
			}
			token := a.Header.Get("Authorization")
			if (row.status == 200) != strings.HasPrefix(token, "Bearer k8s-aws-v1.") || row.status != 200 && token != "" {
				t.Errorf("Authorization %.30q", token)
			}
			if a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", a.Header.Get("Cache-Control"))
			}
		})
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}

// TestChecksBelieveTrustedProxiesOnly: a stranger's method counts as none.
func TestChecksBelieveTrustedProxiesOnly(t *testing.T) {
	b := newBed(t)
	in := b.signedIn(t, "jane", admin)
	in.base = b.checks.URL
	if a := in.get("/nginx", "X-Original-Method", "GET", "Sec-Fetch-Site", "cross-site"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger's method: %d", a.StatusCode)
	}
	out := b.browser(t)
	out.base = b.checks.URL
	if a := out.get("/forward", append([]string{"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/x", "X-Forwarded-Host", "evil.example"}, navigation...)...); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger's navigation: %d to %q", a.StatusCode, a.location())
	}
}
