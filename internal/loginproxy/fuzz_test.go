package loginproxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzReturnPath holds that a browser that follows what comes out stays on the
// origin, whatever went in.
func FuzzReturnPath(f *testing.F) {
	for _, s := range []string{
		"/pods?a=b", "//evil", `/\evil`, "/%09/evil", "https:evil", "/login/oauth/../..//evil", "/a\r\nb", "/%2e%2e//evil", "/.//evil", "/login", "/a%2Fb",
	} {
		f.Add(s)
	}
	p := &Proxy{c: Config{LoginURL: "/login"}}
	base, err := url.Parse("https://proxy.example/login/oauth/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := p.returnPath(s)
		if got != "/" && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		if strings.ContainsAny(got, "\r\n\t\\ #") || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Fatalf("%q came out", got)
		}
		to, err := base.Parse(got)
		if err != nil || to.Host != "proxy.example" || to.Scheme != "https" || strings.HasPrefix(to.EscapedPath(), "//") {
			t.Fatalf("%q leads to %v, %v", got, to, err)
		}
		if path, _, _ := strings.Cut(got, "?"); path == "/login" || strings.HasPrefix(path, "/login/") {
			t.Fatalf("%q leads to the login", got)
		}
	})
}

// FuzzCookies holds that what is ours never goes on, that what is not stays, and
// that the cookie that is read is one that is removed.
func FuzzCookies(f *testing.F) {
	for _, s := range []string{"a=b; eks=x; c=d", "eks=x", `a="x; eks=y"`, "__host-eks=x", "eks-login-12=x;;; ;=", "eks", " eks = x", "eks=a=b", "\x00eks=x"} {
		f.Add(s)
	}
	p := &Proxy{c: Config{CookieName: "eks"}}
	f.Fuzz(func(t *testing.T, line string) {
		kept := p.withoutOurs(line)
		r := &http.Request{Header: http.Header{"Cookie": {kept}}}
		for _, name := range []string{"eks", "__Host-eks", "eks-csrf", "eks-login-12"} {
			if value, ok := cookie(r, name); ok {
				t.Fatalf("%q still has %s=%q: %q", line, name, value, kept)
			}
			if c, err := r.Cookie(name); err == nil {
				t.Fatalf("%q still has %s for net/http", line, c)
			}
		}
		if again := p.withoutOurs(kept); again != kept {
			t.Fatalf("%q became %q, and then %q", line, kept, again)
		}
	})
}

// FuzzForwardedFor holds that only addresses come out, the client's before the
// proxies'.
func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"203.0.113.9", "10.0.0.1, 203.0.113.9, 10.0.0.2", "a\nb", "::1", "fe80::1%eth0", ",,,", "::ffff:10.0.0.1"} {
		f.Add(s)
	}
	p := &Proxy{c: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	f.Fuzz(func(t *testing.T, s string) {
		client, forwarded := p.chain(netip.MustParseAddr("10.0.0.9"), []string{s})
		hops := strings.Split(forwarded, ", ")
		for i, hop := range hops {
			a, err := netip.ParseAddr(hop)
			if err != nil || a.String() != hop || i > 0 && !p.trusts(a) {
				t.Fatalf("%q gave %q", s, forwarded)
			}
		}
		if hops[0] != client.String() {
			t.Fatalf("%q: the client is %s in %q", s, client, forwarded)
		}
	})
}

// FuzzAttempt holds that nothing but what was sealed for a name opens.
func FuzzAttempt(f *testing.F) {
	f.Add("-login-00", "AAAA")
	f.Add("-login-00", strings.Repeat("A", 100))
	f.Add("", "%%%")
	keys := testKeys(f)
	p := &Proxy{c: Config{CookieName: "eks", Keys: keys, Now: testNow}}
	good := p.seal(attempt{Begun: testNow().Unix()}, "-login-00")
	if _, ok := p.openAttempt("-login-00", good); !ok {
		f.Fatal("what was sealed does not open")
	}
	f.Fuzz(func(t *testing.T, suffix, value string) {
		if _, ok := p.openAttempt(suffix, value); ok && (suffix != "-login-00" || value != good) {
			t.Fatalf("%q opens as %q", value, suffix)
		}
	})
}

// FuzzRawPath holds that a target goes out as it came in, but for what must be
// encoded.
func FuzzRawPath(f *testing.F) {
	for _, s := range []string{"/", "//a", "/a%2Fb", "/a|b%2Fc", "/a%zz", "/a?b", "/\x80", "/a%7C|"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		if err != nil || !strings.HasPrefix(s, "/") || strings.Contains(s, "?") {
			return // no target of a request
		}
		out := url.URL{Path: u.Path, RawPath: rawPath(u)}
		if got, err := url.PathUnescape(out.EscapedPath()); err != nil || got != u.Path {
			t.Fatalf("%q goes out as %q", s, out.EscapedPath())
		}
		if strings.Count(strings.ToLower(out.EscapedPath()), "%2f") != strings.Count(strings.ToLower(s), "%2f") {
			t.Fatalf("%q goes out as %q", s, out.EscapedPath())
		}
	})
}
