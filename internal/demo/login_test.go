package demo_test

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestLoginInABrowser goes through the whole login, in Chromium, and leaves
// pictures of all pages. The steps build on each other.
func TestLoginInABrowser(t *testing.T) {
	t.Parallel() // it waits most of the time
	b := newBrowser(t)
	p := start(t, "--no-scenario")
	p.says("It is up")
	base := p.dashboard()

	b.open(base + "/#pods")
	b.sees("Choose a role · demo")
	b.photograph("1-choose")
	b.press("dashboard-developer")

	b.sees("Sign in")
	b.photograph("2-provider")
	b.do("signing in", chromedp.SendKeys(chromedp.ID("username"), "jane"), chromedp.Click(chromedp.ID("sign-in")))

	b.sees("Sample dashboard")
	b.has("#username", "developer:jane@corp.example")
	b.has("table", "kube-system")
	b.has("#log", "hello developer:jane@corp.example")
	b.do("sending", chromedp.SetValue(chromedp.ID("message"), "is anybody there?"), chromedp.Click(chromedp.CSS("#say button")))
	b.has("#log", "is anybody there?")
	b.photograph("3-dashboard")

	b.open(base + "/login")
	b.sees("Signed in · demo")
	b.has("main", "jane@corp.example")
	b.photograph("4-signed-in")
	b.press("dashboard-admin")
	b.sees("Sample dashboard")
	b.has("#username", "admin:jane@corp.example")

	second := b.another()
	second.open(base + "/")
	second.has("#state", "open")

	b.open(base + "/login")
	b.sees("Signed in · demo")
	b.press("Log out")
	b.sees("Signed out · demo")
	b.photograph("5-signed-out")
	second.has("#state", "closed")
	noWayBack(t, b, base)
}

// noWayBack presses the back button after the logout until the history ends: the
// dashboard must not show again.
func noWayBack(t *testing.T, b *browser, base string) {
	t.Helper()
	for {
		place := b.place()
		if place == 0 {
			break
		}
		b.do("going back", chromedp.Evaluate[chromedp.Void](`void setTimeout(() => history.back())`))
		poll(t, "the browser goes back", func() bool { return b.place() == place-1 })
		b.until("a page", `document.readyState == "complete"`)
		if text := b.describe(); strings.Contains(text, "admin:jane") || strings.Contains(text, "kube-system") {
			t.Fatalf("back after the logout shows what the dashboard had:\n%s", text)
		}
	}
	b.open(base + "/whoami")
	b.sees("Choose a role · demo")
}

// TestVaultInABrowser waits for an IAM user of one's own, and sees the pages of
// those who do not get in.
func TestVaultInABrowser(t *testing.T) {
	t.Parallel() // it waits most of the time
	b := newBrowser(t)
	p := start(t, "--no-scenario", "--refresh-interval", "6s")
	p.says("It is up")
	base := p.dashboard()

	b.open(base + "/")
	b.sees("Choose a role · demo")
	b.press("Personal IAM user")
	b.sees("Sign in")
	b.do("signing in", chromedp.SendKeys(chromedp.ID("username"), "jane"), chromedp.Click(chromedp.ID("sign-in")))
	b.sees("Almost there · demo")
	b.photograph("6-waiting")
	b.has("#username", "vault:jwt-jane-dashboard")

	b.open(base + "/login")
	b.press("Log out")
	b.sees("Signed out · demo")

	for _, other := range []struct{ name, role, picture string }{
		{"omar", "dashboard-admin", "7-role-refused"}, {"eve", "dashboard-developer", "8-person-refused"},
	} {
		b.open(base + "/")
		b.sees("Choose a role · demo")
		b.press(other.role)
		b.sees("Sign in")
		b.do("signing in", chromedp.SendKeys(chromedp.ID("username"), other.name), chromedp.Click(chromedp.ID("sign-in")))
		b.has("footer", "403")
		b.photograph(other.picture)
		b.open(p.provider() + "/end-session")
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.leavesNothing()
}
