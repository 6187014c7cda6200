package controllers

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
)

// setClock tells the time of a world, and waits in real time.
type setClock struct {
	clock.RealClock
	clock.PassiveClock
}

func (c setClock) Now() time.Time                  { return c.PassiveClock.Now() }
func (c setClock) Since(t time.Time) time.Duration { return c.PassiveClock.Since(t) }

// source receives what the emulator sends to the queue of that name.
func (w *world) source(queue string, c clock.Clock) *iamevents.Source {
	return iamevents.New(iamevents.Config{
		Queue: sqs.NewFromConfig(w.sdk("AKIAADMIN", "secret")),
		URL:   w.awsURL + w.aws.QueuePath(queue), Clock: c, Log: logr.Discard(), Meter: w.config.Metrics,
	})
}

// listens has the refresher listen to the queue of events, and rarely list IAM unasked.
func (w *world) listens() {
	w.Helper()
	source := w.source("events", setClock{PassiveClock: w.clock})
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- source.Start(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	w.config.Announcements, w.config.RefreshInterval = source, time.Hour
	w.restart()
}

// newWorldOfEvents has one user let in, and its queue is read.
func newWorldOfEvents(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.aws.SendEvents(fakeaws.EventRule{Queue: "events"})
	w.awsAuth(person)
	w.rules(fooRule)
	w.listens()
	w.refresh()
	w.await("the queue is read")
	return w
}

// await waits until the announcements wake the refresher.
func (w *world) await(what string) {
	w.Helper()
	select {
	case <-w.config.Announcements.Wake():
	case <-time.After(30 * time.Second):
		w.Fatalf("the refresher was not woken: %s", what)
	}
}

func (w *world) lists() int { return w.aws.Calls("ListUsers") }

func (w *world) emptyQueue(reason string) {
	w.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		visible, hidden := w.aws.QueueLength("events")
		if visible+hidden == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: %d messages are visible and %d hidden", reason, visible, hidden)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func counted(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	found, err := reg.Gather()
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	return found[0].GetMetric()[0].GetCounter().GetValue()
}

func TestAnAnnouncedUserIsLetInWithoutWaitingForTheInterval(t *testing.T) {
	w := newWorldOfEvents(t)
	before := w.lists()
	w.createUsers("tmp-foo-1")
	w.await("a user was made")
	w.refresh()
	w.expectMapUsers("the user is in at once", person+entry("tmp-foo-1", "foo", "system:masters"))
	if n := w.lists() - before; n != 1 {
		t.Errorf("%d listings for one user", n)
	}
	w.emptyQueue("the change was seen")
	if n := counted(t, w.config.Metrics.announcements.WithLabelValues("seen")); n != 1 {
		t.Errorf("%v announcements were seen", n)
	}
}

func TestListingIsRepeatedUntilItShowsWhatWasAnnounced(t *testing.T) {
	w := newWorldOfEvents(t)
	w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Times: 2, Effect: fakeaws.EmptyListing})
	w.createUsers("tmp-foo-1")
	w.await("a user was made")
	last := time.Duration(0)
	for range 2 {
		res := w.refresh()
		w.expectMapUsers("not listed yet", person)
		if res.RequeueAfter <= last || res.RequeueAfter > time.Second {
			t.Errorf("lists again after %v, before that after %v", res.RequeueAfter, last)
		}
		if _, hidden := w.aws.QueueLength("events"); hidden != 1 {
			t.Error("the message is gone before the change was seen")
		}
		last = res.RequeueAfter
		w.pass(last)
	}
	w.refresh()
	w.expectMapUsers("listed at last", person+entry("tmp-foo-1", "foo", "system:masters"))
	w.emptyQueue("the change was seen")
}

func TestRepetitionEnds(t *testing.T) {
	w := newWorldOfEvents(t)
	w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.EmptyListing})
	w.createUsers("tmp-foo-1")
	w.await("a user was made")
	before := w.lists()
	for range 100 {
		res := w.refresh()
		if res.RequeueAfter > 30*time.Minute {
			break
		}
		w.pass(res.RequeueAfter)
	}
	if n := w.lists() - before; n > 20 || n < 5 {
		t.Errorf("%d listings for one user who is not shown", n)
	}
	w.emptyQueue("the repetition ended")
	w.aws.ClearFaults()
	w.pass(2 * time.Hour)
	w.refresh()
	w.expectMapUsers("polling finds it", person+entry("tmp-foo-1", "foo", "system:masters"))
}

func TestAnAnnouncedDeletionIsActedOnAfterTwoListings(t *testing.T) {
	w := newWorldOfEvents(t)
	w.createUsers("tmp-foo-1")
	w.await("a user was made")
	w.refresh()
	w.emptyQueue("the change was seen")
	w.deleteUsers("tmp-foo-1")
	w.await("the user was deleted")
	res := w.refresh()
	w.expectMapUsers("one listing is no proof", person+entry("tmp-foo-1", "foo", "system:masters"))
	if res.RequeueAfter < 10*time.Second || res.RequeueAfter > 12*time.Second {
		t.Errorf("lists again after %v", res.RequeueAfter)
	}
	w.pass(res.RequeueAfter)
	w.refresh()
	w.expectMapUsers("two listings and IAM's answer are", person)
	w.emptyQueue("the change was seen")
}

