package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
)

var (
	developer = page.Role{Value: "1", Name: "Developer", Account: "123456789012", ARN: "arn:aws:iam::123456789012:role/Developer"}
	own       = page.Role{Value: "2", Name: "An IAM user of your own", Note: "Vault makes it for you."}
	noon      = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
)

// every is each page, filled.
func every() map[string]page.Page {
	return map[string]page.Page{
		"picker": page.Picker(page.PickerView{
			Cluster: "blue", Action: "/login/oauth", CSRF: "c-s-r-f", ReturnTo: "/pods?a=b&c", Roles: []page.Role{developer, own},
		}),
		"signed in": page.SignedIn(page.SignedInView{
			Cluster: "blue", Email: "jane@corp.example", Role: developer, Others: []page.Role{own}, CSRF: "c-s-r-f",
			Ends: noon.Add(70 * time.Minute), Now: noon, SwitchAction: "/login/oauth", LogoutAction: "/login/logout",
		}),
		"signed out": page.SignedOut(page.SignedOutView{Cluster: "blue", Login: "/login", ProviderStays: true}),
		"refused": page.Refused(page.Problem{
			Cluster: "blue", Status: 403, Title: "No role for you", Message: "Nothing is open to jane@corp.example.",
			Next: "Ask for a role.", Link: "/login", LinkText: "Start again", RequestID: "f00",
		}),
		"waiting": page.Waiting(page.WaitingView{
			Cluster: "blue", Email: "jane@corp.example", Role: own, Since: 4 * time.Second, LogoutAction: "/login/logout", CSRF: "c-s-r-f",
		}),
	}
}

func written(t *testing.T, p page.Page, status int) (http.Header, string) {
	t.Helper()
	w := httptest.NewRecorder()
	p.Write(w, status)
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	return w.Header(), w.Body.String()
}

func TestPagesSayWhatTheyAreFor(t *testing.T) {
	wanted := map[string][]string{
		"picker": {
			"<title>Choose a role · blue</title>", `<form method="post" action="/login/oauth">`, `name="role" value="1"`,
			`name="role" value="2"`, `name="csrf" value="c-s-r-f"`, `name="return_to" value="/pods?a=b&amp;c"`,
			"Developer", "123456789012", developer.ARN, own.Note,
		},
		"signed in": {
			"<title>Signed in · blue</title>", "jane@corp.example", developer.ARN, `datetime="2026-03-04T13:10:00Z"`, "in 1 hour 10 minutes",
			`href="/"`, `action="/login/oauth"`, `action="/login/logout"`, `name="role" value="2"`,
		},
		"signed out": {"<title>Signed out · blue</title>", `href="/login"`, "login provider may still know you"},
		"refused": {
			"<title>No role for you · blue</title>", "Nothing is open to jane@corp.example.", "Ask for a role.",
			`href="/login">Start again`, "Status 403", "<code>f00</code>",
		},
		"waiting": {
			"<title>Almost there · blue</title>", `<meta http-equiv="refresh" content="3">`, "4 seconds so far", own.Name,
			`role="status"`, `action="/login/logout"`,
		},
	}
	for name, p := range every() {
		_, body := written(t, p, http.StatusOK)
		for _, want := range wanted[name] {
			if !strings.Contains(body, want) {
				t.Errorf("%s: lacks %s:\n%s", name, want, body)
			}
		}
	}
}

var styleElement = regexp.MustCompile(`(?s)<style>(.*)</style>`)

func TestPagesLoadAndRunNothing(t *testing.T) {
	for name, p := range every() {
		header, body := written(t, p, http.StatusForbidden)
		for key, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Content-Type": "text/html; charset=utf-8",
			// no-referrer would make the Origin of the page's own forms "null".
			"Referrer-Policy": "same-origin",
		} {
			if got := header.Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got, want)
			}
		}
		sum := sha256.Sum256([]byte(styleElement.FindStringSubmatch(body)[1]))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
		if got := header.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: the policy is\n%s\nbut its style needs\n%s", name, got, want)
		}
		for _, bad := range []string{"<script", "style=", "url(", "@import", "onclick", "https://", "//fonts", "ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s: has %s:\n%s", name, bad, body)
			}
		}
	}
}

func TestPagesCanBeReadByAMachine(t *testing.T) {
	for name, p := range every() {
		_, body := written(t, p, http.StatusOK)
		for _, once := range []string{`<html lang="en">`, "<title>", "<h1>", "<header>", "<main>", `name="viewport"`} {
			if got := strings.Count(body, once); got != 1 {
				t.Errorf("%s: %s stands there %d times, want once", name, once, got)
			}
		}
		for _, element := range []string{"form", "ul", "li", "dl", "div", "section", "p", "span", "button", "a"} {
			opened, closed := regexp.MustCompile(`<`+element+`[ >]`).FindAllString(body, -1), strings.Count(body, "</"+element+">")
			if len(opened) != closed {
				t.Errorf("%s: %d <%s>, but %d ends", name, len(opened), element, closed)
			}
		}
	}
}

