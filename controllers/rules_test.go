package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestRefusedRules: a bad edit changes nothing in the cluster, says why, and
// the rules accepted last stay in force, also in the next process.
func TestRefusedRules(t *testing.T) {
	cases := map[string]struct {
		data map[string]string
		says string
	}{
		"MisspeltKey":     {map[string]string{"mapUsers": strings.Replace(fooRule, "arnRegex", "arnRegexp", 1)}, "arnRegexp"},
		"MisspeltDataKey": {map[string]string{"mapUser": fooRule}, "mapUser"},
		"EmptyRegex":      {map[string]string{"mapUsers": "- {arnRegex: '', username: x, groups: [y]}"}, "arnRegex"},
		"MatchAll":        {map[string]string{"mapUsers": "- {arnRegex: '^.*$', username: x, groups: [y]}"}, "arnRegex"},
		"Unanchored":      {map[string]string{"mapUsers": "- {arnRegex: 'user/tmp-', username: x, groups: [y]}"}, "^"},
		"HalfAnchored":    {map[string]string{"mapUsers": "- {arnRegex: '^arn:a|.*$', username: x, groups: [y]}"}, "arnRegex"},
		"NotYAML":         {map[string]string{"mapUsers": "- ["}, "mapUsers"},
		"OneOfTwo":        {map[string]string{"mapUsers": fooRule + "- {username: x}\n"}, "rule 2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, "tmp-foo-1")
			w.apply("aws-auth-refresher", tc.data)
			w.refresh()
			if c := w.condition(ConditionRulesAccepted); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, tc.says) {
				t.Errorf("condition %+v does not say %q", c, tc.says)
			}
			if w.events.count("RulesAcceptedRefused") != 1 {
				t.Errorf("no event: %q", w.events.notes)
			}
			w.restart()
			w.createUsers("tmp-foo-2")
			w.settle()
			w.expectMapUsers("the accepted rules work on",
				person+entry("tmp-foo-1", "foo", "system:masters")+entry("tmp-foo-2", "foo", "system:masters"))
		})
	}
}

// TestRulesGone: a missing rules ConfigMap is a mistake and keeps the accepted
// rules; one without rules is an order to take everything of ours out.
func TestRulesGone(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()

	w.delete("aws-auth-refresher")
	w.restart()
	w.settle()
	w.expectMapUsers("deleted rules stay in force", in)
	if c := w.condition(ConditionDegraded); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v, want Degraded", c)
	}
	way := "; make aws-auth-refresher in namespace " + w.namespace + ", with rules under data.mapUsers or data.mapRoles\n"
	if c := w.condition(ConditionRulesAccepted); c.Reason != "Missing" || !strings.Contains(c.Message, way) {
		t.Errorf("condition %+v does not say the way out", c)
	}
	w.apply("aws-auth-refresher", nil)
	w.refresh()
	w.expectMapUsers("an empty rules ConfigMap empties ours", person)
	w.rules(fooRule)
	w.refresh()
	w.expectMapUsers("made again", in)
}

// TestNoRulesYet: before any rules were accepted nothing is touched and IAM is
// not asked.
func TestNoRulesYet(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.createUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("untouched", person)
	if n := w.aws.Calls("ListUsers"); n != 0 {
		t.Errorf("%d ListUsers calls", n)
	}
}

// TestImitation: names that look like another rule's get nothing from it.
func TestImitation(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules("- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-[0-9]+$\n  username: foo\n  groups: [system:masters]\n" +
		"- arnRegex: ^arn:aws:iam::123456789012:user/(?P<who>[^/]+)$\n  username: ${who}\n  groups: [dev]\n")
	for _, u := range [][2]string{{"/team/tmp-foo-1/", "evil"}, {"/tmp-foo-1/", "evil2"}, {"/", "xtmp-foo-1"}, {"/", "tmp-foo-1x"}} {
		if _, err := w.aws.CreateUser(u[0], u[1]); err != nil {
			t.Fatal(err)
		}
	}
	w.refresh()
	if strings.Contains(w.mapUsers(), "system:masters") {
		t.Errorf("somebody got system:masters by a name: %s", w.mapUsers())
	}
	w.expectMapUsers("only the second rule matches, and only without a path",
		person+entry("tmp-foo-1x", "tmp-foo-1x", "dev")+entry("xtmp-foo-1", "xtmp-foo-1", "dev"))
}

// TestNumericNames: a user name that YAML 1.1 takes for a number reaches EKS
// as a string.
func TestNumericNames(t *testing.T) {
	w := newWorld(t)
	w.awsAuth("[]")
	w.rules("- arnRegex: ^arn:aws:iam::123456789012:user/(?P<who>[^/]+)$\n  username: ${who}\n  groups: ['0777', 'on']\n")
	w.createUsers("12345", "1e3", "on", "null")
	w.refresh()
	doc := w.refresher.reader.Read(w.get("aws-auth").Data, 0)
	got := map[string]bool{}
	for _, e := range doc.Entries() {
		got[e.Username] = e.Groups[0] == "0777" && e.Groups[1] == "on"
	}
	for _, name := range []string{"12345", "1e3", "on", "null"} {
		if !got[name] {
			t.Errorf("%s does not arrive as a string:\n%s", name, w.mapUsers())
		}
	}
	if strings.Contains(w.mapUsers(), "username: 1e3") {
		t.Errorf("not quoted:\n%s", w.mapUsers())
	}
}

