package loginproxy_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// roleOf asks the store which role a browser's session has.
func (b *bed) session(t *testing.T, br *browser) (session.Session, bool) {
	t.Helper()
	id, ok := session.ParseID(br.cookies[cookie])
	if !ok {
		return session.Session{}, false
	}
	s, err := b.store.Peek(t.Context(), id)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	return s, err == nil
}

// refused holds that a request neither let anybody in nor reached AWS or the
// upstream.
func (b *bed) refused(t *testing.T, br *browser, a answer, status int) {
	t.Helper()
	b.shutOut(t, br, a, status)
	if n := b.aws.count(); n != 0 {
		t.Errorf("%d roles were assumed", n)
	}
}

// shutOut holds that a request neither let anybody in nor reached the upstream.
func (b *bed) shutOut(t *testing.T, br *browser, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("status %d to %q, want %d: %s", a.StatusCode, a.location(), status, a.body)
	}
	if _, ok := b.session(t, br); ok {
		t.Error("there is a session")
	}
	if a := br.get("/api/v1/secrets"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a request gets %d", a.StatusCode)
	}
	if got := b.upstream.took(); got != nil {
		t.Errorf("the upstream got %v", got)
	}
}

func TestTwoLoginsAtOnceKeepTheirRoles(t *testing.T) {
	b := newBed(t)
	t.Run("two browsers, callbacks crossed in time", func(t *testing.T) {
		one, two := b.browser(t), b.browser(t)
		first, second := b.begin(one, "jane", admin, "/pods"), b.begin(two, "joe", viewer, "/pods")
		two.page(second)
		one.page(first)
		for _, row := range []struct {
			br         *browser
			role, user string
		}{{one, admin, "jane@corp.example"}, {two, viewer, "joe@corp.example"}} {
			s, ok := b.session(t, row.br)
			if !ok || s.Identity != row.role || s.Email != row.user || !strings.Contains(s.Credentials.AccessKeyID, strings.ToUpper(row.role[strings.LastIndexByte(row.role, '/')+1:])) {
				t.Errorf("%s has %v %s %s", row.user, ok, s.Identity, s.Credentials.AccessKeyID)
			}
		}
	})
	t.Run("two tabs of one browser", func(t *testing.T) {
		br := b.browser(t)
		first, second := b.begin(br, "jane", admin, "/one"), b.begin(br, "jane", viewer, "/two")
		if a := br.page(second); a.location() != "/two" {
			t.Errorf("to %q", a.location())
		}
		old := br.cookies[cookie]
		if s, _ := b.session(t, br); s.Identity != viewer {
			t.Errorf("the second tab has %q", s.Identity)
		}
		if a := br.page(first); a.location() != "/one" {
			t.Errorf("to %q", a.location())
		}
		if s, _ := b.session(t, br); s.Identity != admin {
			t.Errorf("the first tab has %q", s.Identity)
		}
		br.cookies[cookie] = old
		if _, ok := b.session(t, br); ok {
			t.Error("the session of the second tab lives on beside that of the first")
		}
	})
	t.Run("two browsers, callbacks exchanged", func(t *testing.T) {
		b := newBed(t)
		one, two := b.browser(t), b.browser(t)
		first, second := b.begin(one, "jane", admin, "/pods"), b.begin(two, "joe", viewer, "/pods")
		b.refused(t, one, one.page(second), http.StatusBadRequest)
		b.refused(t, two, two.page(first), http.StatusBadRequest)
	})
}

func TestCallbacksThatAreNotTheBrowsers(t *testing.T) {
	t.Run("another browser's state", func(t *testing.T) {
		b := newBed(t)
		victim := b.browser(t)
		b.refused(t, victim, victim.page(b.begin(b.browser(t), "joe", admin, "/pods")), http.StatusBadRequest)
	})
	t.Run("another browser's state with one's own attempt's cookie renamed", func(t *testing.T) {
		b := newBed(t)
		attacker, victim := b.browser(t), b.browser(t)
		callback := b.begin(attacker, "joe", admin, "/pods")
		b.begin(victim, "jane", admin, "/pods")
		renamed := map[string]string{}
		for name := range attacker.cookies {
			for _, value := range victim.cookies {
				renamed[name] = value
			}
		}
		victim.cookies = renamed
		b.refused(t, victim, victim.page(callback), http.StatusBadRequest)
	})
	t.Run("a replayed code", func(t *testing.T) {
		b := newBed(t)
		br := b.browser(t)
		callback := b.begin(br, "jane", admin, "/pods")
		kept := map[string]string{}
		maps.Copy(kept, br.cookies)
		br.page(callback)
		c := b.config
		c.Registerer = nil
		_, replica, _ := b.replica(t, c)
		calls := b.aws.count()
		for _, row := range []struct {
			base   string
			status int
		}{
			{b.server.URL, http.StatusBadRequest},
			{replica.URL, http.StatusForbidden}, // only the provider knows there that the code is spent
		} {
			thief := b.browser(t)
			thief.base = row.base
			maps.Copy(thief.cookies, kept) // the attempt's, too
			if a := thief.page(callback); a.StatusCode != row.status || b.aws.count() != calls {
				t.Errorf("%d, want %d, %d roles assumed", a.StatusCode, row.status, b.aws.count()-calls)
			}
		}
		if a := br.page(callback); a.StatusCode != http.StatusBadRequest {
			t.Errorf("the same browser again: %d", a.StatusCode)
		}
		if got := b.upstream.took(); got != nil {
			t.Errorf("the upstream got %v", got)
		}
	})
	t.Run("an attempt of eleven minutes", func(t *testing.T) {
		b := newBed(t)
		br := b.browser(t)
		callback := b.begin(br, "jane", admin, "/pods")
		b.clock.Add(11 * time.Minute)
		b.refused(t, br, br.page(callback), http.StatusBadRequest)
	})
	t.Run("the provider says no, with markup", func(t *testing.T) {
		b := newBed(t)
		br := b.browser(t)
		callback := b.begin(br, "jane", admin, "/pods")
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		a := br.page("/login/oauth/callback?error=access_denied&error_description=%3Cscript%3E&state=" + u.Query().Get("state"))
		b.refused(t, br, a, http.StatusForbidden)
		if strings.Contains(a.body, "<script") {
			t.Error(a.body)
		}
	})
}

