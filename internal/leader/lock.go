package leader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

var (
	// errHeld refuses a write over a Lease that somebody else holds.
	errHeld = errors.New("the Lease is somebody else's")
	// errOver refuses every renewal after the Lease may have become somebody
	// else's: who was leader stands again, as a new candidate.
	errOver = errors.New("this term is over")
)

// lock is the Lease, for one candidate who stands once. It writes only over a
// Lease that it has read and that is its own, nobody's, or expired since it was
// first read as it is; each write is tied to the resourceVersion of that read.
// What the elector remembers does not count. It is for one caller at a time.
type lock struct {
	resourcelock.Interface
	now func() time.Time
	// lose is called once, from then on the lock refuses to renew.
	lose func()
	// patience is how long after the last renewal was begun the Lease counts as
	// lost. It is less than the Lease lasts.
	patience time.Duration

	holder string
	lasts  time.Duration
	raw    []byte    // the record that was read last
	since  time.Time // when it was first read
	held   bool
	expiry *time.Timer // since it was held
	over   atomic.Bool
}

// Get reads the Lease. Whoever finds somebody else's name in it after having
// held it has lost it, and need not wait for the renewals to fail.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	if l.since.IsZero() || !bytes.Equal(raw, l.raw) {
		l.raw, l.since = raw, l.now()
	}
	l.holder, l.lasts = record.HolderIdentity, time.Duration(record.LeaseDurationSeconds)*time.Second
	if l.held && l.holder != "" && l.holder != l.Identity() {
		l.end()
	}
	return record, raw, nil
}

// Create makes the Lease where there is none, and fails where there is one.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Create)
}

// Update renews the Lease, takes it over, or, without a holder, gives it up.
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	ours := l.holder == l.Identity()
	free := l.holder == "" || !l.since.Add(l.lasts).After(l.now())
	if giveUp := record.HolderIdentity == ""; !ours && (giveUp || !free) {
		return fmt.Errorf("%w: %q holds it", errHeld, l.holder)
	}
	return l.write(ctx, record, l.Interface.Update)
}

func (l *lock) write(ctx context.Context, record resourcelock.LeaderElectionRecord,
	write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	leads := record.HolderIdentity == l.Identity()
	if leads && l.over.Load() {
		return errOver
	}
	begun := l.now()
	if err := write(ctx, record); err != nil {
		return err
	}
	l.holder, l.lasts = record.HolderIdentity, time.Duration(record.LeaseDurationSeconds)*time.Second
	l.raw, l.since = nil, begun
	if leads {
		l.renewed(begun)
	}
	return nil
}

// renewed counts from when the renewal was begun: others cannot have seen it
// before.
func (l *lock) renewed(begun time.Time) {
	left := l.patience - l.now().Sub(begun)
	if l.held = true; l.expiry == nil {
		l.expiry = time.AfterFunc(left, l.end)
		return
	}
	l.expiry.Reset(left)
}

// end is for any goroutine.
func (l *lock) end() {
	if !l.over.Swap(true) {
		l.lose()
	}
}

// release gives the Lease up if it is still ours, so that the next leader need
// not wait until it expires.
func (l *lock) release(ctx context.Context) error {
	if !l.held {
		return nil
	}
	l.over.Store(true)
	l.expiry.Stop()
	for {
		was, _, err := l.Get(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if was.HolderIdentity != l.Identity() {
			return nil
		}
		now := metav1.NewTime(l.now())
		err = l.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: was.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
		})
		// A renewal of ours that was under way may have come in between.
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}
