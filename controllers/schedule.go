package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// list lists IAM where that is due: on time, when the rules have changed, and
// when something is announced.
func (r *AWSAuthReconciler) list(ctx context.Context, run *refresh) {
	due := run.rules.set != nil && r.known.due(run.now, run.rules.digest)
	if run.entries.due = due; run.rules.set == nil || !due && !r.eager(run) {
		return
	}
	listing := r.Lister.List(ctx, run.rules.set.Needs())
	r.Metrics.listed(listing)
	for _, o := range observations(listing) {
		r.ledger.Observe(o)
	}
	run.again = r.known.update(listing, run.now)
	r.known.digest, r.known.at = run.rules.digest, run.now
	r.known.next = run.now.Add(r.interval())
	r.settle(run, true)
}

// interval is the time to the next listing, jittered by a twentieth either way.
func (r *AWSAuthReconciler) interval() time.Duration {
	return wait.Jitter(r.RefreshInterval*19/20, 0.1)
}

// next is the time until something is due: a listing, the end of a hold, a
// principal that grows too old, the creation of a missing aws-auth, or a look
// for what is announced.
func (r *AWSAuthReconciler) next(run *refresh) time.Duration {
	now := r.Clock.Now()
	due := r.known.next
	if run.rules.set == nil || due.IsZero() {
		due = now.Add(r.interval())
	}
	for _, h := range run.out.Removal.Held {
		if h.Until.Before(due) {
			due = h.Until
		}
	}
	if u := run.out.Evaluation.Until; !u.IsZero() && u.Before(due) && !r.known.clock(now).Doubted {
		due = u
	}
	if run.waiting > 0 && now.Add(run.waiting).Before(due) {
		due = now.Add(run.waiting)
	}
	due = run.entriesDue(now, due)
	if at := r.settle(run, false); !at.IsZero() && at.Before(due) {
		due = at
	}
	return max(due.Sub(now), 50*time.Millisecond)
}
