package controllers

import (
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// TestNoAccessEntryGoesForAGrantThatItCannotSay: who is granted access keeps
// the entry that there is, whatever became of the user name.
func TestNoAccessEntryGoesForAGrantThatItCannotSay(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	for _, name := range []string{"ann", "bob"} {
		if _, err := w.aws.CreateUser("/aws:teams/", name); err != nil {
			t.Fatal(err)
		}
	}
	rule := "- arnRegex: ^arn:aws:iam::123456789012:user/(.*)/.*$\n  username: dev\n  groups: [developers]\n"
	w.rules(rule)
	w.refresh()
	w.rules(strings.Replace(rule, "username: dev", "username: ${1}-dev", 1))
	w.later()
	w.later()
	w.expectEntries("they stay as they were", "ann dev [developers]", "bob dev [developers]")
	if got := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(got, "no access entry: its user name") {
		t.Errorf("the status tells: got %s", got)
	}
	w.approved("")
	w.later()
	w.expectEntries("they are ours still")
}
