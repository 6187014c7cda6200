package controllers

import (
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func (w *entryWorld) setMode(mode string) {
	w.Helper()
	if err := w.aws.SetAuthenticationMode(eksCluster, mode); err != nil {
		w.Fatal(err)
	}
}

// TestAutoFollowsTheModeWithinOneInterval: from then on aws-auth lets nobody in.
func TestAutoFollowsTheModeWithinOneInterval(t *testing.T) {
	w := newEntryWorld(t, TargetAuto, accessentry.ModeConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.setMode(fakeaws.ModeAPIConfigMap)
	w.later()
	w.expectEntries("a cluster that reads both is run by aws-auth")
	w.setMode(fakeaws.ModeAPI)
	w.later()
	w.expectEntries("one interval later", "tmp-foo-1 foo [developers]")
	w.expectMapUsers("and aws-auth is given time", person+entry("tmp-foo-1", "foo", "developers"))
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectMapUsers("then it is empty of ours", person)
}

// TestBothBeforeTheModeLeavesNoGap: whoever wants nobody to be out for an
// interval selects both first.
func TestBothBeforeTheModeLeavesNoGap(t *testing.T) {
	w := newEntryWorld(t, TargetAuto, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.choose(TargetBoth)
	w.refresh()
	w.expectEntries("before the mode changes", "tmp-foo-1 foo [developers]")
	w.setMode(fakeaws.ModeAPI)
	w.later()
	made := w.aws.Calls("CreateAccessEntry")
	w.choose(TargetAuto)
	w.later()
	w.expectEntries("they stay", "tmp-foo-1 foo [developers]")
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectMapUsers("aws-auth is empty of ours", person)
	if n := w.aws.Calls("CreateAccessEntry") - made; n != 0 {
		t.Errorf("%d access entries were made for nothing", n)
	}
}

// TestMigratedEntriesAreTheirs: what migrate --apply makes of somebody else's
// entries in aws-auth carries no tag of ours, so that the rules do not touch it
// until --adopt says so.
func TestMigratedEntriesAreTheirs(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.awsAuth(person + entry("tmp-foo-1", "foo", "developers") + entry("tmp-foo-2", "by-hand", "x"))
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.migrate("tmp-foo-1", "foo", "developers")
	w.migrate("tmp-foo-2", "by-hand", "x")
	w.rules(devRule)
	w.refresh()
	w.awsAuth(person)
	w.later()
	w.expectEntries("they stay as migrate made them", "tmp-foo-1 foo [developers]", "tmp-foo-2 by-hand [x]")
	w.expectMapUsers("and override aws-auth, so nothing is written there", person)
	if got := w.get("aws-auth-refresher-status").Data["givenWay"]; strings.Count(got, "access entry lets it in") != 2 {
		t.Errorf("the status tells: got %s", got)
	}
	w.setMode(fakeaws.ModeAPI)
	w.choose(TargetAuto)
	w.later()
	w.rules("")
	w.later()
	w.expectEntries("no rule takes them out", "tmp-foo-1 foo [developers]", "tmp-foo-2 by-hand [x]")

	w.rules(devRule)
	w.config.Adopt = true
	w.choose(TargetAuto)
	w.later()
	w.rules("")
	w.later()
	w.expectEntries("--adopt has taken over what says the same", "tmp-foo-2 by-hand [x]")
}

// migrate makes an entry as migrate --apply does.
func (w *entryWorld) migrate(name, username string, groups ...string) {
	w.Helper()
	e := accessentry.Entry{Kind: rules.User, ARN: "arn:aws:iam::" + accountID + ":user/" + name, Username: username, Groups: groups}
	cluster := accessentry.New(accessentry.Config{EKS: w.eks, Name: eksCluster, Now: w.clock.Now})
	if made, err := cluster.Make(w.Context(), e); err != nil || !made {
		w.Fatalf("make an access entry for %s: %t, %v", name, made, err)
	}
}

// TestTheModeOutlivesAProcess: whatever else there is to be stored.
func TestTheModeOutlivesAProcess(t *testing.T) {
	w := newEntryWorld(t, TargetAuto, accessentry.ModeConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	in := person + entry("tmp-foo-1", "foo", "developers")
	w.expectMapUsers("at first", in)
	w.setMode(fakeaws.ModeAPIConfigMap)
	w.later()
	writes := w.writes()
	w.later()
	if n := w.writes() - writes; n != 0 {
		t.Errorf("%d writes with nothing new", n)
	}
	record, err := readEntries(w.get("aws-auth-refresher-state"))
	if err != nil || record.Mode != accessentry.ModeAPIConfigMap {
		t.Errorf("on record is %+v, %v", record, err)
	}
	w.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Denied})
	w.choose(TargetAuto) // another process
	w.awsAuth(person)    // Terraform, say
	w.createUsers("tmp-foo-2")
	w.settle()
	w.expectMapUsers("ours are put back, and who is new gets in", in+entry("tmp-foo-2", "foo", "developers"))
}
