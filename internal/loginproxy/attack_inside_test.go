package loginproxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func queryEscape(s string) string { return url.QueryEscape(s) }

// headerOf finds a header in a raw answer.
func headerOf(text, name string) string {
	for line := range strings.SplitSeq(text, "\r\n") {
		if rest, ok := strings.CutPrefix(line, name+": "); ok {
			return rest
		}
	}
	return ""
}

// TestPathsArriveUnchanged: Kubernetes needs encoded and double slashes.
func TestPathsArriveUnchanged(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	for _, target := range []string{
		"/", "/a/b", "/a//b", "//a", "///", "/a/", "/a%2Fb", "/a%2fb//c", "/%2e%2e/x", "/a/../b", "/./a", "/a;b=c", "/a%00b", "/a%0d%0ab",
		"/login/", "/loginfoo", "/%6Cogin", "/login/check/x", "/a?b=c&d=%2F", "/a?", "/a?x=/login", "/a:b", "/a@b", "/a%25b",
		"/api/v1/namespaces/x/services/https:kube:/proxy//", "/a+b", "/ä%C3%A4"[:1] + "%C3%A4", "/a%7Cb",
	} {
		got := raw(t, b.address(), "GET "+target+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: "+cookie+"="+br.cookies[cookie]+"\r\n\r\n")
		arrived := b.upstream.took()
		if len(arrived) != 1 || arrived[0].URI != target {
			t.Errorf("%s arrived as %v, answered %.100s", target, arrived, got)
		}
	}
	// What is not allowed in a target is encoded, and nothing else.
	raw(t, b.address(), "GET /a|b%2Fc HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: "+cookie+"="+br.cookies[cookie]+"\r\n\r\n")
	if arrived := b.upstream.took(); len(arrived) != 1 || arrived[0].URI != "/a%7Cb%2Fc" {
		t.Errorf("/a|b%%2Fc arrived as %v", arrived)
	}
}

// TestHeadersThatSayWhoSomebodyIs sends each with a good session, in every
// spelling; none may arrive.
func TestHeadersThatSayWhoSomebodyIs(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	for _, row := range []struct{ attack, header string }{
		{"a bearer token of one's own", "Authorization: Bearer EVIL"},
		{"two of them", "Authorization: Bearer EVIL\r\nauthorization: Basic EVIL"},
		{"a token for proxies", "Proxy-Authorization: Basic EVIL"},
		{"impersonation", "Impersonate-User: EVIL\r\nImpersonate-Group: EVIL\r\nImpersonate-Uid: EVIL\r\nImpersonate-Extra-Scopes: EVIL"},
		{"impersonation in another case", "iMpErSoNaTe-uSeR: EVIL"},
		{"impersonation with underscores", "Impersonate_User: EVIL\r\nIMPERSONATE_GROUP: EVIL"},
		{"impersonation in headers of tomorrow", "Impersonate-Frobnicate: EVIL"},
		{"a front proxy's headers", "X-Remote-User: EVIL\r\nX-Remote-Group: EVIL\r\nX_Remote_User: EVIL\r\nX-Remote-Extra-A: EVIL"},
		{"another proxy's headers", "X-Forwarded-User: EVIL\r\nX-Forwarded-Email: EVIL\r\nX-Forwarded-Groups: EVIL\r\nX-Forwarded-Access-Token: EVIL\r\nX-Auth-Request-User: EVIL"},
		{"where from", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: EVIL\r\nX-Forwarded-Proto: EVIL\r\nX-Forwarded-Port: EVIL\r\nForwarded: for=EVIL\r\nX-Real-Ip: EVIL"},
		{"where from, with underscores", "X_Forwarded_For: EVIL\r\nX_Forwarded_Host: EVIL\r\nX-Forwarded_Proto: EVIL"},
		{"another target", "X-Original-Url: EVIL\r\nX-Rewrite-Url: EVIL\r\nX-Forwarded-Uri: EVIL\r\nX-Original-Uri: EVIL"},
		{"hop-by-hop removal of what the proxy sets (CVE-2021-33197)", "Connection: close, Authorization, X-Forwarded-For, X-Forwarded-Proto, Cookie"},
		{"hop-by-hop headers", "Connection: X-Secret\r\nX-Secret: EVIL\r\nKeep-Alive: EVIL\r\nTe: EVIL\r\nTrailer: X-Evil"},
		{"another protocol (h2c smuggling)", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: EVIL\r\nHTTP2-Settings: EVIL"},
		{"our own cookies", "Cookie: " + cookie + "=EVIL; " + cookie + "-csrf=EVIL; __Host-" + cookie + "=EVIL; " + cookie + "-login-0011=EVIL; __host-" + cookie + "=EVIL"},
		{"a request id of one's own", "X-Request-Id: EVIL"},
	} {
		t.Run(row.attack, func(t *testing.T) {
			got := raw(t, b.address(), "GET /x HTTP/1.1\r\nHost: h\r\nCookie: a=b; "+cookie+"="+br.cookies[cookie]+"; theme=dark\r\n"+row.header+"\r\nConnection: close\r\n\r\n")
			arrived := b.upstream.took()
			if len(arrived) != 1 || !strings.HasPrefix(got, "HTTP/1.1 200") {
				t.Fatalf("arrived %v, answered %.200s", arrived, got)
			}
			for name, values := range arrived[0].Header {
				if joined := strings.Join(values, " "); strings.Contains(joined, "EVIL") || strings.Contains(joined, "6.6.6.6") || strings.Contains(joined, br.cookies[cookie]) {
					t.Errorf("%s: %q arrived", name, joined)
				}
			}
			h := arrived[0].Header
			if v := h["Authorization"]; len(v) != 1 || !strings.HasPrefix(v[0], "Bearer k8s-aws-v1.") {
				t.Errorf("Authorization %q arrived", v)
			}
			if v := h.Get("X-Forwarded-For") + " " + h.Get("X-Forwarded-Host") + " " + h.Get("X-Forwarded-Proto"); v != "127.0.0.1 h http" {
				t.Errorf("X-Forwarded-* %q arrived", v)
			}
			if !strings.Contains(row.header, "Cookie") {
				if diff := cmp.Diff([]string{"a=b; theme=dark"}, h["Cookie"]); diff != "" {
					t.Errorf("other people's cookies (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestQueriesThatHideParameters is CVE-2022-2880's class: what two parsers read
// differently does not go on.
func TestQueriesThatHideParameters(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	br.get("/x?a=1;b=2&c=3")
	if arrived := b.upstream.took(); len(arrived) != 1 || arrived[0].URI != "/x?c=3" {
		t.Errorf("arrived %v", arrived)
	}
}

func TestBodiesThatWaitToBeAskedFor(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	const head = "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n"
	got := raw(t, b.address(), head+"Cookie: "+cookie+"="+br.cookies[cookie]+"\r\n\r\nbody")
	if arrived := b.upstream.took(); len(arrived) != 1 || arrived[0].Body != "body" || !strings.Contains(got, "200 OK") {
		t.Errorf("arrived %v, answered %s", arrived, got)
	}
}

// TestWhatAnotherOriginMakesABrowserSend: a cookie goes along with it.
func TestWhatAnotherOriginMakesABrowserSend(t *testing.T) {
	ws := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, row := range []struct {
		attack, method string
		header         []string
		status         int
	}{
		{"a form of another site", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a form of a sibling on the same site", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://sibling.example"}, 403},
		{"a script of an old browser", "DELETE", []string{"Origin", "http://evil.example"}, 403},
		{"a script in a sandbox", "POST", []string{"Origin", "null"}, 403},
		{"a WebSocket of another site", "GET", append([]string{"Origin", "http://evil.example"}, ws...), 403},
		{"a WebSocket of a sibling", "GET", append([]string{"Sec-Fetch-Site", "same-site", "Origin", "http://sibling.example"}, ws...), 403},
		{"a WebSocket of a sandbox", "GET", append([]string{"Origin", "null"}, ws...), 403},
		{"a page's own form", "POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"a program", "POST", nil, 200},
		{"a link from another site", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
	} {
		t.Run(row.attack, func(t *testing.T) {
			b := newBed(t)
			br := b.signedIn(t, "jane", admin)
			a := br.do(row.method, "/x", "", row.header...)
			arrived := b.upstream.took()
			if a.StatusCode != row.status || (len(arrived) == 1) != (row.status == 200) {
				t.Errorf("%d, want %d; the upstream got %v", a.StatusCode, row.status, arrived)
			}
		})
	}
}

// TestNoTraceOfTheToken: TRACE has the upstream say what it was sent.
func TestNoTraceOfTheToken(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	if a := br.do(http.MethodTrace, "/x", ""); a.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", a.StatusCode)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}

func TestTheUpstreamCannotSetOurCookies(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	a := br.get("/sets-cookies")
	if diff := cmp.Diff([]string{"theme=dark; Path=/"}, a.Header["Set-Cookie"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNoRouteGivesATokenToAPage: any script on the upstream's pages can fetch
// them.
func TestNoRouteGivesATokenToAPage(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	for _, target := range []string{"/login", "/login/check", "/login/oauth", "/login/oauth/callback", "/login/logout", "/login/backchannel-logout"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
			a := br.do(method, target, "", "Sec-Fetch-Site", "same-origin")
			for name, values := range a.Header {
				if s := strings.Join(values, " "); strings.Contains(s, "k8s-aws-v1") || name == "Authorization" || strings.Contains(s, "aws-secret") {
					t.Errorf("%s %s answered %s: %s", method, target, name, s)
				}
			}
			if strings.Contains(a.body, "k8s-aws-v1") || strings.Contains(a.body, "aws-secret") {
				t.Errorf("%s %s answered %s", method, target, a.body)
			}
		}
	}
	if a := br.get("/login/check"); a.StatusCode != http.StatusOK {
		t.Errorf("the check says %d", a.StatusCode)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}