// TestRoles: role paths are taken out of the entry, permission sets match
// exactly, and a role that is gone leaves.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	w.apply("aws-auth", map[string]string{"mapRoles": "- rolearn: arn:aws:iam::123456789012:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]\n"})
	foreign := w.get("aws-auth").Data["mapRoles"]
	w.apply("aws-auth-refresher", map[string]string{"mapRoles": "- permissionSet: Admin\n  username: sso:{{SessionName}}\n  groups: [admins]\n"})
	path := "/aws-reserved/sso.amazonaws.com/eu-west-1/"
	for _, name := range []string{"AWSReservedSSO_Admin_0123456789abcdef", "AWSReservedSSO_Admin_ReadOnly_0123456789abcdef"} {
		if _, err := w.aws.CreateRole(path, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.refresh()
	want := foreign + "- rolearn: arn:aws:iam::123456789012:role/AWSReservedSSO_Admin_0123456789abcdef\n  username: sso:{{SessionName}}\n  groups:\n  - admins\n"
	if got := w.get("aws-auth").Data["mapRoles"]; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if n := w.aws.Calls("ListUsers"); n != 0 {
		t.Errorf("%d ListUsers calls without a user rule", n)
	}
	if err := w.aws.DeleteRole("AWSReservedSSO_Admin_0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.get("aws-auth").Data["mapRoles"]; got != foreign {
		t.Errorf("got %q\nwant %q", got, foreign)
	}
}

func manyUsers(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("tmp-foo-%02d", i)
	}
	return names
}

// TestBreaker: a slip of the pen that takes the rule from most entries is held
// for ten minutes, over a restart, and can be approved or mended meanwhile.
func TestBreaker(t *testing.T) {
	begin := func(t *testing.T) (w *world, full string) {
		t.Helper()
		w = newWorld(t)
		w.awsAuth(person)
		w.rules(fooRule)
		w.createUsers(manyUsers(20)...)
		w.refresh()
		full = w.mapUsers()
		w.rules(barRule)
		w.createUsers("tmp-bar-1")
		w.refresh()
		w.expectMapUsers("held, while additions go on", person+entry("tmp-bar-1", "bar", "developers")+strings.TrimPrefix(full, person))
		if c := w.condition(ConditionRemovalHeld); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "20") {
			t.Errorf("condition %+v", c)
		}
		return w, full
	}
	t.Run("Expires", func(t *testing.T) {
		w, _ := begin(t)
		for range 18 {
			w.pass(30 * time.Second)
			w.restart()
			w.refresh()
		}
		if !strings.Contains(w.mapUsers(), "tmp-foo-19") {
			t.Errorf("gone before its time")
		}
		w.pass(2 * time.Minute)
		w.refresh()
		w.expectMapUsers("gone after ten minutes", person+entry("tmp-bar-1", "bar", "developers"))
	})
	t.Run("Mended", func(t *testing.T) {
		w, full := begin(t)
		w.rules(fooRule)
		w.refresh()
		w.expectMapUsers("everybody stayed", full)
		if c := w.condition(ConditionRemovalHeld); c.Status != metav1.ConditionFalse {
			t.Errorf("condition %+v", c)
		}
		w.pass(time.Hour)
		w.settle()
		w.expectMapUsers("and stays", full)
	})
	t.Run("Approved", func(t *testing.T) {
		w, _ := begin(t)
		cm := w.get("aws-auth-refresher")
		cm.Annotations = map[string]string{ApproveAnnotation: "0123456789abcdef"}
		if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.refresh()
		if !strings.Contains(w.mapUsers(), "tmp-foo-19") {
			t.Errorf("approved by the digest of other rules")
		}
		cm = w.get("aws-auth-refresher")
		cm.Annotations = map[string]string{ApproveAnnotation: rules.DataDigest(cm.Data)}
		if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.refresh()
		w.expectMapUsers("gone at once", person+entry("tmp-bar-1", "bar", "developers"))
	})
}

// TestMaxMatches: a rule that suddenly matches too many lets nobody new in, and
// nobody out.
func TestMaxMatches(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	limited := fooRule + "  maxMatches: 2\n"
	w.rules(limited)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	in := w.mapUsers()
	w.createUsers("tmp-foo-3")
	w.later()
	w.expectMapUsers("frozen", in)
	if rules := w.get("aws-auth-refresher-status").Data["rules"]; !strings.Contains(rules, "frozen: true") {
		t.Errorf("the status does not say so: %q", rules)
	}
	w.rules(strings.Replace(limited, "username: foo", "username: baz", 1))
	w.refresh()
	w.expectMapUsers("those inside follow the rule",
		person+entry("tmp-foo-1", "baz", "system:masters")+entry("tmp-foo-2", "baz", "system:masters"))
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("room again", person+entry("tmp-foo-2", "baz", "system:masters")+entry("tmp-foo-3", "baz", "system:masters"))
}
