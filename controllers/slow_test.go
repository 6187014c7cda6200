package controllers

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// gated is an IAM whose listings do not end before the gate opens.
type gated struct {
	*principals.Lister
	mu    sync.Mutex
	gate  chan struct{} // nil: open
	lists int
	ended chan struct{} // gets a value when a listing ends
}

func (g *gated) List(ctx context.Context, needs rules.Needs) principals.Listing {
	g.mu.Lock()
	gate := g.gate
	g.lists++
	g.mu.Unlock()
	l := g.Lister.List(ctx, needs)
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		defer func() { g.ended <- struct{}{} }()
	}
	return l
}

func (g *gated) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gate := make(chan struct{})
	g.gate = gate
	return func() {
		g.mu.Lock()
		g.gate = nil
		g.mu.Unlock()
		close(gate)
	}
}

func newGatedWorld(t *testing.T) (*world, *gated) {
	t.Helper()
	w := newWorld(t)
	g := &gated{Lister: w.lister(), ended: make(chan struct{}, 10)}
	w.config.Lister, w.config.RefreshInterval = g, time.Second // which is waited for a third of that
	w.restart()
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	return w, g
}

// TestASlowListingHoldsUpNoEdit: while IAM is being listed, edits of the rules and
// of aws-auth are carried out by the listing before, and it is said that it takes
// long. There is one listing at a time.
func TestASlowListingHoldsUpNoEdit(t *testing.T) {
	w, g := newGatedWorld(t)
	open := g.shut()
	w.createUsers("tmp-foo-2")
	w.pass(16 * time.Second)
	w.refresh()
	before := g.lists
	w.rules(strings.Replace(fooRule, "system:masters", "viewers", 1))
	w.refresh()
	right := person + entry("tmp-foo-1", "foo", "viewers")
	w.expectMapUsers("who is to be no administrator any longer is none", right)
	w.awsAuth(person)
	w.refresh()
	w.expectMapUsers("what somebody took out is put back", right)
	if c := w.condition(ConditionPrincipalsListed); c.Status != metav1.ConditionTrue {
		t.Errorf("not slow yet: %+v", c)
	}
	w.pass(slowListing)
	next := w.refresh().RequeueAfter
	if c := w.condition(ConditionPrincipalsListed); c.Status != metav1.ConditionFalse || c.Reason != "Slow" || !strings.Contains(c.Message, "a listing of IAM") {
		t.Errorf("condition %+v", c)
	}
	if c := w.condition(ConditionApplied); c.Status != metav1.ConditionTrue {
		t.Errorf("the API server is not to blame: %+v", c)
	}
	if next < 500*time.Millisecond {
		t.Errorf("the next refresh comes in %s, although nothing is due before the listing ends", next)
	}
	if g.lists != before {
		t.Errorf("%d listings at a time", g.lists-before+1)
	}

	open()
	<-g.ended
	<-w.refresher.listing.ended // asks for the refresh that takes it over
	w.refresh()
	w.expectMapUsers("and then who is new gets in", right+entry("tmp-foo-2", "foo", "viewers"))
	if c := w.condition(ConditionPrincipalsListed); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
}

// TestRulesThatLookAtMoreConcludeNothingBeforeItIsListed: the listing before knows
// no tags.
func TestRulesThatLookAtMoreConcludeNothingBeforeItIsListed(t *testing.T) {
	w, g := newGatedWorld(t)
	in := w.mapUsers()
	w.tag("tmp-foo-1", "team", "payments")
	open := g.shut()
	w.rules(strings.Replace(fooRule, "  username", "  tags: {team: payments}\n  username", 1))
	w.refresh()
	w.expectMapUsers("her tags are not known", in)
	open()
	<-g.ended
	w.refresh()
	w.expectMapUsers("and when they are she has the right one", in)
}

// TestAListingThatEndsWithTheProcess: whoever stops the controller need not wait.
func TestAListingEndsWithTheController(t *testing.T) {
	w, g := newGatedWorld(t)
	defer g.shut()()
	life, stop := context.WithCancel(t.Context())
	w.refresher.listing.life = life //nolint:fatcontext // as the controller does when it starts
	w.pass(16 * time.Second)
	w.refresh()
	stop()
	<-g.ended
}
