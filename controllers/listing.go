package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	// listTimeout ends a listing that hangs; every AWS call has its own, shorter
	// deadline.
	listTimeout = 10 * time.Minute
	// slowListing is from when people hear that a listing takes long.
	slowListing = 2 * time.Minute
)

// listing is one listing of IAM, which may outlast the refresh that began it.
type listing struct {
	digest string // of the rules that it is for
	needs  rules.Needs
	begun  time.Time

	cancel func()
	done   chan struct{} // closed once result is there
	result principals.Listing
	late   bool // nobody waits for it
}

// listings is the listing under way, at most one.
type listings struct {
	underWay *listing // touched by refreshes only
	mu       sync.Mutex
	ended    chan struct{}   // gets a value when one ends that nobody waits for
	life     context.Context //nolint:containedctx // what ends with the controller outlives each refresh
}

func newListings() listings { return listings{ended: make(chan struct{}, 1)} }

// drop forgets the listing under way: it began too early.
func (s *listings) drop() {
	if s.underWay != nil {
		s.underWay.cancel()
		s.underWay = nil
	}
}

// start begins a listing.
func (s *listings) start(ctx context.Context, lister Lister, l listing) {
	if s.life != nil {
		ctx = s.life
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTimeout)
	stop := func() bool { return true }
	if s.life != nil {
		stop = context.AfterFunc(s.life, cancel)
	}
	l.done, l.cancel = make(chan struct{}), cancel
	s.underWay = &l
	go func() {
		defer cancel()
		defer stop()
		result := lister.List(ctx, l.needs)
		s.mu.Lock()
		defer s.mu.Unlock()
		l.result = result
		close(l.done)
		if l.late {
			select {
			case s.ended <- struct{}{}:
			default:
			}
		}
	}()
}

// wait gives the listing under way once it has ended, or nil when ctx ends
// first: then a refresh is asked for when it does.
func (s *listings) wait(ctx context.Context) *listing {
	l := s.underWay
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-l.done:
		s.underWay = nil
		return l
	default:
		l.late = true
		return nil
	}
}

// slow tells whether a listing has been under way for long.
func (s *listings) slow(now time.Time) bool {
	return s.underWay != nil && now.Sub(s.underWay.begun) >= slowListing
}

// lists has the reconciler run when a listing has ended that no refresh waited
// for, and listings end with the controller.
func (r *AWSAuthReconciler) lists() source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.listing.life = ctx //nolint:fatcontext // assigned once, when the controller starts
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-r.listing.ended:
					queue.Add(request())
				}
			}
		}()
		return nil
	})
}
