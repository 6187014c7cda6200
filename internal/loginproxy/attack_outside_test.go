package loginproxy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const upgradeHead = "Host: proxy.example\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// TestNothingPassesWithoutASession sends what has opened other proxies. The
// bytes go out as they stand here, because clients would clean them.
func TestNothingPassesWithoutASession(t *testing.T) {
	const head = " HTTP/1.1\r\nHost: proxy.example\r\nConnection: close\r\n"
	otherKeys, err := session.NewKeys([]byte(strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t)
	for _, row := range []struct {
		attack, request, want string
	}{
		{"a WebSocket", "GET /ws HTTP/1.1\r\n" + upgradeHead + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "401"},
		{"a WebSocket in capitals", "GET /ws HTTP/1.1\r\n" + upgradeHead + "Connection: UPGRADE\r\nUPGRADE: WEBSOCKET\r\n\r\n", "401"},
		{"a WebSocket as Firefox sends it", "GET /ws HTTP/1.1\r\n" + upgradeHead + "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", "401"},
		{"an upgrade that is refused, on a connection left open", "GET /refuses-upgrade HTTP/1.1\r\n" + upgradeHead +
			"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /api/v1/secrets HTTP/1.1\r\nHost: proxy.example\r\n\r\n", "401"},
		{"h2c", "GET / HTTP/1.1\r\nHost: proxy.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "401"},
		{"h2c with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		{"a path that begins like ours", "GET /loginfoo" + head + "\r\n", "401"},
		{"dot segments", "GET /login/../api/v1/secrets" + head + "\r\n", "401"},
		{"encoded dot segments", "GET /login/%2e%2e/api/v1/secrets" + head + "\r\n", "401"},
		{"a double slash", "GET //login" + head + "\r\n", "401"},
		{"an encoded slash", "GET /login%2f.." + head + "\r\n", "401"},
		{"a path parameter", "GET /login;x" + head + "\r\n", "401"},
		{"an encoded letter", "GET /%6Cogin/x" + head + "\r\n", "401"},
		{"an encoded letter of a route", "GET /%6Cogin" + head + "\r\n", "401"},
		{"a slash at the end", "GET /login/" + head + "\r\n", "401"},
		{"another case", "GET /LOGIN" + head + "\r\n", "401"},
		{"a path appended to a check", "GET /login/check/api/v1/secrets" + head + "\r\n", "401"},
		{"a check as a health check", "GET /login/check HTTP/1.1\r\nHost: proxy.example\r\nUser-Agent: kube-probe/1.36\r\nConnection: close\r\n\r\n", "401"},
		{"a health check's User-Agent (CVE-2026-34457)", "GET / HTTP/1.1\r\nHost: proxy.example\r\nUser-Agent: GoogleHC/1.0\r\nConnection: close\r\n\r\n", "401"},
		{"another health check's User-Agent", "GET /api HTTP/1.1\r\nHost: proxy.example\r\nUser-Agent: ELB-HealthChecker/2.0\r\nConnection: close\r\n\r\n", "401"},
		{"a path of health checks", "GET /healthz" + head + "\r\n", "401"},
		{"a query that looks like ours (CVE-2025-54576)", "GET /api/v1/secrets?x=/login/check" + head + "\r\n", "401"},
		{"a fragment in the target (CVE-2026-41059)", "GET /login/check#/../../api/v1/secrets" + head + "\r\n", "401"},
		{"an encoded fragment", "GET /api/v1/secrets%23/login/check" + head + "\r\n", "401"},
		{"the target in X-Forwarded-Uri (CVE-2026-40575)", "GET /api/v1/secrets" + head + "X-Forwarded-Uri: /login\r\nX-Original-Url: /login\r\nX-Rewrite-Url: /login\r\n\r\n", "401"},
		{"a method in a header", "GET /api/v1/secrets" + head + "X-Http-Method-Override: OPTIONS\r\n\r\n", "401"},
		{"OPTIONS", "OPTIONS /api/v1/secrets" + head + "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n\r\n", "401"},
		{"a method nobody knows", "FROB /api/v1/secrets" + head + "\r\n", "401"},
		{"CONNECT", "CONNECT kubernetes.default:443 HTTP/1.1\r\nHost: kubernetes.default:443\r\nConnection: close\r\n\r\n", "400"},
		{"CONNECT with a path", "CONNECT /login HTTP/1.1\r\nHost: kubernetes.default:443\r\nConnection: close\r\n\r\n", "400"},
		{"a target in absolute form", "GET http://evil.example/api" + head + "\r\n", "401"},
		{"an opaque target", "GET http:api" + head + "\r\n", "400"},
		{"a user in X-Forwarded-User", "GET /api" + head + "X-Forwarded-User: jane\r\nX-Remote-User: admin\r\nImpersonate-User: admin\r\n\r\n", "401"},
		{"a bearer token of one's own", "GET /api" + head + "Authorization: Bearer abc\r\n\r\n", "401"},
		{"an invented session", "GET /api" + head + "Cookie: " + cookie + "=" + strings.Repeat("A", 43) + "\r\n\r\n", "401"},
		{"broken base64", "GET /api" + head + "Cookie: " + cookie + "=%%%%\r\n\r\n", "401"},
		{"an empty cookie", "GET /api" + head + "Cookie: " + cookie + "=\r\n\r\n", "401"},
		{"a cookie of 8 KB", "GET /api" + head + "Cookie: " + cookie + "=" + strings.Repeat("A", 8<<10) + "\r\n\r\n", "401"},
		{"200 cookies", "GET /api" + head + "Cookie: " + strings.Repeat(cookie+"=x; ", 200) + "\r\n\r\n", "401"},
		{"a cookie sealed with another key", "GET /api" + head + "Cookie: " + cookie + "=" + otherKeys.Seal("session", []byte("jane"), nil) + "\r\n\r\n", "401"},
		{"a callback with an attempt sealed with another key", "GET /login/oauth/callback?code=a&state=s" + head +
			"Cookie: " + cookie + "-login-043a718774c572bd=" + otherKeys.Seal("login attempt", []byte(`{"State":"s"}`), []byte(cookie+"-login-043a718774c572bd")) + "\r\n\r\n", "400"},
		{"a broken state", "GET /login/oauth/callback?code=a&state=%zz" + head + "\r\n", "400"},
		{"two states", "GET /login/oauth/callback?code=a&state=a&state=b" + head + "\r\n", "400"},
		{"a body that waits to be asked for", "POST /api" + head + "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n", "401"},
		{"two lengths", "POST /api" + head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", "40"},
		{"a host that is a path", "GET /api HTTP/1.1\r\nHost: evil.example/login?\r\nConnection: close\r\n\r\n", "400"},
		{"no host", "GET /api HTTP/1.0\r\n\r\n", "400"},
		{"a logout by link", "GET /login/logout" + head + "\r\n", "405"},
		{"a role by link", "GET /login/oauth?role=" + admin + head + "\r\n", "405"},
	} {
		t.Run(row.attack, func(t *testing.T) {
			got := raw(t, b.address(), row.request)
			if !strings.HasPrefix(got, "HTTP/1.1 "+row.want) && !strings.HasPrefix(got, "HTTP/1.0 "+row.want) {
				t.Errorf("answered\n%s\nwant %s", got, row.want)
			}
			if strings.Contains(got, "hello from upstream") || strings.Contains(got, "101 Switching") || strings.Contains(got, "k8s-aws-v1") {
				t.Errorf("an answer of the upstream came back:\n%s", got)
			}
			if got := b.upstream.took(); got != nil {
				t.Errorf("the upstream got %v", got)
			}
		})
	}
}

// TestForwardedHeadersOfStrangers holds that nobody but a trusted proxy says
// where a request comes from.
func TestForwardedHeadersOfStrangers(t *testing.T) {
	trusted := func(c *loginproxy.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	nobody := func(*loginproxy.Config) {}
	for _, row := range []struct {
		reason         string
		change         func(*loginproxy.Config)
		header         string
		wantOrigin     string
		wantSecure     bool
		wantForwarded  string
		wantCookieHost bool
	}{
		{"nobody says anything", nobody, "", "http://proxy.example", false, "127.0.0.1", false},
		{"a stranger's host", nobody, "X-Forwarded-Host: evil.example\r\n", "http://proxy.example", false, "127.0.0.1", false},
		{"a stranger's host with an underscore (CVE-2025-64484)", nobody, "X_Forwarded_Host: evil.example\r\n", "http://proxy.example", false, "127.0.0.1", false},
		{"a stranger's scheme decides about the scheme alone", nobody, "X-Forwarded-Proto: https\r\n", "https://proxy.example", true, "127.0.0.1", true},
		{"Traefik's word for a WebSocket over TLS", nobody, "X-Forwarded-Proto: wss\r\n", "https://proxy.example", true, "127.0.0.1", true},
		{"a scheme that is none", nobody, "X-Forwarded-Proto: javascript\r\n", "http://proxy.example", false, "127.0.0.1", false},
		{"a stranger's address", nobody, "X-Forwarded-For: 10.0.0.1\r\n", "http://proxy.example", false, "127.0.0.1", false},
		{"a trusted proxy's word", trusted, "X-Forwarded-Host: dash.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\n", "https://dash.example", true, "203.0.113.9, 127.0.0.1", true},
		{"what stands before a stranger's address is dropped", trusted, "X-Forwarded-For: 10.9.9.9, 203.0.113.9\r\n", "http://proxy.example", false, "203.0.113.9, 127.0.0.1", false},
		{"a trusted proxy passes on a host that is none", trusted, "X-Forwarded-Host: evil.example/x\r\n", "http://proxy.example", false, "127.0.0.1", false},
		{"an address that is none", trusted, "X-Forwarded-For: 203.0.113.9, a\"b\r\n", "http://proxy.example", false, "127.0.0.1", false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t, row.change, func(c *loginproxy.Config) { c.Identities = c.Identities[:1] })
			got := raw(t, b.address(), "GET /login HTTP/1.1\r\nHost: proxy.example\r\nConnection: close\r\n"+row.header+"\r\n")
			location := headerOf(got, "Location")
			if want := "redirect_uri=" + queryEscape(row.wantOrigin+"/login/oauth/callback"); !strings.Contains(location, want) {
				t.Errorf("sent to %q, want %q in it", location, want)
			}
			set := headerOf(got, "Set-Cookie")
			if strings.Contains(set, "Secure") != row.wantSecure || strings.HasPrefix(set, "__Host-") != row.wantCookieHost {
				t.Errorf("cookie %q", set)
			}
			br := b.browser(t)
			var headers []string
			for line := range strings.SplitSeq(strings.TrimSpace(row.header), "\r\n") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					headers = append(headers, name, value)
					br.header[name] = value
				}
			}
			b.login(br, "jane", admin)
			b.upstream.took()
			br.get("/x", headers...)
			arrived := b.upstream.took()
			if len(arrived) != 1 {
				t.Fatalf("the upstream got %v", arrived)
			}
			if got := arrived[0].Header.Get("X-Forwarded-For"); got != row.wantForwarded {
				t.Errorf("X-Forwarded-For %q, want %q", got, row.wantForwarded)
			}
			for name := range arrived[0].Header {
				if strings.Contains(name, "_") {
					t.Errorf("the upstream got %s", name)
				}
			}
		})
	}
}
