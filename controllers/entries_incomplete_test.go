package controllers

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// fill makes somebody else's access entries until there are n.
func (w *entryWorld) fill(n int) {
	w.Helper()
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range numbers {
				user, err := w.aws.CreateUser("/others/", fmt.Sprintf("other-%04d", i))
				if err == nil {
					_, err = w.eks.CreateAccessEntry(w.Context(), &eks.CreateAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &user.ARN})
				}
				if err != nil {
					w.Error(err)
				}
			}
		})
	}
	for i := len(w.aws.AccessEntries(eksCluster)); i < n; i++ {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
}

// long lets more time pass than any handover takes.
func (w *entryWorld) long() {
	w.Helper()
	for range 3 {
		w.later()
		w.pass(accessentry.SettleTime)
	}
	w.refresh()
}

// TestFullAccessEntriesKeepAWSAuth: while one who is in aws-auth has no place
// among 3,000 access entries, nobody leaves aws-auth.
func TestFullAccessEntriesKeepAWSAuth(t *testing.T) {
	w := newEntryWorld(t, TargetConfigMap, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	before := w.mapUsers()
	w.fill(accessentry.Limit - 1)
	w.choose(TargetAccessEntries)
	w.long()
	w.expectMapUsers("one is in both, one in aws-auth only", before)
	if c := w.condition(ConditionApplied); c.Reason != "AccessEntriesFull" {
		t.Errorf("it is told: got %+v", c)
	}
	if got := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(got, "user/tmp-foo-2") || strings.Contains(got, "user/tmp-foo-1") {
		t.Errorf("and about whom: got %s", got)
	}

	other := "arn:aws:iam::" + accountID + ":user/others/other-0000"
	if _, err := w.eks.DeleteAccessEntry(t.Context(), &eks.DeleteAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &other}); err != nil {
		t.Fatal(err)
	}
	w.later()
	w.expectMapUsers("a place is free, and a minute must pass", before)
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectMapUsers("everybody has an access entry", person)
}

// TestRefusedAccessEntriesKeepAWSAuth: whatever EKS has against one of them.
func TestRefusedAccessEntriesKeepAWSAuth(t *testing.T) {
	w := newEntryWorld(t, TargetConfigMap, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.aws.SetLag(fakeaws.Lag{Principal: time.Hour})
	w.createUsers("tmp-foo-2")
	w.later()
	before := w.mapUsers()
	w.choose(TargetAccessEntries)
	w.long()
	w.expectEntries("EKS does not know one of them", "tmp-foo-1 foo [developers]")
	w.expectMapUsers("nobody leaves aws-auth", before)
	for _, effect := range []fakeaws.Effect{fakeaws.Failing, fakeaws.Denied} {
		w.aws.Inject(fakeaws.Fault{Action: "CreateAccessEntry", Effect: effect})
		w.long()
		w.expectMapUsers(string(effect)+": nobody leaves aws-auth", before)
		w.aws.ClearFaults()
	}
}

// TestSomebodyElsesAccessEntryCountsAsComplete: who is let in by somebody
// else's entry does not hold the handover up.
func TestSomebodyElsesAccessEntryCountsAsComplete(t *testing.T) {
	for _, mode := range []accessentry.Mode{accessentry.ModeAPIConfigMap, accessentry.ModeAPI} {
		w := newEntryWorld(t, TargetConfigMap, mode)
		w.awsAuth(person)
		w.rules(devRule)
		w.createUsers("tmp-foo-1", "tmp-foo-2")
		w.refresh()
		w.theirs("tmp-foo-1")
		w.choose(TargetAccessEntries)
		w.later()
		w.expectEntries(string(mode)+": theirs stays", "tmp-foo-1 theirs [x]", "tmp-foo-2 foo [developers]")
		if !strings.Contains(w.mapUsers(), "tmp-foo-2") {
			t.Errorf("%s: aws-auth keeps ours for a minute: got %s", mode, w.mapUsers())
		}
		w.pass(accessentry.SettleTime)
		w.later()
		w.expectMapUsers(string(mode)+": aws-auth is empty of ours", person)
		if got := w.get("aws-auth-refresher-status").Data["givenWay"]; !strings.Contains(got, "tmp-foo-1") {
			t.Errorf("%s: it is told: got %s", mode, got)
		}
	}
}

// TestSomebodyElsesEntryInAWSAuthCountsAsComplete is the way back.
func TestSomebodyElsesEntryInAWSAuthCountsAsComplete(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	theirs := person + entry("tmp-foo-1", "by-hand", "x")
	w.awsAuth(theirs)
	w.choose(TargetConfigMap)
	w.later()
	w.expectMapUsers("ours beside theirs", theirs+entry("tmp-foo-2", "foo", "developers"))
	w.expectEntries("theirs counts in both stores", "tmp-foo-2 foo [developers]")
	w.later() // finds that aws-auth says it all
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectEntries("the access entries are empty of ours")
	w.expectMapUsers("and aws-auth says it all", theirs+entry("tmp-foo-2", "foo", "developers"))
}

// TestFullAWSAuthKeepsAccessEntries: while one who has an access entry has no
// room in aws-auth, no access entry goes.
func TestFullAWSAuthKeepsAccessEntries(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	w.config.Limit = len("mapUsers") + len(person) + len(entry("tmp-foo-1", "foo", "developers")) + 20
	w.choose(TargetConfigMap)
	w.long()
	w.expectMapUsers("one finds room", person+entry("tmp-foo-1", "foo", "developers"))
	w.expectEntries("so both keep their access entries", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")

	w.config.Limit = 0
	w.choose(TargetConfigMap)
	w.later()
	w.expectMapUsers("both find room", person+entry("tmp-foo-1", "foo", "developers")+entry("tmp-foo-2", "foo", "developers"))
	w.expectEntries("for less than a minute", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")
	w.long()
	w.expectEntries("the access entries are empty of ours")
}
