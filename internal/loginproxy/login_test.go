package loginproxy_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestLoginGetsThrough(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	if a := br.page("/pods?ns=a&b=%2F"); a.StatusCode != http.StatusFound || a.location() != "/login?return_to=%2Fpods%3Fns%3Da%26b%3D%252F" {
		t.Fatalf("a page without a session: %d to %q", a.StatusCode, a.location())
	}
	if got := b.upstream.took(); got != nil {
		t.Fatalf("the upstream got %v", got)
	}
	b.login(br, "jane", admin)
	if a := br.page("/pods"); a.StatusCode != http.StatusOK || a.body != "hello from upstream" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	got := b.upstream.took()
	if len(got) != 1 || !strings.HasPrefix(got[0].Header.Get("Authorization"), "Bearer k8s-aws-v1.") {
		t.Fatalf("the upstream got %v", got)
	}
}