func TestALoginMakesANewSession(t *testing.T) {
	t.Run("a session that was planted is not taken over", func(t *testing.T) {
		b := newBed(t)
		br := b.browser(t)
		planted := strings.Repeat("A", 43)
		br.cookies[cookie] = planted
		b.login(br, "jane", admin)
		if br.cookies[cookie] == planted {
			t.Error("the login kept the planted id")
		}
		other := b.browser(t)
		other.cookies[cookie] = planted
		if a := other.get("/x"); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("the planted id gets %d", a.StatusCode)
		}
	})
	t.Run("a login ends the session before it (CVE-2026-34454)", func(t *testing.T) {
		b := newBed(t)
		br := b.signedIn(t, "jane", admin)
		old := b.browser(t)
		old.cookies[cookie] = br.cookies[cookie]
		a := br.page("/login")
		a = br.submit(a, "/login/oauth", "role", viewer)
		to, err := b.idp.SignIn(a.location(), "joe")
		if err != nil {
			t.Fatal(err)
		}
		br.page(to.RequestURI())
		if s, _ := b.session(t, br); s.Email != "joe@corp.example" || s.Identity != viewer {
			t.Errorf("signed in as %s, %s", s.Email, s.Identity)
		}
		if a := old.get("/x"); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("the session before gets %d", a.StatusCode)
		}
		if got := b.upstream.took(); got != nil {
			t.Errorf("the upstream got %v", got)
		}
	})
}

func TestRolesOutsideTheList(t *testing.T) {
	for _, role := range []string{
		"", "0", "-1", "2", "arn:aws:iam::111122223333:role/root", admin + " ", strings.ToUpper(admin), admin + "\x00", "vault:dev",
	} {
		b := newBed(t)
		br := b.browser(t)
		b.refused(t, br, br.submit(br.page("/login"), "/login/oauth", "role", role), http.StatusForbidden)
	}
	b := newBed(t)
	br := b.browser(t)
	br.page("/login")
	a := br.submit(br.page("/login"), "/login/oauth", "role", admin, "csrf", "wrong")
	b.refused(t, br, a, http.StatusForbidden)
	// a form that was made for another browser
	form := b.browser(t).page("/login")
	b.refused(t, br, br.submit(form, "/login/oauth", "role", admin), http.StatusForbidden)
	// another site's form, with a good token
	own := br.page("/login")
	token := csrfField.FindStringSubmatch(own.body)[1]
	for _, site := range []string{"cross-site", "same-site"} {
		a := br.do("POST", "/login/oauth", "role="+queryEscape(admin)+"&csrf="+token, "Sec-Fetch-Site", site, "Accept", "text/html")
		b.refused(t, br, a, http.StatusForbidden)
	}
}

func TestNoLinkSwitchesARole(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", viewer)
	for _, target := range []string{"/login/oauth?role=" + queryEscape(admin), "/login?role=" + queryEscape(admin)} {
		if a := br.page(target); a.StatusCode == http.StatusSeeOther || a.StatusCode == http.StatusFound {
			t.Errorf("%s leads to %s", target, a.location())
		}
	}
	a := br.do("POST", "/login/oauth", "role="+queryEscape(admin), "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	if a.StatusCode != http.StatusForbidden {
		t.Errorf("a form without a token: %d", a.StatusCode)
	}
	if s, _ := b.session(t, br); s.Identity != viewer {
		t.Errorf("the role is %s", s.Identity)
	}
}

