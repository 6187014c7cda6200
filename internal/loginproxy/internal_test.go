package loginproxy

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

func testKeys(t testing.TB) *session.Keys {
	t.Helper()
	keys, err := session.NewKeys([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func testNow() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func TestCheckLoginURL(t *testing.T) {
	for path, ok := range map[string]bool{
		"/login": true, "/auth/login": true, "/oauth2-x_y.z~": true, "/apifoo": true,
		"": false, "/": false, "login": false, "/login/": false, "//login": false, "/a/../b": false, "/api": false, "/api/login": false,
		"/apis/x": false, "/a%2Fb": false, "/a b": false, "/a?b": false, "/a;b": false, "/ä": false,
	} {
		if err := checkLoginURL(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	_, err := New(Config{LoginURL: "/api", PublicURL: &url.URL{Scheme: "https", Host: "h", Path: "/x"}})
	if err == nil {
		t.Fatal("an empty configuration was taken")
	}
	for _, want := range []string{
		"the login URL must not lie under /api", "the upstream needs a scheme", "cannot live under a path", "at least one role is needed",
		"the cluster's name is missing", "the region is missing", "the login provider is missing", "the session store is missing", "the cookie secret is missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in:\n%v", want, err)
		}
	}
}
