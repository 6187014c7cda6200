package demo

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	eventsQueue = "iam-events"
	// eventsReceived is the condition of a controller that hears events.
	eventsReceived = "EventsReceived"
	// announcedUser is made while IAM's events are heard.
	announcedUser = "tmp-foo-announced"
	// rareInterval is that of the controller meanwhile: no listing on time falls
	// into what is measured.
	rareInterval = time.Minute
)

// hearEvents has a user come while IAM is listed rarely, but its events are heard.
func hearEvents(ctx context.Context, w *world) error {
	w.emulator.aws.SendEvents(fakeaws.EventRule{Queue: eventsQueue})
	defer w.emulator.aws.SendEvents(fakeaws.EventRule{})
	url := w.emulator.url + w.emulator.aws.QueuePath(eventsQueue)
	if err := w.refresher.restart("--refresh-interval", rareInterval.String(), "--events-queue-url", url); err != nil {
		return err
	}
	w.note("the controller runs with --refresh-interval %s\n--events-queue-url %s", rareInterval, url)
	if _, err := w.awaitCondition(ctx, eventsReceived, isTrue); err != nil {
		return err
	}
	begun := time.Now()
	arn, err := w.createUser(ctx, announcedUser)
	if err != nil {
		return err
	}
	if _, err := w.awaitEntries(ctx, true, arn); err != nil {
		return err
	}
	took := time.Since(begun)
	if took >= rareInterval/2 {
		return fmt.Errorf("%s got in %s after CreateUser: that was a listing on time, and no event", announcedUser, brief(took))
	}
	w.note("%s after CreateUser %s is in; without its event it would have waited\n"+
		"for the next listing, 30 s on average and up to a minute\n"+
		"(the emulator tells at once, AWS itself within seconds)", brief(took), announcedUser)
	if err := w.refresher.restart(); err != nil {
		return err
	}
	return w.awaitNoEvents(ctx)
}

// awaitNoEvents waits until a controller has the Lease that hears no events.
// One that is ended while it gets the Lease leaves it to run out.
func (w *world) awaitNoEvents(ctx context.Context) error {
	_, err := w.await(ctx, statusName, func(cm *corev1.ConfigMap) bool {
		return meta.FindStatusCondition(conditionsOf(cm), eventsReceived) == nil
	})
	return err
}
