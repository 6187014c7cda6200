package controllers

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

// replica is one process.
type replica struct {
	*soak
	name   string
	rec    *AWSAuthReconciler
	lister *principals.Accounts

	active bool      // believes to hold the Lease
	busy   bool      // stands still in the middle of a refresh
	wake   time.Time // of the next refresh
	// listed is when it last listed; started when its memory begins.
	listed, started time.Time
	looked          time.Time // when it last listed access entries
	target          Target
	failures        int

	began   time.Time // of the refresh under way
	applied bool      // aws-auth, in that refresh
	met     bool      // trouble, in that refresh
	calls   int       // to the API server, in that refresh
	dieAt   int       // the call before which the process ends; 0: none
	stallAt int       // the call before which it stands still; 0: none
	dead    bool

	giveUp context.CancelFunc // ends its wait for the listing
	slow   time.Time          // until when its listings take
	crawls *listing           // that takes so long
	offset time.Duration      // of its clock
	hung   atomic.Bool        // a call did not answer until its deadline
	news   []time.Time        // when it heard of changes of IAM
}

// start is a new process, or one that has got the Lease again: nothing
// remembered.
func (r *replica) start() {
	config := r.config
	r.target = config.Target
	r.lister = r.newLister()
	config.ConfigMaps = soakClient{r.maps, r}
	if r.entries {
		config.Entries = r.accessEntries()
	}
	config.Lister, config.Clock = soakLister{r}, soakClock{r.clock, r}
	r.news = nil
	config.Announcements = r
	r.rec = NewReconciler(config)
	r.rec.patience = func(ctx context.Context) (context.Context, context.CancelFunc) {
		if ctx, r.giveUp = context.WithCancel(ctx); r.crawls != nil && r.crawls == r.rec.listing.underWay {
			r.giveUp()
		}
		return ctx, r.giveUp
	}
	r.active, r.busy, r.dead, r.failures = true, false, false, 0
	r.dieAt, r.stallAt = 0, 0
	r.started, r.listed, r.wake = r.now(), time.Time{}, r.now()
	r.note("%s starts", r.name)
}

// refresh is what the manager's worker does with one item of its queue.
func (r *replica) refresh() {
	r.began, r.applied, r.met, r.calls = r.now(), false, r.troubled(), 0
	r.summary.Refreshes++
	res, err := r.rec.Reconcile(logr.NewContext(r.Context(), logr.Discard()), request())
	r.met = r.met || r.troubled()
	switch {
	case r.dead:
		r.note("%s dies at call %d", r.name, r.calls)
		r.active = false
		pause := r.between(time.Second, 10*time.Second)
		r.calm.process = later(r.calm.process, r.now().Add(pause))
		r.after(pause, r.start)
		return
	case err != nil:
		r.failures++
		r.note("%s ends badly: %v", r.name, err)
		r.wake = r.now().Add(min(500*time.Millisecond<<min(r.failures-1, 10), r.config.RefreshInterval))
		if !r.met {
			r.violation("a refresh ended badly without any trouble: %v", err)
		}
		return
	}
	r.failures = 0
	// The time of the next listing is jittered by a source that no seed
	// governs; what is due earlier is exact.
	r.wake = r.now().Add(r.config.RefreshInterval * 107 / 100)
	if due := r.listed.Add(r.config.RefreshInterval * 107 / 100); !r.listed.IsZero() && due.After(r.now()) {
		r.wake = due
	}
	if r.now().Add(res.RequeueAfter).Before(r.listed.Add(r.config.RefreshInterval * 93 / 100)) {
		r.wake = r.now().Add(res.RequeueAfter)
	}
	if r.applied {
		r.poke()
	}
	r.checkRecord(r)
}

// poke is what a watch does; one that is slow or broken does nothing.
func (s *soak) poke() {
	for _, r := range s.replicas {
		if r.active && r.failures == 0 && !s.odds(4) {
			s.wakeUp(r)
		}
	}
}

func (s *soak) wakeUp(r *replica) {
	soon := s.now().Add(s.between(0, 500*time.Millisecond))
	if age := soon.Sub(r.listed); age > r.config.RefreshInterval*94/100 && age < r.config.RefreshInterval*107/100 {
		return // a listing may be due or not, by its jitter
	}
	if soon.Before(r.wake) {
		r.wake = soon
	}
}

// soakClient is a replica's way to the API server.
type soakClient struct {
	corev1client.ConfigMapInterface
	r *replica
}

// before is what happens before a call of this kind.
func (c soakClient) before(verb, name string) error {
	r := c.r
	r.pay()
	r.calls++
	switch {
	case r.dead || r.calls == r.dieAt:
		r.dead = true
		return errKilled
	case r.stallAt > 0 && r.calls >= r.stallAt && (name == "aws-auth" || name == "aws-auth-refresher-state"):
		r.stallAt = 0
		r.stall(r)
	case r.api.contend > 0 && verb != "get" && name == "aws-auth":
		r.api.contend--
		r.summary.fault("write in between")
		r.write()
	}
	if r.api.failing && r.odds(3) {
		return errFailing
	}
	return nil
}

var errFailing = errors.New("the API server is failing")

// after loses the answer to a call that was carried out, at times.
func (c soakClient) after(err error) error {
	if err == nil && c.r.api.failing && c.r.odds(6) {
		return errLost
	}
	return err
}

func (c soakClient) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error) {
	if err := c.before("get", name); err != nil {
		return nil, err
	}
	return c.ConfigMapInterface.Get(ctx, name, o)
}

func (c soakClient) Create(ctx context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error) {
	if err := c.before("create", cm.Name); err != nil {
		return nil, err
	}
	c.r.check.record, c.r.check.entries = nil, nil
	now, err := c.ConfigMapInterface.Create(ctx, cm, o)
	if err == nil && cm.Name == "aws-auth" && c.r.now().After(c.r.calm.clock) {
		if waited := c.r.now().Sub(c.r.doc.deleted); waited < recreateAfter {
			c.r.violation("aws-auth is made again %s after somebody deleted it", waited)
		}
		c.r.wrote(c.r, now)
	}
	return orNil(now, c.after(err))
}

func (c soakClient) Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	if err := c.before("update", cm.Name); err != nil {
		return nil, err
	}
	c.r.check.record, c.r.check.entries = nil, nil
	now, err := c.ConfigMapInterface.Update(ctx, cm, o)
	return orNil(now, c.after(err))
}

func (c soakClient) Apply(ctx context.Context, cm *applycorev1.ConfigMapApplyConfiguration, o metav1.ApplyOptions) (*corev1.ConfigMap, error) {
	if err := c.before("apply", *cm.Name); err != nil {
		return nil, err
	}
	now, err := c.ConfigMapInterface.Apply(ctx, cm, o)
	if err == nil {
		c.r.wrote(c.r, now)
	}
	return orNil(now, c.after(err))
}

func orNil(cm *corev1.ConfigMap, err error) (*corev1.ConfigMap, error) {
	if err != nil {
		return nil, err
	}
	return cm, nil
}

// wrote notes what a replica has made of aws-auth, and judges it.
func (s *soak) wrote(r *replica, now *corev1.ConfigMap) {
	old := s.doc.data
	r.applied = true
	s.doc.before, s.doc.last = old, s.now()
	s.doc.exists, s.doc.missing, s.doc.data = true, false, soakData(now.Data).clone()
	s.doc.foreign = s.reader.foreignARNs(s.doc.data)
	s.judge(r, old, s.doc.data)
	s.retrack()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
