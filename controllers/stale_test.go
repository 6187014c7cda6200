package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

// outage has IAM's listings fail until it is ended.
func (w *world) outage() (end func()) {
	for _, action := range []string{"ListUsers", "GetAccountAuthorizationDetails"} {
		w.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Denied})
	}
	return w.aws.ClearFaults
}

// remake deletes a user and makes it again, under the same name.
func (w *world) remake(name string) {
	w.Helper()
	w.deleteUsers(name)
	w.createUsers(name)
}

// newClockedWorld is a world whose AWS has its time, so that users get their
// dates from there.
func newClockedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.aws = fakeaws.New(fakeaws.Config{AccountID: accountID, AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret", Now: w.clock.Now})
	c, signer := w.sdk("AKIAADMIN", "secret"), clockSigner{v4.NewSigner(), w.clock.Now}
	w.config.Lister = principals.New(principals.Config{
		IAM:         iam.NewFromConfig(c, func(o *iam.Options) { o.HTTPSignerV4 = signer }),
		STS:         sts.NewFromConfig(c, func(o *sts.Options) { o.HTTPSignerV4 = signer }),
		Credentials: c.Credentials, Now: w.clock.Now,
	})
	w.restart()
	return w
}

// TestMaxAgeJudgesByAListingOfThatTime: somebody who was made again before the
// end of the first one's time stays, whenever IAM was last listed.
func TestMaxAgeJudgesByAListingOfThatTime(t *testing.T) {
	w := newClockedWorld(t)
	w.config.RefreshInterval = 24 * time.Hour
	w.restart()
	w.awsAuth(person)
	w.rules(tempRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	w.pass(59 * time.Minute)
	w.remake("tmp-foo-1")
	w.pass(time.Minute)
	w.refresh()
	w.expectMapUsers("the first is a minute old, the second an hour", foos("tmp-foo-1"))
	w.pass(59 * time.Minute)
	w.refresh()
	w.expectMapUsers("now the first is an hour old", person)
}

// TestNobodyIsTooOldInAnOutage: without a listing it is not known who is.
func TestNobodyIsTooOldInAnOutage(t *testing.T) {
	w := newClockedWorld(t)
	w.awsAuth(person)
	w.rules(tempRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	end := w.outage()
	w.pass(59 * time.Minute)
	w.refresh()
	w.remake("tmp-foo-1")
	w.pass(10 * time.Minute)
	w.refresh()
	w.later()
	w.expectMapUsers("nothing is known of the last hour", foos("tmp-foo-1", "tmp-foo-2"))
	if status := w.get("aws-auth-refresher-status").Data["waiting"]; !strings.Contains(status, "tmp-foo-2") || !strings.Contains(status, "listed") {
		t.Errorf("the status does not say why they stay: %s", status)
	}
	end()
	w.later()
	w.expectMapUsers("the first was made again", foos("tmp-foo-1"))
}

// TestAFrozenAccountLosesNobodyToNewRules: whom other tags or groups would let
// in is not known before IAM is listed for them.
func TestAFrozenAccountLosesNobodyToNewRules(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(teamRule)
	w.createUsers("a", "b")
	w.tag("a", "team", "payments")
	w.tag("b", "team", "payments")
	w.refresh()
	both := person + entry("a", "pay", "payments") + entry("b", "pay", "payments")
	w.expectMapUsers("both have the tag", both)

	end := w.outage()
	w.tag("a", "stage", "live")
	w.rules(strings.Replace(teamRule, "team: payments", "stage: live", 1))
	w.later()
	w.expectMapUsers("who has the other tag is not known", both)
	w.approved("- arnRegex: ^arn:aws:iam::123456789012:user/b-.*$\n  username: pay\n  groups: [payments]\n")
	w.later()
	w.expectMapUsers("these rules let none of them in, whatever IAM says", person)
	w.rules(teamRule)
	end()
	w.later()
	w.expectMapUsers("both are back", both)
}

// TestAHoldWaitsForAListing: a hold that ends while IAM cannot be listed takes
// out nobody who may have got the tag back.
func TestAHoldWaitsForAListing(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(teamRule)
	want := person
	var names []string
	for _, r := range "abcdefghijkl" {
		names = append(names, string(r))
	}
	w.createUsers(names...)
	for _, name := range names {
		w.tag(name, "team", "payments")
		want += entry(name, "pay", "payments")
	}
	w.refresh()
	w.expectMapUsers("all have the tag", want)
	for _, name := range names {
		w.tag(name, "team", "billing")
	}
	w.later()
	w.expectMapUsers("twelve are held", want)
	end := w.outage()
	w.later()
	w.tag("a", "team", "payments")
	w.pass(10 * time.Minute)
	if result := w.refresh(); result.RequeueAfter < time.Second {
		t.Errorf("the next refresh is in %s, for a hold that waits for a listing", result.RequeueAfter)
	}
	w.expectMapUsers("the hold is over, but a may have its tag again", want)
	end()
	w.later()
	w.expectMapUsers("it has", person+entry("a", "pay", "payments"))
}

// TestManyEndsShareListings: users who grow too old one after the other do not
// have a large account listed for each.
func TestManyEndsShareListings(t *testing.T) {
	w := newClockedWorld(t)
	w.config.RefreshInterval = 24 * time.Hour
	w.restart()
	w.awsAuth(person)
	w.rules("- arnRegex: ^arn:aws:iam::123456789012:.*/tmp-foo-.*$\n  maxAge: 1h\n  username: foo\n")
	for i := range 2001 {
		w.createUsers(fmt.Sprintf("other-%d", i))
	}
	for i := range 12 {
		w.createUsers(fmt.Sprintf("tmp-foo-%02d", i))
		w.pass(time.Second)
	}
	w.refresh()
	before, end := w.aws.Calls("ListUsers"), w.clock.Now().Add(time.Hour)
	for w.clock.Now().Before(end) {
		w.pass(w.refresh().RequeueAfter)
	}
	w.expectMapUsers("all are too old", person)
	if n := w.aws.Calls("ListUsers") - before; n > 27 {
		t.Errorf("12 ends within 12 seconds took %d calls of 3 for a listing; want at most 2 a second", n)
	}
}
