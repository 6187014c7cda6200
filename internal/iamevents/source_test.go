package iamevents_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/go-logr/logr/funcr"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// hasty is the real time, but who waits waits a fiftieth.
type hasty struct{ clock.RealClock }

func (c hasty) After(d time.Duration) <-chan time.Time { return c.RealClock.After(d / 50) }

// ear is a source that receives from an emulated queue, and what it says.
type ear struct {
	*testing.T
	*iamevents.Source
	aws  *fakeaws.Server
	stop func()

	mu     sync.Mutex
	lines  []string
	counts map[string]int
}

func (e *ear) EventMessage(result string)    { e.count(result) }
func (e *ear) Announced(o iamevents.Outcome) { e.count(string(o)) }
func (e *ear) EventTrouble(cause string)     { e.count(cause) }
func (e *ear) count(what string)             { e.mu.Lock(); defer e.mu.Unlock(); e.counts[what]++ }
func (e *ear) counted(what string) int       { e.mu.Lock(); defer e.mu.Unlock(); return e.counts[what] }
func (e *ear) log(prefix, args string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, args)
}
func (e *ear) logged(part string) (found []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// newEar listens at a queue that is there unless events is empty.
func newEar(t *testing.T, events string) *ear {
	t.Helper()
	e := &ear{T: t, counts: map[string]int{}}
	e.aws = fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret", Events: fakeaws.EventRule{Queue: events}})
	server := httptest.NewServer(e.aws)
	t.Cleanup(server.Close)
	e.Source = iamevents.New(iamevents.Config{
		Queue: sqs.New(sqs.Options{
			Region: "us-east-1", BaseEndpoint: aws.String(server.URL), Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
		}),
		URL: server.URL + e.aws.QueuePath("q"), Clock: hasty{}, Log: funcr.New(e.log, funcr.Options{}), Meter: e,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Start(ctx) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(e.stop)
	return e
}

func (e *ear) eventually(what string, ok func() bool) {
	e.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			e.Fatalf("still not: %s; log: %q", what, e.lines)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (e *ear) createUser(name string) {
	e.Helper()
	if _, err := e.aws.CreateUser("/", name); err != nil {
		e.Fatal(err)
	}
}

// view is a listing with these users.
func view(names ...string) iamevents.View {
	v := iamevents.View{
		Now: time.Now(), Fresh: true, Listed: func(string, rules.Kind) (time.Time, bool) { return time.Now(), true },
		Concerns: func(iamevents.Announcement) bool { return true },
	}
	for _, name := range names {
		v.Principals = append(v.Principals, rules.Principal{Kind: rules.User, AccountID: account, Name: name})
	}
	return v
}

func (e *ear) messages() int {
	visible, hidden := e.aws.QueueLength("q")
	return visible + hidden
}

func TestMessagesStayUntilTheChangeIsSeen(t *testing.T) {
	e := newEar(t, "q")
	e.createUser("tmp-1")
	e.eventually("the announcement arrives", func() bool { return !e.Settle(view()).IsZero() })
	if visible, hidden := e.aws.QueueLength("q"); visible != 0 || hidden != 1 {
		t.Errorf("%d messages are visible and %d hidden, while the user is not listed", visible, hidden)
	}
	if at := e.Settle(view("tmp-1")); !at.IsZero() {
		t.Errorf("a listing is wanted at %v", at)
	}
	e.eventually("the message is deleted", func() bool { return e.messages() == 0 })
	if n := e.counted("event"); n != 1 {
		t.Errorf("counts %d events", n)
	}
}

func TestWhatHasNotEndedIsGivenBack(t *testing.T) {
	e := newEar(t, "q")
	e.createUser("tmp-1")
	e.eventually("the announcement arrives", func() bool { return !e.Settle(view()).IsZero() })
	e.stop()
	if visible, _ := e.aws.QueueLength("q"); visible != 1 {
		t.Error("the next leader does not see the message")
	}
}

func TestABurstIsOneAwakening(t *testing.T) {
	e := newEar(t, "q")
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	for _, name := range names {
		e.createUser(name)
	}
	e.eventually("all have arrived", func() bool { return e.counted("event") == len(names) })
	select {
	case <-e.Wake():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was woken")
	}
	e.Settle(view(names...))
	e.eventually("all are deleted", func() bool { return e.messages() == 0 })
	if n := e.counted("seen"); n != len(names) {
		t.Errorf("%d were seen", n)
	}
}

func TestPoisonIsDroppedWithFewWords(t *testing.T) {
	e := newEar(t, "q")
	for range 20 {
		if err := e.aws.SendMessage("q", "poison\n"+strings.Repeat("x", 10000)); err != nil {
			t.Fatal(err)
		}
	}
	e.createUser("tmp-1")
	e.eventually("the poison is gone and the event is not", func() bool { return e.messages() == 1 && e.counted("event") == 1 })
	lines := e.logged("dropped")
	if len(lines) == 0 || len(lines) > 10 || e.counted("poison") != 20 {
		t.Errorf("%d lines, %d counted", len(lines), e.counted("poison"))
	}
	for _, line := range lines {
		if len(line) > 500 || strings.Contains(line, "xxxxxxxx") {
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
}

func TestTroubleIsToldOnceForEachCause(t *testing.T) {
	e := newEar(t, "")
	healthy := func() bool { return e.Health() == iamevents.Health{Known: true} }
	troubled := func(cause string) {
		t.Helper()
		before := len(e.logged("trouble"))
		e.eventually(cause, func() bool { return e.Health().Cause == cause })
		n := e.counted(cause)
		e.eventually("it is tried again", func() bool { return e.counted(cause) >= n+3 })
		if lines := e.logged("trouble"); len(lines) > before+1 {
			t.Errorf("%s: %q", cause, lines[before:])
		}
		if text := e.Health().Message(); !strings.Contains(text, "still listed every interval") {
			t.Errorf("%s: %q does not say that polling goes on", cause, text)
		}
	}
	troubled(iamevents.QueueMissing)
	e.aws.SendEvents(fakeaws.EventRule{Queue: "q"})
	e.eventually("it works once the queue is there", healthy)
	for _, row := range []struct {
		effect fakeaws.Effect
		cause  string
	}{
		{fakeaws.Denied, iamevents.Denied},
		{fakeaws.Throttled, iamevents.Throttled},
		{fakeaws.Failing, iamevents.Unreachable},
		{fakeaws.Dropped, iamevents.Unreachable},
	} {
		e.aws.Inject(fakeaws.Fault{Action: "ReceiveMessage", Effect: row.effect})
		e.createUser("tmp-" + strings.ReplaceAll(string(row.effect), " ", "-")) // ends the poll under way
		troubled(row.cause)
		e.aws.ClearFaults()
		e.eventually("it works again after: "+row.cause, healthy)
	}
}

func TestMessagesThatMayNotBeDeletedAreToldOf(t *testing.T) {
	e := newEar(t, "q")
	e.aws.Inject(fakeaws.Fault{Action: "DeleteMessageBatch", Effect: fakeaws.Denied})
	e.createUser("tmp-1")
	e.eventually("the announcement arrives", func() bool { return e.counted("event") == 1 })
	e.Settle(view("tmp-1"))
	e.eventually("it is told", func() bool { return e.Health().Cause == iamevents.Denied })
	if n := len(e.logged("trouble")); n != 1 {
		t.Errorf("%d lines", n)
	}
}
