package loginproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
)

// TestWhoComesBackIsHeldAgainstThePolicy, not who left: a browser in which one
// person has begun to switch the role may come back with another one's login, or
// with a login that has lost the role on the way.
func TestWhoComesBackIsHeldAgainstThePolicy(t *testing.T) {
	for _, row := range []struct {
		reason string
		user   string
		leave  func(*bed)
		status int
		says   string
	}{
		{"the same person", "jane", func(*bed) {}, http.StatusSeeOther, ""},
		{"somebody who may take another role only", "joe", func(*bed) {}, http.StatusForbidden, "That role is not yours to take"},
		{"somebody who may take none", "eve", func(*bed) {}, http.StatusForbidden, "There is no role for you"},
		{"the same person, out of the group by now", "jane", func(b *bed) {
			b.idp.SetUser(fakeidp.User{Username: "jane", Email: "jane@corp.example", Groups: []string{"dev"}})
		}, http.StatusForbidden, "That role is not yours to take"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			b := newBed(t, func(c *loginproxy.Config) {
				c.Policy = policy(t, "rules:\n- {claim: groups, values: [platform], identities: ['"+admin+"', '"+viewer+"']}\n- {claim: groups, values: [dev], identities: ['"+viewer+"']}")
			})
			b.idp.SetUser(fakeidp.User{Username: "eve", Email: "eve@corp.example"})
			br, picker := b.undecided(t)
			br.submit(picker, "/login/oauth", "role", viewer)
			leaving := br.submit(br.page("/login"), "/login/oauth", "role", admin, "return_to", "/pods")
			row.leave(b)
			to, err := b.idp.SignIn(leaving.location(), row.user)
			if err != nil {
				t.Fatal(err)
			}
			roles := b.aws.count()
			a := br.page(to.RequestURI())
			if a.StatusCode != row.status || !strings.Contains(a.body, row.says) {
				t.Errorf("%s comes back for admin: %d to %q %s", row.user, a.StatusCode, a.location(), titleOf(a))
			}
			if s, _ := b.session(t, br); (s.Identity == admin) != (row.status == http.StatusSeeOther) {
				t.Errorf("the browser has %s as %s", s.Identity, s.Email)
			}
			if n := b.aws.count() - roles; (n == 1) != (row.status == http.StatusSeeOther) {
				t.Errorf("%d roles were assumed", n)
			}
		})
	}
}
