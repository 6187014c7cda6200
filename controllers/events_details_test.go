package controllers

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// late lists what was there some listings ago.
type late struct {
	Lister
	before []principals.Listing
	by     int
}

func (l *late) List(ctx context.Context, needs rules.Needs) principals.Listing {
	l.before = append(l.before, l.Lister.List(ctx, needs))
	now := l.before[len(l.before)-1]
	old := l.before[max(0, len(l.before)-1-l.by)]
	now.Principals = old.Principals
	return now
}

// TestAnAnnouncedTagLetsIn, though listings show the tag only later.
func TestAnAnnouncedTagLetsIn(t *testing.T) {
	w := newWorldOfEvents(t)
	w.rules(teamRule)
	w.config.Lister = &late{Lister: w.config.Lister, by: 2}
	w.restart()
	w.createUsers("pat", "chris")
	w.await("users were made")
	for range 4 {
		w.pass(time.Hour + time.Minute)
		w.refresh()
	}
	w.expectMapUsers("nobody has the tag", person)
	w.emptyQueue("the users were seen")
	before := w.aws.Calls("GetAccountAuthorizationDetails")
	w.tag("pat", "team", "payments")
	w.await("a user was tagged")
	for range 2 {
		w.pass(w.refresh().RequeueAfter)
	}
	w.expectMapUsers("the listing does not show the tag yet", person)
	w.refresh()
	w.expectMapUsers("the tag lets in", person+entry("pat", "pay", "payments"))
	w.emptyQueue("the change was seen")
	if n := w.aws.Calls("GetAccountAuthorizationDetails") - before; n != 3 {
		t.Errorf("%d listings", n)
	}
}

// TestAnAnnouncedDepartureFromAGroup takes out at once: who still exists needs
// no second listing.
func TestAnAnnouncedDepartureFromAGroup(t *testing.T) {
	w := newWorldOfEvents(t)
	w.rules(opsRule)
	w.createUsers("pat")
	group, user := aws.String("ops"), aws.String("pat")
	w.must(w.iam().CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: group}))
	w.must(w.iam().AddUserToGroup(t.Context(), &iam.AddUserToGroupInput{GroupName: group, UserName: user}))
	w.refresh()
	w.expectMapUsers("in the group", person+entry("pat", "ops", "ops"))
	w.emptyQueueBy(w.refreshOnce)
	w.must(w.iam().RemoveUserFromGroup(t.Context(), &iam.RemoveUserFromGroupInput{GroupName: group, UserName: user}))
	w.emptyQueueBy(w.refreshOnce)
	w.expectMapUsers("left the group", person)
}

func (w *world) refreshOnce() { w.pass(min(w.refresh().RequeueAfter, time.Second)) }

// emptyQueueBy does something again and again until the queue is empty.
func (w *world) emptyQueueBy(do func()) {
	w.Helper()
	for range 200 {
		do()
		visible, hidden := w.aws.QueueLength("events")
		if visible+hidden == 0 {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	w.Fatal("the queue does not become empty")
}

func TestWhoseTagsChangeConcernsRulesThatLook(t *testing.T) {
	w := newWorldOfEvents(t)
	w.createUsers("tmp-foo-1")
	w.await("a user was made")
	w.refresh()
	before := w.lists()
	w.tag("tmp-foo-1", "team", "payments")
	w.emptyQueueBy(w.refreshOnce)
	if n := w.lists() - before; n > 0 {
		t.Errorf("%d listings for a tag that no rule looks at", n)
	}
}
