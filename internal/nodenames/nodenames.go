// Package nodenames finds the private DNS names of EC2 instances, under which
// their kubelets join a cluster.
//
// It asks EC2 for many instances at once, remembers what it was told, and
// promises that neither memory nor the rate of calls grows with what it is
// asked.
package nodenames

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// gather is how long a call waits for further instances to ask for.
	gather = 20 * time.Millisecond
	// maxBatch is the number of values that a filter of EC2 takes (EC2 API
	// reference, DescribeInstances).
	maxBatch = 200
	// maxWaiting is how many instances are waited for at once.
	maxWaiting = 2000
	// keep is how long a name is remembered; it does not change while the
	// instance exists.
	keep = time.Hour
	// maxKept is how many names are remembered.
	maxKept = 10_000

	callTime = 10 * time.Second
)

// Limiter limits the calls; k8s.io/client-go/util/flowcontrol has one.
type Limiter interface {
	// Wait returns when a call may be made, or with an error when ctx ends.
	Wait(ctx context.Context) error
}

// Config says which EC2 is asked, and how.
type Config struct {
	// Endpoint is EC2's, for example https://ec2.eu-west-1.amazonaws.com.
	Endpoint string
	Region   string
	// Credentials sign the calls, which need ec2:DescribeInstances.
	Credentials aws.CredentialsProvider
	// Limiter limits the calls. Required.
	Limiter Limiter
	// Client sends the calls. Default: http.DefaultClient.
	Client *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Called is called before each call. Default: nothing.
	Called func()
}

// ErrUnknown says that EC2 knows no such instance, or gives it no name.
var ErrUnknown = errors.New("EC2 knows no private DNS name of the instance")

// unavailable says that EC2 could not be asked.
type unavailable struct{ error }

// Unwrap gives the reason.
func (u unavailable) Unwrap() error { return u.error }

// Temporary tells that the next try may succeed.
func (unavailable) Temporary() bool { return true }

// Finder finds names. Make it with New; it may be used concurrently.
type Finder struct {
	config Config

	mu      sync.Mutex
	names   map[string]name
	waiting map[string]*answer // asked for and not answered yet
	queue   []string           // of those, what no call has taken yet
	running bool               // a goroutine empties the queue
}

type name struct {
	value string
	until time.Time
}

// answer is closed when value or err is set.
type answer struct {
	done  chan struct{}
	value string
	err   error
}

// New returns a finder.
func New(c Config) *Finder {
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Called == nil {
		c.Called = func() {}
	}
	return &Finder{config: c, names: map[string]name{}, waiting: map[string]*answer{}}
}

// PrivateDNSName gives the name of an instance. The error is ErrUnknown if
// there is none; one with a method Temporary that says true if EC2 could not
// be asked.
func (f *Finder) PrivateDNSName(ctx context.Context, instanceID string) (string, error) {
	value, a, err := f.enqueue(instanceID)
	if a == nil {
		return value, err
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		return "", unavailable{ctx.Err()}
	}
}

// enqueue gives the name if it is known, else what to wait for.
func (f *Finder) enqueue(id string) (string, *answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, ok := f.names[id]; ok && f.config.Now().Before(n.until) {
		return n.value, nil, nil
	}
	if a := f.waiting[id]; a != nil {
		return "", a, nil
	}
	if len(f.waiting) >= maxWaiting {
		return "", nil, unavailable{errors.New("too many instances are waited for")}
	}
	a := &answer{done: make(chan struct{})}
	f.waiting[id] = a
	f.queue = append(f.queue, id)
	if !f.running {
		f.running = true
		go f.run()
	}
	return "", a, nil
}

// run asks for what is in the queue until it is empty. It belongs to no
// request: whoever leaves leaves the others their answer.
func (f *Finder) run() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		pause := time.NewTimer(gather)
		<-pause.C
		err := f.config.Limiter.Wait(ctx)
		ids := f.take()
		var found map[string]string
		if err == nil && len(ids) > 0 {
			f.config.Called()
			found, err = f.describe(ctx, ids)
		}
		cancel()
		if f.settle(ids, found, err) {
			return
		}
	}
}

func (f *Finder) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.queue), maxBatch)
	ids := f.queue[:n:n]
	f.queue = f.queue[n:]
	return ids
}

// settle answers whoever waits for ids, and tells whether nobody waits any more.
func (f *Finder) settle(ids []string, found map[string]string, err error) (done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		a := f.waiting[id]
		delete(f.waiting, id)
		switch value := found[id]; {
		case err != nil:
			a.err = unavailable{fmt.Errorf("asking EC2: %w", err)}
		case value == "":
			a.err = ErrUnknown
		default:
			a.value = value
			f.remember(id, value)
		}
		close(a.done)
	}
	f.running = len(f.queue) > 0
	return !f.running
}

// remember keeps a name. Once there are too many all old ones go, and if none
// is old, any.
func (f *Finder) remember(id, value string) {
	now := f.config.Now()
	if len(f.names) >= maxKept {
		for old, n := range f.names {
			if !now.Before(n.until) {
				delete(f.names, old)
			}
		}
	}
	for old := range f.names {
		if len(f.names) < maxKept {
			break
		}
		delete(f.names, old)
	}
	f.names[id] = name{value, now.Add(keep)}
}
