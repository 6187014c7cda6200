package iamevents

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

// Queue is what is used of SQS; *sqs.Client is one.
type Queue interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// Meter counts what happens, for metrics.
type Meter interface {
	// EventMessage counts a message that was received: event, nothing (an event
	// that announces nothing) or poison.
	EventMessage(result string)
	// Announced counts an announcement that ended.
	Announced(Outcome)
	// EventTrouble counts a call to the queue that failed, by its cause.
	EventTrouble(cause string)
}

// Config configures a Source.
type Config struct {
	Queue Queue
	// URL is the queue's.
	URL   string
	Clock clock.Clock
	Log   logr.Logger
	Meter Meter
}

const (
	batch    = 10               // messages that SQS takes or gives at once
	pollTime = 20 * time.Second // the longest that SQS allows
	// shortPoll is for finding out whether the queue can be read at all.
	shortPoll = time.Second
	// callTime ends a call, with its retries, that hangs.
	callTime = 15 * time.Second
	// hidden is how long others do not see a message that we have; it is
	// prolonged while we wait. After a crash it is lost to others as long.
	hidden  = time.Minute
	prolong = hidden / 2
	tend    = 5 * time.Second // how often that is looked after

	minBackoff = time.Second
	maxBackoff = time.Minute
)

// Source receives announcements from a queue. Its messages are deleted when
// what they announce was seen in a listing, concerns nobody, or did not show in
// as many listings as are worth it.
type Source struct {
	Config
	tracker  *tracker
	health   healthState
	wake     chan struct{}
	finished chan struct{}
	poisoned window
	unseen   window
}

// New returns a Source that has received nothing yet.
func New(c Config) *Source {
	s := &Source{Config: c, wake: make(chan struct{}, 1), finished: make(chan struct{}, 1)}
	s.tracker = newTracker(func(o Outcome, a Announcement) {
		c.Meter.Announced(o)
		level := 1
		if o == Unseen && s.unseen.open(c.Clock.Now()) {
			level = 0
		}
		c.Log.V(level).Info("announcement ended", "outcome", o, "announced", a.Verb, "kind", a.Kind, "account", a.AccountID, "name", a.Name)
	})
	return s
}

// Wake gets a value when there is something new: announcements, or another
// Health.
func (s *Source) Wake() <-chan struct{} { return s.wake }

// Settle ends the announcements that a view of IAM answers, and returns when to
// list IAM for the rest; zero: there are none.
func (s *Source) Settle(v View) time.Time {
	next := s.tracker.settle(v)
	signal(s.finished)
	return next
}

// Health tells whether the queue can be read.
func (s *Source) Health() Health { return s.health.get() }

// Start receives until ctx ends; then it gives back what it has not ended. It
// returns no error: a queue that cannot be read is tried again, more and more
// rarely, and Health says why.
func (s *Source) Start(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { s.receive(ctx) })
	group.Go(func() { s.tend(ctx) })
	group.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	s.remove(last, s.tracker.take())
	s.hide(last, s.tracker.release(), 0)
	return nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *Source) receive(ctx context.Context) {
	backoff := minBackoff
	wait := shortPoll
	for ctx.Err() == nil {
		if s.tracker.full() {
			s.pause(ctx, tend)
			continue
		}
		err := s.poll(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if s.trouble(receiving, err); err != nil {
			s.pause(ctx, backoff)
			backoff, wait = min(2*backoff, maxBackoff), shortPoll
			continue
		}
		backoff, wait = minBackoff, pollTime
	}
}

func (s *Source) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-s.Clock.After(d):
	}
}

// poll waits for messages and takes in those that come.
func (s *Source) poll(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait+callTime)
	defer cancel()
	hiddenUntil := s.Clock.Now().Add(hidden)
	out, err := s.Queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &s.URL, MaxNumberOfMessages: batch, VisibilityTimeout: int32(hidden / time.Second), WaitTimeSeconds: int32(wait / time.Second),
	})
	if err != nil {
		return err
	}
	news := false
	for _, m := range out.Messages {
		announced := s.parse(m)
		news = news || len(announced) > 0
		s.tracker.add(s.Clock.Now(), message{id: aws.ToString(m.MessageId), receipt: aws.ToString(m.ReceiptHandle), hiddenUntil: hiddenUntil}, announced)
	}
	if news {
		signal(s.wake)
	}
	if len(out.Messages) > 0 {
		signal(s.finished)
	}
	return nil
}

// parse reads a message. What is no event is dropped, with a line in the log
// unless there are many.
func (s *Source) parse(m types.Message) []Announcement {
	announced, err := Parse(aws.ToString(m.Body))
	switch {
	case err != nil:
		s.Meter.EventMessage("poison")
		if s.poisoned.open(s.Clock.Now()) {
			s.Log.Info("dropped a message that is no event of IAM", "message", quote(aws.ToString(m.MessageId)), "reason", err.Error())
		}
	case len(announced) == 0:
		s.Meter.EventMessage("nothing")
	default:
		s.Meter.EventMessage("event")
	}
	return announced
}

// tend deletes what has ended and keeps hidden what has not.
func (s *Source) tend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.finished:
		case <-s.Clock.After(tend):
			now := s.Clock.Now()
			s.hide(ctx, s.tracker.extend(now.Add(prolong), now.Add(hidden)), hidden)
		}
		s.remove(ctx, s.tracker.take())
	}
}

// remove deletes messages. One that cannot be deleted comes again, ends at
// once, and is tried again.
func (s *Source) remove(ctx context.Context, receipts []string) {
	for chunk := range chunks(receipts) {
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &s.URL}
		for i, r := range chunk {
			in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: entryID(i), ReceiptHandle: &r})
		}
		callCtx, cancel := context.WithTimeout(ctx, callTime)
		_, err := s.Queue.DeleteMessageBatch(callCtx, in)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.trouble(deleting, err)
	}
}

// hide hides messages from others for so long. If that fails they come again.
func (s *Source) hide(ctx context.Context, receipts []string, span time.Duration) {
	for chunk := range chunks(receipts) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &s.URL}
		for i, r := range chunk {
			in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: entryID(i), ReceiptHandle: &r, VisibilityTimeout: int32(span / time.Second),
			})
		}
		callCtx, cancel := context.WithTimeout(ctx, callTime)
		_, err := s.Queue.ChangeMessageVisibilityBatch(callCtx, in)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.trouble(prolonging, err)
	}
}