func TestEmails(t *testing.T) {
	for _, row := range []struct {
		attack string
		claims map[string]any
		status int
	}{
		{"none", map[string]any{"email": nil}, 403},
		{"not verified", map[string]any{"email_verified": false}, 403},
		{"not verified, in words", map[string]any{"email_verified": "false"}, 403},
		{"verified in words", map[string]any{"email_verified": "true"}, 303},
		{"verified as a number", map[string]any{"email_verified": 1}, 403},
		{"two @ (CVE-2026-40574)", map[string]any{"email": "a@evil.com@corp.example"}, 403},
		{"a domain that begins like ours", map[string]any{"email": "a@corp.example.evil.com"}, 403},
		{"a sub-domain", map[string]any{"email": "a@x.corp.example"}, 403},
		{"a domain in capitals", map[string]any{"email": "a@CORP.example"}, 303},
		{"a list", map[string]any{"email": []string{"jane@corp.example"}}, 403},
	} {
		t.Run(row.attack, func(t *testing.T) {
			b := newBed(t)
			c := b.config
			c.Registerer = nil
			c.Provider = b.provider(t, func(c *oidclogin.Config) { c.EmailDomains = []string{"corp.example"} })
			_, server, _ := b.replica(t, c)
			b.idp.SetUser(fakeidp.User{Username: "eve", Email: "jane@corp.example", Claims: row.claims, UserInfo: row.claims})
			br := b.browser(t)
			br.base = server.URL
			a := br.page(b.begin(br, "eve", admin, "/pods"))
			if row.status == 403 {
				b.refused(t, br, a, row.status)
			} else if a.StatusCode != row.status {
				t.Errorf("%d: %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestReturnPathsStayHere(t *testing.T) {
	b := newBed(t, func(c *loginproxy.Config) { c.Identities = c.Identities[:1] })
	for _, row := range []struct{ path, want string }{
		{"/pods?a=b", "/pods?a=b"}, {"/a%2Fb//c", "/a%2Fb//c"}, {"", "/"}, {"/", "/"},
		{"//evil.example", "/"}, {`/\evil.example`, "/"}, {"/%09/evil.example", "/"}, {"/\t/evil.example", "/"}, {"https:evil.example", "/"},
		{"https://evil.example", "/"}, {"javascript:alert(1)", "/"}, {"/login/oauth/../..//evil.example", "/"}, {"/..//evil.example", "/"},
		{"/.//evil.example", "/"}, {"/%2e%2e//evil.example", "/"}, {"/x\r\nSet-Cookie: a=b", "/"}, {"/%0d%0aSet-Cookie:a=b", "/"},
		{"/%2F/evil.example", "/"}, {"/%5Cevil.example", "/"}, {"@evil.example", "/"}, {"/#//evil.example", "/"}, {"evil.example", "/"},
		{"/login", "/"}, {"/login/logout", "/"}, {"/login?return_to=/login", "/"}, {"/loginfoo", "/loginfoo"}, {"/" + strings.Repeat("a", 2000), "/"},
		{"/\u2028evil", "/"}, {"///evil.example", "/"}, {" //evil.example", "/"}, {"/ /evil.example", "/"},
	} {
		br := b.browser(t)
		a := br.page(b.begin(br, "jane", admin, row.path))
		if a.StatusCode != http.StatusSeeOther || a.location() != row.want || len(a.Header["Location"]) != 1 || a.Header.Get("Set-Cookie") == "a=b" {
			t.Errorf("%q leads to %d %q, want %q", row.path, a.StatusCode, a.Header["Location"], row.want)
		}
	}
}

func TestAttemptsAreFewAndSmall(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	first := b.begin(br, "jane", admin, "/"+strings.Repeat("p", 500))
	for range 9 {
		b.clock.Add(time.Second)
		b.begin(br, "jane", admin, "/pods")
	}
	count := 0
	for name, value := range br.cookies {
		if strings.Contains(name, "-login-") {
			count++
		}
		if len(value) > 1<<10 {
			t.Errorf("%s has %d bytes", name, len(value))
		}
	}
	if count != 5 {
		t.Errorf("%d attempts, want 5", count)
	}
	b.refused(t, br, br.page(first), http.StatusBadRequest)
}

// TestKeysAreRotated: what the old secret sealed opens while it is still named,
// and not after.
func TestKeysAreRotated(t *testing.T) {
	b := newBed(t)
	next := strings.Repeat("n", 32)
	for _, row := range []struct {
		reason   string
		previous [][]byte
		status   int
	}{
		{"the old secret is still named", [][]byte{[]byte(secret)}, http.StatusSeeOther},
		{"the old secret is gone", nil, http.StatusBadRequest},
	} {
		keys, err := session.NewKeys([]byte(next), row.previous...)
		if err != nil {
			t.Fatal(err)
		}
		c := b.config
		c.Registerer, c.Keys = nil, keys
		_, server, _ := b.replica(t, c)
		br := b.browser(t)
		callback := b.begin(br, "jane", admin, "/pods")
		br.base = server.URL
		if a := br.page(callback); a.StatusCode != row.status {
			t.Errorf("%s: %d, want %d", row.reason, a.StatusCode, row.status)
		}
	}
}
