package loginproxy_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestFarewell: coming back from the provider's logout is no wish to log in again,
// and nothing of the upstream's pages stays in the browser.
func TestFarewell(t *testing.T) {
	b := newBed(t)
	br := b.signedIn(t, "jane", admin)
	a := br.submit(br.page("/login"), "/login/logout")
	if got := a.Header.Get("Clear-Site-Data"); a.StatusCode != http.StatusSeeOther || got != `"cache"` {
		t.Errorf("the logout: %d, Clear-Site-Data %q", a.StatusCode, got)
	}
	for _, page := range []struct{ reason, target, want string }{
		{"somebody who opens another page wants to log in", "/login?return_to=%2Fpods", "Choose a role"},
		{"that has used the farewell up", "/login", "Choose a role"},
	} {
		if a := br.page(page.target); !strings.Contains(a.body, page.want) {
			t.Errorf("%s: %d %s", page.reason, a.StatusCode, a.body)
		}
	}
	b.login(br, "jane", admin)
	br.submit(br.page("/login"), "/login/logout")
	for _, want := range []string{"You are signed out", "Choose a role"} { // once
		if a := br.page("/login"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("back from the provider: %d, wants %q: %s", a.StatusCode, want, a.body)
		}
	}
}
