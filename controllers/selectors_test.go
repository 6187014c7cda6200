package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	tempRule = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-.*$\n  maxAge: 1h\n  username: foo\n  groups: [system:masters]\n"
	teamRule = "- tags: {team: payments}\n  username: pay\n  groups: [payments]\n"
	opsRule  = "- iamGroups: [ops]\n  username: ops\n  groups: [ops]\n"
)

// person and these users as foo.
func foos(names ...string) string {
	text := person
	for _, name := range names {
		text += entry(name, "foo", "system:masters")
	}
	return text
}

func (w *world) iam() *iam.Client { return iam.NewFromConfig(w.sdk("AKIAADMIN", "secret")) }

func (w *world) must(_ any, err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) tag(user, key, value string) {
	w.Helper()
	w.must(w.iam().TagUser(w.Context(), &iam.TagUserInput{UserName: &user, Tags: []types.Tag{{Key: &key, Value: &value}}}))
}

// TestMaxAgeIsTheMoment: who is too old goes when that is so. The refresher is
// awake then, and lists IAM: who was made again is not too old.
func TestMaxAgeIsTheMoment(t *testing.T) {
	w := newWorld(t)
	w.config.RefreshInterval = 24 * time.Hour
	w.restart()
	w.awsAuth(person)
	w.rules(tempRule)
	first, err := w.aws.CreateUser("/", "tmp-foo-1")
	if err != nil {
		t.Fatal(err)
	}
	w.refresh()
	w.expectMapUsers("young enough", foos("tmp-foo-1"))
	end := first.CreateDate.Add(time.Hour)
	if got, want := w.refresh().RequeueAfter, end.Sub(w.clock.Now()); got != want {
		t.Errorf("the next refresh is in %s, and %s ends its time", got, want)
	}

	w.clock.SetTime(end.Add(-time.Nanosecond))
	w.refresh()
	w.expectMapUsers("a moment before", foos("tmp-foo-1"))
	calls := w.aws.Calls("ListUsers") + w.aws.Calls("GetUser")
	w.clock.SetTime(end)
	w.refresh()
	w.expectMapUsers("at that moment", person)
	if n := w.aws.Calls("ListUsers") + w.aws.Calls("GetUser"); n != calls+1 {
		t.Errorf("IAM was asked %d times for one listing", n-calls)
	}
	if w.events.count("EntriesRemoved: removed what is older than its rule's maxAge: arn:aws:iam::123456789012:user/tmp-foo-1 as foo") != 1 {
		t.Errorf("no event tells why: %q", w.events.notes)
	}
	if status := w.get("aws-auth-refresher-status").Data["rules"]; !strings.Contains(status, "tooOld: 1") {
		t.Errorf("the status does not count it: %s", status)
	}
	w.refresh() // the record is brought up to date
	writes := w.writes()
	w.pass(time.Minute)
	w.refresh()
	if n := w.writes(); n != writes {
		t.Errorf("%d writes although nothing changes", n-writes)
	}
}

// TestOldOnesGoTogether: age is no slip of the pen, so the breaker leaves it
// alone; an edited maxAge is one.
func TestOldOnesGoTogether(t *testing.T) {
	var users []string
	for i := range 30 {
		users = append(users, fmt.Sprintf("tmp-foo-%02d", i))
	}
	start := func(t *testing.T) *world {
		t.Helper()
		w := newWorld(t)
		w.awsAuth(person)
		w.rules(tempRule)
		w.createUsers(users...)
		w.refresh()
		w.expectMapUsers("all are young", foos(users...))
		return w
	}
	t.Run("age", func(t *testing.T) {
		w := start(t)
		w.pass(time.Hour)
		w.refresh()
		w.expectMapUsers("all of them are too old at once", person)
		if c := w.condition(ConditionRemovalHeld); c.Status != "False" {
			t.Errorf("held: %+v", c)
		}
	})
	t.Run("edit", func(t *testing.T) {
		w := start(t)
		w.pass(10 * time.Minute)
		w.rules(strings.Replace(tempRule, "1h", "1m", 1))
		w.refresh()
		w.expectMapUsers("an edit that makes them too old is held", foos(users...))
		if c := w.condition(ConditionRemovalHeld); c.Status != "True" {
			t.Errorf("not held: %+v", c)
		}
		w.pass(10 * time.Minute)
		w.refresh()
		w.expectMapUsers("for as long as others are", person)
	})
}