func TestWhoConcernsNobodyCostsNoListing(t *testing.T) {
	w := newWorldOfEvents(t)
	before := w.lists()
	w.createUsers("somebody")
	if _, err := w.aws.CreateRole("/", "some-role", ""); err != nil {
		t.Fatal(err)
	}
	w.deleteUsers("somebody")
	for range 3 { // three messages may come in three parts
		select {
		case <-w.config.Announcements.Wake():
		case <-time.After(100 * time.Millisecond):
		}
		w.refresh()
	}
	w.refresh()
	w.emptyQueue("nobody is concerned")
	if n := w.lists() - before; n != 0 {
		t.Errorf("%d listings", n)
	}
}

func TestAForgedEventIsOnlyALook(t *testing.T) {
	w := newWorldOfEvents(t)
	forged := `{"source":"aws.iam","detail-type":"AWS API Call via CloudTrail","detail":{"eventVersion":"1.11",` +
		`"eventSource":"iam.amazonaws.com","eventName":"%","eventTime":"2026-11-22T03:00:01Z","recipientAccountId":"123456789012",` +
		`"requestParameters":{"userName":"tmp-foo-@"},"responseElements":{"user":{"arn":"arn:aws:iam::123456789012:user/tmp-foo-@","userId":"AIDAX"}}}}`
	w.createUsers("tmp-foo-1")
	w.await("a user was made")
	w.refresh()
	for name, action := range map[string]string{"1": "DeleteUser", "2": "CreateUser"} {
		if err := w.aws.SendMessage("events", strings.NewReplacer("%", action, "@", name).Replace(forged)); err != nil {
			t.Fatal(err)
		}
	}
	w.await("events came")
	for range 30 {
		w.pass(min(w.refresh().RequeueAfter, time.Minute))
	}
	w.expectMapUsers("who is there stays, and nobody else comes", person+entry("tmp-foo-1", "foo", "system:masters"))
	w.emptyQueue("the repetition ended")
}

func TestTroubleWithTheQueueHarmsNothingElse(t *testing.T) {
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule)
	w.listens() // there is none
	w.refresh()
	w.await("the queue is missing")
	w.createUsers("tmp-foo-1")
	w.pass(2 * time.Hour)
	w.refresh()
	w.expectMapUsers("polling goes on", person+entry("tmp-foo-1", "foo", "system:masters"))
	if c := w.condition(ConditionEventsReceived); c.Status != metav1.ConditionFalse || c.Reason != iamevents.QueueMissing {
		t.Errorf("condition %+v", c)
	}
	if c := w.condition(ConditionDegraded); c.Status != metav1.ConditionFalse {
		t.Errorf("condition %+v", c)
	}
	if n := counted(t, w.config.Metrics.trouble.WithLabelValues(iamevents.QueueMissing)); n < 1 {
		t.Errorf("%v errors are counted", n)
	}
	if n := w.events.count("Warning EventsReceivedQueueMissing"); n != 1 {
		t.Errorf("%d events say so", n)
	}
	w.aws.SendEvents(fakeaws.EventRule{Queue: "events"})
	w.await("the queue is there")
	w.refresh()
	if c := w.condition(ConditionEventsReceived); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v", c)
	}
	w.config.Announcements = nil
	w.restart()
	w.refresh()
	if text := w.get("aws-auth-refresher-status").Data["conditions"]; strings.Contains(text, ConditionEventsReceived) {
		t.Error("the condition stays without a queue")
	}
}

// manage runs the refresher by a manager, in real time, until stopped.
func (w *world) manage(interval time.Duration, queue string) (stop func()) {
	w.Helper()
	c := w.config
	ctrl.SetLogger(logr.Discard())
	c.Clock, c.RefreshInterval, c.Watch = clock.RealClock{}, interval, w.core.RESTClient()
	mgr, err := ctrl.NewManager(rest.CopyConfig(bed.RESTConfig()), ctrl.Options{
		Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		w.Fatal(err)
	}
	if queue != "" {
		source := w.source(queue, clock.RealClock{})
		if err := mgr.Add(source); err != nil {
			w.Fatal(err)
		}
		c.Announcements = source
	}
	if err := NewReconciler(c).SetupWithManager(mgr); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// TestEventsDriveAManagedRefresher: nothing but events can be what lets these
// users in, since IAM is listed once an hour and lags.
func TestEventsDriveAManagedRefresher(t *testing.T) {
	w := newWorld(t)
	w.aws.SendEvents(fakeaws.EventRule{Queue: "events", Delay: 50 * time.Millisecond})
	w.aws.SetLag(fakeaws.Lag{List: 300 * time.Millisecond})
	w.awsAuth(person)
	w.rules(fooRule)
	w.manage(time.Hour, "events")
	for _, name := range []string{"tmp-foo-1", "tmp-foo-2"} {
		w.createUsers(name)
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(w.mapUsers(), "user/"+name+"\n"); {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not let in: %s", name, w.mapUsers())
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	w.emptyQueue("the changes were seen")
}
