package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// list has IAM listed where that is due: on time, when the rules have changed,
// when somebody grows too old, and when something is announced. It waits for the
// listing for a while; what takes longer is taken over by a later refresh, and
// this one goes on with the last listing.
func (r *AWSAuthReconciler) list(ctx context.Context, run *refresh) {
	if run.rules.set == nil {
		return
	}
	waitCtx, cancel := r.patience(ctx)
	defer cancel()
	for {
		due := r.known.due(run.now, run.rules.digest)
		if r.listing.underWay == nil {
			if !due && !r.aging(run) && !r.eager(run) {
				return
			}
			r.listing.start(ctx, r.Lister, listing{digest: run.rules.digest, needs: run.rules.set.Needs(), begun: run.now})
			run.entries.due = run.entries.due || due
		}
		l := r.listing.wait(waitCtx)
		if l == nil {
			return
		}
		r.take(run, l)
		if l.digest == run.rules.digest {
			return
		}
	}
}

// listWait ends when a refresh is to wait no longer for a listing.
func (r *AWSAuthReconciler) listWait(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(5*time.Second, r.RefreshInterval/3))
}

// take takes over what a listing says.
func (r *AWSAuthReconciler) take(run *refresh, l *listing) {
	r.Metrics.listed(l.result)
	for _, o := range observations(l.result) {
		r.ledger.Observe(o)
	}
	run.again = append(run.again, r.known.update(l.result, run.now)...)
	r.known.digest, r.known.at = l.digest, l.begun
	r.known.next = l.begun.Add(r.interval())
	r.settle(run, true)
}

// aging reports whether IAM is to be listed now because of somebody's age.
func (r *AWSAuthReconciler) aging(run *refresh) bool {
	at := r.known.ageDue()
	return !at.IsZero() && !run.now.Before(at)
}

// noteAges remembers when the next principal grows too old. Whoever grew so
// while IAM was being listed is due at once.
func (r *AWSAuthReconciler) noteAges(run *refresh, now time.Time) {
	r.known.outgrows = run.out.Evaluation.Until
	if r.known.clock(now).Doubted {
		r.known.outgrows = time.Time{}
		return
	}
	for _, k := range run.out.Removal.Keep {
		if _, complete := r.known.listed(k.AccountID, k.Kind); k.TooOld && k.Stale && complete {
			r.known.outgrows = now
		}
	}
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
	if run.rules.set == nil || due.IsZero() || r.listing.underWay != nil {
		due = now.Add(r.interval())
	}
	if run.unproven.unasked > 0 && now.Add(verifySoon).Before(due) {
		due = now.Add(verifySoon)
	}
	for _, h := range run.out.Removal.Held {
		if h.Until.Before(due) && h.Until.After(now) {
			due = h.Until
		}
	}
	r.noteAges(run, now)
	if at := r.known.ageDue(); !at.IsZero() && at.Before(due) && r.listing.underWay == nil {
		due = at
	}
	if run.waiting > 0 && now.Add(run.waiting).Before(due) {
		due = now.Add(run.waiting)
	}
	due = run.entriesDue(now, due)
	if at := r.lookDue(run); at.After(now) && at.Before(due) {
		due = at
	}
	if at := r.settle(run, false); !at.IsZero() && at.Before(due) && r.listing.underWay == nil {
		due = at
	}
	return max(due.Sub(now), 50*time.Millisecond)
}
