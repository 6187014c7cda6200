package leader_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/leader"
)

var bed *controlplane.ControlPlane

func TestMain(m *testing.M) {
	os.Exit(controlplane.Main(m, controlplane.Config{}, &bed))
}

// wire is a candidate's way to the API server. While it is held up, requests wait
// on it, and whoever sent them may give them up: they arrive nevertheless, when
// it is let go.
type wire struct {
	next http.RoundTripper
	mu   sync.Mutex
	open chan struct{} // closed: nothing is held up
	n    int           // requests that were answered
	late sync.WaitGroup
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	select {
	case <-open:
	default:
		return w.later(r, open)
	}
	resp, err := w.next.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return resp, err
}

func (w *wire) later(r *http.Request, open <-chan struct{}) (*http.Response, error) {
	type answer struct {
		resp *http.Response
		err  error
	}
	answers := make(chan answer, 1)
	arriving := r.Clone(context.WithoutCancel(r.Context()))
	if r.GetBody != nil {
		var err error
		if arriving.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	w.late.Go(func() {
		<-open
		resp, err := w.next.RoundTrip(arriving) //nolint:bodyclose // whoever still waits closes it
		answers <- answer{resp, err}
	})
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (w *wire) holdUp() (letGo func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	open := make(chan struct{})
	w.open = open
	return func() {
		close(open)
		w.late.Wait()
	}
}

func (w *wire) answered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// crown is worn by whoever works now.
type crown struct {
	mu   sync.Mutex
	on   map[string]bool
	most int
}

func (c *crown) put(name string, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on == nil {
		c.on = map[string]bool{}
	}
	if c.on[name] = on; !on {
		delete(c.on, name)
	}
	c.most = max(c.most, len(c.on))
}

func (c *crown) wornBy(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.on[name]
}

// candidate is a replica.
type candidate struct {
	*wire
	stop  func() error // waits until it has stopped
	mu    sync.Mutex
	lines []string
}

func (c *candidate) log(_, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

// logged are the lines with a part.
func (c *candidate) logged(part string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var with []string
	for _, line := range c.lines {
		if strings.Contains(line, part) {
			with = append(with, line)
		}
	}
	return with
}

// stand has a candidate stand for the Lease until the test ends. The times leave
// some seconds between the end of a term and the next one's begin, more than a
// busy machine sleeps.
func stand(t *testing.T, lease string, work func(context.Context) error) *candidate {
	t.Helper()
	open := make(chan struct{})
	close(open)
	c := &candidate{wire: &wire{open: open}}
	cluster := rest.CopyConfig(bed.RESTConfig())
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
		c.next = next
		return c.wire
	})
	config := leader.Config{
		Cluster: cluster, Namespace: "default", Name: lease, Log: funcr.New(c.log, funcr.Options{}),
		LeaseDuration: 9 * time.Second, RenewDeadline: 5 * time.Second, RetryPeriod: 200 * time.Millisecond,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- config.Run(ctx, work) }()
	c.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = c.stop() })
	return c
}

// wearing works as long as it may.
func (c *crown) wearing(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		c.put(name, true)
		defer c.put(name, false)
		<-ctx.Done()
		return nil
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return ok(), nil })
	if err != nil {
		t.Fatalf("still not: %s", what)
	}
}

// goesOn waits until a candidate was answered some times more.
func goesOn(t *testing.T, c *candidate) {
	t.Helper()
	before := c.answered()
	eventually(t, "it goes on asking for the Lease", func() bool { return c.answered() >= before+3 })
}

