package controllers

import (
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestRulesOutliveAChangeOfMode: rules that were accepted for aws-auth stay in
// force when the target becomes access entries, but for what those cannot say.
func TestRulesOutliveAChangeOfMode(t *testing.T) {
	w := newEntryWorld(t, TargetAuto, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule + "- arnRegex: ^arn:aws:iam::123456789012:user/node-.*$\n  username: node\n  groups: [system:nodes]\n")
	w.createUsers("tmp-foo-1", "node-1")
	w.refresh()
	before := w.mapUsers()
	if err := w.aws.SetAuthenticationMode(eksCluster, fakeaws.ModeAPI); err != nil {
		t.Fatal(err)
	}
	w.choose(TargetAuto)
	w.createUsers("tmp-foo-2")
	w.settle()
	w.expectEntries("whom access entries can let in", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")
	w.expectMapUsers("aws-auth stays while not everybody has an access entry", before)
	if c := w.condition(ConditionRulesAccepted); c.Status != "False" || !strings.Contains(c.Message, "which access entries refuse") {
		t.Errorf("the rules as they are written are refused all the same: got %+v", c)
	}
	if got := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(got, "node-1") {
		t.Errorf("the status tells who is left out: got %s", got)
	}
}