func TestWhatIsGivenCannotBecomeMarkup(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	role := page.Role{Value: evil, Name: evil, Account: evil, ARN: evil, Note: evil}
	pages := map[string]page.Page{
		"picker": page.Picker(page.PickerView{
			Cluster: evil, Action: evil, CSRF: evil, ReturnTo: evil, Email: evil, Roles: []page.Role{role}, LeadsTo: evil,
		}),
		"signed in": page.SignedIn(page.SignedInView{
			Cluster: evil, Email: evil, Role: role, Continue: "javascript:" + evil, Others: []page.Role{role}, ReturnTo: evil,
			SwitchAction: evil, LogoutAction: evil, CSRF: evil,
		}),
		"signed out": page.SignedOut(page.SignedOutView{Cluster: evil, Login: "javascript:alert(1)"}),
		"refused": page.Refused(page.Problem{
			Cluster: evil, Title: evil, Message: evil, Next: evil, Link: "javascript:alert(1)", LinkText: evil, RequestID: evil,
		}),
		"waiting": page.Waiting(page.WaitingView{Cluster: evil, Email: evil, Role: role, LogoutAction: evil, CSRF: evil}),
	}
	for name, p := range pages {
		_, body := written(t, p, http.StatusOK)
		for _, bad := range []string{"<script", `"javascript:`} {
			if strings.Contains(body, bad) {
				t.Errorf("%s: %s got through:\n%s", name, bad, body)
			}
		}
	}
}

func TestFormActionFollowsTheRedirect(t *testing.T) {
	for _, test := range []struct{ leadsTo, want, reason string }{
		{"", "'self'", "nothing redirects elsewhere"},
		{"https://login.example/authorize?a=b", "'self' https:", "a provider on https may send people on to others"},
		{"http://127.0.0.1:4567/authorize", "'self' http://127.0.0.1:4567", "a provider on this machine is named"},
		{"http://a;script-src *", "'self'", "no other directive can be written"},
		{"http://a,b/", "'self'", "no other policy can be written"},
		{"http://*/", "'self'", "no wildcard"},
		{"javascript:alert(1)", "'self'", "only the web"},
		{"http:opaque", "'self'", "no host"},
		{"/login", "'self'", "a path is this origin"},
	} {
		header, _ := written(t, page.Picker(page.PickerView{LeadsTo: test.leadsTo}), http.StatusOK)
		if want := "; form-action " + test.want + "; base-uri"; !strings.Contains(header.Get("Content-Security-Policy"), want) {
			t.Errorf("%s (%q):\n%s\nlacks\n%s", test.reason, test.leadsTo, header.Get("Content-Security-Policy"), want)
		}
	}
}

func TestEmptyViewsStillRender(t *testing.T) {
	for name, p := range map[string]page.Page{
		"picker": page.Picker(page.PickerView{}), "signed in": page.SignedIn(page.SignedInView{}),
		"signed out": page.SignedOut(page.SignedOutView{}), "waiting": page.Waiting(page.WaitingView{}),
		"refused": page.Refused(page.Problem{}), "refused with a status": page.Refused(page.Problem{Status: 502}),
	} {
		_, body := written(t, p, http.StatusOK)
		for _, bad := range []string{"<h1></h1>", "<title></title>", "0001"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s: has %s:\n%s", name, bad, body)
			}
		}
	}
}

func TestTheTimeLeftInWords(t *testing.T) {
	for left, want := range map[time.Duration]string{
		-time.Minute: "", 0: "", 10 * time.Second: "1 minute", 59 * time.Minute: "59 minutes", time.Hour: "1 hour",
		61 * time.Minute: "1 hour 1 minute", 12 * time.Hour: "12 hours", 12*time.Hour - time.Second: "12 hours",
	} {
		if got := (page.SignedInView{Now: noon, Ends: noon.Add(left)}).Left(); got != want {
			t.Errorf("%s left is said as %q, want %q", left, got, want)
		}
	}
}

// TestSignedInWithCredentialsThatHaveEnded offers the same role, too.
func TestSignedInWithCredentialsThatHaveEnded(t *testing.T) {
	w := httptest.NewRecorder()
	role := page.Role{Value: "r", Name: "admin"}
	page.SignedIn(page.SignedInView{Role: role, Others: []page.Role{role}, Lapsed: true, SwitchAction: "/login/oauth", LogoutAction: "/login/logout"}).Write(w, http.StatusOK)
	for _, want := range []string{"Your AWS credentials have ended", ">Sign in again</h2>", `value="r"`, "Log out"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not said", want)
		}
	}
}