// TestAgesNeedAClock: while our clock is far from AWS's nobody goes for age,
// and nobody old comes.
func TestAgesNeedAClock(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(tempRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.skew = -2 * time.Hour
	w.pass(2 * time.Hour)
	w.refresh()
	w.expectMapUsers("our clock went ahead by two hours, AWS's did not", foos("tmp-foo-1"))
	c := w.condition(ConditionDegraded)
	if c.Status != "True" || c.Reason != "ClockDiffers" || w.events.count("DegradedClockDiffers") != 1 {
		t.Errorf("nobody hears of it: %+v", c)
	}
	w.createUsers("tmp-foo-2")
	w.later()
	w.expectMapUsers("AWS's clock says that this one is new", foos("tmp-foo-1", "tmp-foo-2"))

	w.skew = 2 * time.Hour
	w.later()
	w.createUsers("tmp-foo-3")
	w.later()
	w.expectMapUsers("by AWS's clock, this one is old when it comes", foos("tmp-foo-1", "tmp-foo-2"))

	w.skew = 4 * time.Minute
	w.later()
	w.expectMapUsers("4 minutes are no matter", person)
	if c := w.condition(ConditionDegraded); c.Status != "False" {
		t.Errorf("still %+v", c)
	}
}

// TestIAMGroupsTagsAndBoundaries come and go with what IAM says.
func TestIAMGroupsTagsAndBoundaries(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.createUsers("a", "b")
	const boundary = "arn:aws:iam::123456789012:policy/limits"
	w.rules(teamRule + opsRule + "- permissionsBoundary: " + boundary + "\n  username: limited\n  groups: [limited]\n")
	w.must(w.iam().CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: aws.String("Ops")}))
	w.refresh()
	w.expectMapUsers("nobody has any of it", person)

	w.tag("a", "Team", "payments")
	w.must(w.iam().AddUserToGroup(t.Context(), &iam.AddUserToGroupInput{GroupName: aws.String("Ops"), UserName: aws.String("b")}))
	w.later()
	w.expectMapUsers("a has the tag, b is in the group", person+entry("a", "pay", "payments")+entry("b", "ops", "ops"))

	w.must(w.iam().PutUserPermissionsBoundary(t.Context(), &iam.PutUserPermissionsBoundaryInput{
		UserName: aws.String("b"), PermissionsBoundary: aws.String(boundary)}))
	w.tag("a", "team", "billing")
	w.later()
	w.expectMapUsers("a lost its tag and goes at once; b is limited, too", person+entry("b", "ops", "ops", "limited"))
	if w.aws.Calls("ListUsers") != 0 || w.aws.Calls("GetAccountAuthorizationDetails") != 3 || w.aws.Calls("GetUser") != 0 {
		t.Errorf("%d listings of details in 3 refreshes", w.aws.Calls("GetAccountAuthorizationDetails"))
	}

	w.must(w.iam().RemoveUserFromGroup(t.Context(), &iam.RemoveUserFromGroupInput{GroupName: aws.String("Ops"), UserName: aws.String("b")}))
	w.must(w.iam().DeleteUserPermissionsBoundary(t.Context(), &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("b")}))
	w.later()
	w.expectMapUsers("b lost both", person)
}

// TestManyLoseTheirTag: that is no longer granted, so the breaker holds it.
func TestManyLoseTheirTag(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(teamRule)
	want := person
	for i := range 12 {
		name := fmt.Sprintf("u-%02d", i)
		w.createUsers(name)
		w.tag(name, "team", "payments")
		want += entry(name, "pay", "payments")
	}
	w.refresh()
	w.expectMapUsers("everybody is in", want)
	for i := range 12 {
		w.tag(fmt.Sprintf("u-%02d", i), "team", "none")
	}
	w.later()
	w.expectMapUsers("more than 10 and more than half", want)
	if c := w.condition(ConditionRemovalHeld); c.Status != "True" {
		t.Errorf("not held: %+v", c)
	}
	w.pass(10 * time.Minute)
	w.refresh()
	w.expectMapUsers("held long enough", person)
}

// TestDetailsThatCannotBeListed: rules that begin to look at tags conclude
// nothing from principals whose tags nobody knows.
func TestDetailsThatCannotBeListed(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.config.Removal.MaxPercent = 100 // no breaker for the last administrator
	w.restart()
	w.tag("tmp-foo-1", "team", "payments")
	w.aws.Inject(fakeaws.Fault{Action: "GetAccountAuthorizationDetails", Effect: fakeaws.Denied})
	w.rules(strings.Replace(fooRule, "  username", "  tags: {team: payments}\n  username", 1))
	for range 4 {
		w.later()
		w.expectMapUsers("nothing is known of its tags", foos("tmp-foo-1"))
	}
	c := w.condition(ConditionPrincipalsListed)
	if c.Status != "False" || !strings.Contains(c.Message, "AccessDenied") {
		t.Errorf("nobody hears of it: %+v", c)
	}
	w.aws.ClearFaults()
	w.later()
	w.expectMapUsers("its tags are right", foos("tmp-foo-1"))
	w.tag("tmp-foo-1", "team", "none")
	w.later()
	w.expectMapUsers("its tag is gone", person)
}
