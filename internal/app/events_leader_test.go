package app_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// listener is a replica that is given a queue, and what it asks for.
type listener struct {
	received atomic.Int64 // calls of ReceiveMessage that were begun
	asked    atomic.Int64 // requests about the Lease
	logs     logLines
}

// counting counts the requests that begin.
type counting struct {
	aws.HTTPClient
	http.RoundTripper
	n  *atomic.Int64
	of func(*http.Request) bool
}

func (c counting) Do(r *http.Request) (*http.Response, error) {
	c.count(r)
	return c.HTTPClient.Do(r)
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.count(r)
	return c.RoundTripper.RoundTrip(r)
}

func (c counting) count(r *http.Request) {
	if c.of(r) {
		c.n.Add(1)
	}
}

// listen runs a replica until the test ends.
func listen(t *testing.T, emulator *fakeaws.Server, namespace string) *listener {
	t.Helper()
	l := &listener{}
	account, cluster := emulated(t, emulator), rest.CopyConfig(bed.RESTConfig())
	queueURL := *account.BaseEndpoint + emulator.QueuePath("events")
	account.HTTPClient = counting{HTTPClient: account.HTTPClient, n: &l.received, of: func(r *http.Request) bool {
		return r.Header.Get("X-Amz-Target") == "AmazonSQS.ReceiveMessage"
	}}
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return counting{RoundTripper: next, n: &l.asked, of: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/leases/") }}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- app.RunController(ctx, app.ControllerOptions{
			Target:          app.Target{Namespace: namespace, Rules: "aws-auth-refresher", AWSAuth: "aws-auth"},
			Policy:          app.Policy{RemovalHold: time.Minute, MaxRemovals: "10,50%"},
			RefreshInterval: time.Hour, EventsQueueURL: queueURL, LeaderElect: true, MetricsAddress: "0", ProbeAddress: "0",
		}, app.ControllerDeps{Cluster: cluster, AWS: account, Log: l.logs.logger()})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
		// Whether it led or waited for its turn.
		if l.logs.has("leader election lost") {
			t.Error("a replica that is told to stop complains that it does not lead")
		}
	})
	return l
}

// asksOn waits until both replicas have asked for the Lease several times more,
// in which whoever may receive has begun to.
func asksOn(t *testing.T, replicas ...*listener) {
	t.Helper()
	for _, l := range replicas {
		before := l.asked.Load()
		eventually(t, "a replica goes on asking for the Lease", func() bool { return l.asked.Load() >= before+2 })
	}
}

// TestOnlyTheLeaderReceives: each message has one receiver. A replica that
// stands by leaves the queue alone, and one that has lost the Lease stops.
func TestOnlyTheLeaderReceives(t *testing.T) {
	all, err := kubernetes.NewForConfig(bed.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	namespace := "only-the-leader-receives"
	if _, err := all.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	configMaps := all.CoreV1().ConfigMaps(namespace)
	for name, data := range map[string]map[string]string{"aws-auth": nil, "aws-auth-refresher": {"mapUsers": rule}} {
		if _, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	letIn := func(user string) bool {
		cm, err := configMaps.Get(t.Context(), "aws-auth", metav1.GetOptions{})
		return err == nil && strings.Contains(cm.Data["mapUsers"], "user/"+user+"\n")
	}
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	emulator.SendEvents(fakeaws.EventRule{Queue: "events"})

	leader := listen(t, emulator, namespace)
	eventually(t, "the first replica receives", func() bool { return leader.received.Load() > 0 })
	standby := listen(t, emulator, namespace)
	asksOn(t, standby)
	mustCreateUser(t, emulator, "tmp-foo-1")
	eventually(t, "the user is let in by an event", func() bool { return letIn("tmp-foo-1") })
	asksOn(t, leader, standby)
	if n := standby.received.Load(); n != 0 {
		t.Errorf("the replica that stands by has received %d times", n)
	}

	holdLease(t, all, namespace, "somebody else")
	eventually(t, "the leader stands by", func() bool { return leader.logs.has("leading no longer") })
	// A call that was under way is over by then, on the queue's side, too: it
	// could take a message with it.
	asksOn(t, leader, standby)
	begun := leader.received.Load()
	mustCreateUser(t, emulator, "tmp-foo-2")
	asksOn(t, leader, standby)
	if n, other := leader.received.Load()-begun, standby.received.Load(); n != 0 || other != 0 {
		t.Errorf("without the Lease they have received %d and %d times", n, other)
	}
	if visible, hidden := emulator.QueueLength("events"); visible != 1 || hidden != 0 || letIn("tmp-foo-2") {
		t.Errorf("%d messages are to be had and %d are somebody's", visible, hidden)
	}

	holdLease(t, all, namespace, "")
	eventually(t, "the next leader receives what was left", func() bool { return letIn("tmp-foo-2") })
}

// holdLease has somebody hold the Lease for an hour, or nobody.
func holdLease(t *testing.T, all kubernetes.Interface, namespace, holder string) {
	t.Helper()
	leases := all.CoordinationV1().Leases(namespace)
	eventually(t, "the Lease is "+holder+"'s", func() bool {
		lease, err := leases.Get(t.Context(), "aws-auth-refresher", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now := metav1.NowMicro()
		lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: new(int32(3600)), AcquireTime: &now, RenewTime: &now}
		_, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		return err == nil
	})
}