func read(t *testing.T, name string) *coordinationv1.Lease {
	t.Helper()
	all, err := kubernetes.NewForConfig(bed.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := all.CoordinationV1().Leases("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// write puts a holder into the Lease, as nobody should.
func write(t *testing.T, name, holder string) {
	t.Helper()
	all, err := kubernetes.NewForConfig(bed.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Lease is "+holder+"'s", func() bool {
		lease, now := read(t, name), metav1.NowMicro()
		lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &holder, &now, new(int32(3600))
		_, err = all.CoordinationV1().Leases("default").Update(t.Context(), lease, metav1.UpdateOptions{})
		return err == nil
	})
}

// TestAFormerLeaderLeavesTheNextOneBe: while the first one's calls hang, another
// takes over. Let go, the first one's late calls change nothing, and it waits
// for its turn.
func TestAFormerLeaderLeavesTheNextOneBe(t *testing.T) {
	var worn crown
	first := stand(t, "hanging", worn.wearing("first"))
	eventually(t, "the first leads", func() bool { return worn.wornBy("first") })
	was := *read(t, "hanging").Spec.HolderIdentity
	second := stand(t, "hanging", worn.wearing("second"))
	goesOn(t, second)

	letGo := first.holdUp()
	eventually(t, "the second leads", func() bool { return worn.wornBy("second") })
	letGo()
	goesOn(t, first)
	goesOn(t, second)

	lease := read(t, "hanging")
	if holder := *lease.Spec.HolderIdentity; holder == was || holder == "" || *lease.Spec.LeaseTransitions != 1 {
		t.Errorf("the Lease is %q's, after %d changes; the first one was %q", holder, *lease.Spec.LeaseTransitions, was)
	}
	if !worn.wornBy("second") || worn.most != 1 {
		t.Errorf("the second leads: %t; at most %d led at once", worn.wornBy("second"), worn.most)
	}

	if err := second.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "the first leads again", func() bool { return worn.wornBy("first") })
	if again := *read(t, "hanging").Spec.HolderIdentity; again == was {
		t.Errorf("it stands again under its former name %s", again)
	}
	if worn.most != 1 {
		t.Errorf("%d led at once", worn.most)
	}
}

// TestAnotherHolderEndsTheTermAtOnce, not only when the renewals have failed for
// long enough.
func TestAnotherHolderEndsTheTermAtOnce(t *testing.T) {
	var worn crown
	c := stand(t, "taken", worn.wearing("it"))
	eventually(t, "it leads", func() bool { return worn.wornBy("it") })
	write(t, "taken", "somebody else")
	// Three attempts are far from all that a renewal is tried.
	before := c.answered()
	eventually(t, "its work ends", func() bool { return !worn.wornBy("it") })
	if n := c.answered() - before; n > 6 {
		t.Errorf("its work went on for %d more requests", n)
	}
	goesOn(t, c)
	if holder := *read(t, "taken").Spec.HolderIdentity; holder != "somebody else" || worn.wornBy("it") {
		t.Errorf("the Lease is %s's, and it leads: %t", holder, worn.wornBy("it"))
	}
	write(t, "taken", "")
	eventually(t, "it leads again", func() bool { return worn.wornBy("it") })
}

// TestTheLeaseIsHeldUntilTheWorkHasEnded: nobody begins before.
func TestTheLeaseIsHeldUntilTheWorkHasEnded(t *testing.T) {
	working, told, finish := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	c := stand(t, "slow", func(ctx context.Context) error {
		working <- struct{}{}
		<-ctx.Done()
		close(told)
		<-finish
		return nil
	})
	<-working
	ended := make(chan error, 1)
	go func() { ended <- c.stop() }()
	<-told
	renewed := read(t, "slow").Spec.RenewTime
	eventually(t, "the Lease is renewed while the work ends", func() bool { return read(t, "slow").Spec.RenewTime.After(renewed.Time) })
	if *read(t, "slow").Spec.HolderIdentity == "" {
		t.Error("the Lease was given up before the work had ended")
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if holder := *read(t, "slow").Spec.HolderIdentity; holder != "" {
		t.Errorf("the Lease is still %s's after a stop", holder)
	}
}

// TestWorkThatEndsByItselfIsTakenUpAgain, by whoever is elected next.
func TestWorkThatEndsByItselfIsTakenUpAgain(t *testing.T) {
	terms := make(chan struct{}, 10)
	stand(t, "short", func(context.Context) error {
		terms <- struct{}{}
		return errors.New("it does not work")
	})
	<-terms
	<-terms
}

// TestWorkThatDoesNotEndEndsTheProcess, and the Lease is not offered to anybody.
func TestWorkThatDoesNotEndEndsTheProcess(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	working := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	config := leader.Config{Cluster: bed.RESTConfig(), Namespace: "default", Name: "stuck", Grace: time.Millisecond}
	go func() {
		ended <- config.Run(ctx, func(context.Context) error {
			close(working)
			<-never
			return nil
		})
	}()
	<-working
	cancel()
	if err := <-ended; !errors.Is(err, leader.ErrStuck) {
		t.Errorf("got %v, want %v", err, leader.ErrStuck)
	}
	if *read(t, "stuck").Spec.HolderIdentity == "" {
		t.Error("the Lease was given up while the work went on")
	}
}

// TestAStandbyStopsWithoutAComplaint.
func TestAStandbyStopsWithoutAComplaint(t *testing.T) {
	var worn crown
	stand(t, "standby", worn.wearing("leader"))
	eventually(t, "one leads", func() bool { return worn.wornBy("leader") })
	standby := stand(t, "standby", worn.wearing("standby"))
	goesOn(t, standby)
	if err := standby.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if lines := standby.logged(`"error"=`); lines != nil {
		t.Errorf("it logged errors: %q", lines)
	}
	if !worn.wornBy("leader") {
		t.Error("the leader stopped, too")
	}
}
