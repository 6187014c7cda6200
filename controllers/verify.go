package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	// askedOneByOne is how many missing principals of an account and kind IAM is
	// asked for one by one. Where there are more, and it knows none of these, all
	// are called over at once.
	askedOneByOne = 20
	// rollCallPause is how long an account is not called over where that failed.
	rollCallPause = 5 * time.Minute
	// verifySoon is when those get their turn who did not get one.
	verifySoon = time.Second
	// maxVerifyErrors in a row end a round: IAM does not answer.
	maxVerifyErrors = 3
)

// accountKind is what one listing covers.
type accountKind struct {
	account string
	kind    rules.Kind
}

// rollCalls remembers where calling principals over failed: until when that is
// not tried again, and why.
type rollCalls map[accountKind]rollCallFailure

type rollCallFailure struct {
	until time.Time
	err   error
}

// verify asks IAM about principals that two listings lacked, those not asked for
// yet first, and reports whether it learned anything. Each account and kind is
// asked on its own, so that one which does not answer holds up nobody else's.
func (r *AWSAuthReconciler) verify(ctx context.Context, run *refresh) bool {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	v := verification{refresh: run, reconciler: r, errs: map[string]error{}}
	missing := map[accountKind][]removal.Candidate{}
	for _, c := range run.out.Removal.Verify {
		of := accountKind{c.AccountID, c.Kind}
		missing[of] = append(missing[of], c)
	}
	run.unproven = unproven{}
	for _, c := range run.out.Removal.Verify {
		if err, asked := r.unprovenErrs[c.ARN]; asked {
			v.errs[c.ARN] = err
		}
	}
	var all sync.WaitGroup
	for of, candidates := range missing {
		all.Go(func() { v.account(ctx, of, candidates) })
	}
	all.Wait()
	r.unprovenErrs = v.errs
	return v.learned
}

// verification is what is learned; its lock is that of the ledger, too.
type verification struct {
	*refresh
	reconciler *AWSAuthReconciler
	sync.Mutex
	learned bool
	errs    map[string]error // why IAM could not be asked for one, by ARN
}

func (v *verification) account(ctx context.Context, of accountKind, candidates []removal.Candidate) {
	few := min(len(candidates), askedOneByOne)
	first, rest := v.ask(ctx, candidates[:few]), candidates[few:]
	switch {
	case first.err == nil && len(rest) == 0:
		v.noteUnasked(few - first.asked)
	// Where one of them exists the listings are not to be believed: then it is
	// asked for each.
	case !first.found && v.callRoll(ctx, of, first.gone > 0):
	case first.ended:
	default:
		v.noteUnasked(len(candidates) - first.asked - v.ask(ctx, rest).asked)
	}
}

// answers are what IAM says of several principals.
type answers struct {
	asked, gone int
	found       bool  // one of them exists
	err         error // the last one
	ended       bool  // because of errors
}

// ask asks for each, until IAM does not answer.
func (v *verification) ask(ctx context.Context, candidates []removal.Candidate) (a answers) {
	r, failed := v.reconciler, 0
	for _, c := range candidates {
		at := r.Clock.Now()
		exists, err := r.Lister.Exists(ctx, c.Kind, c.ARN)
		if errors.Is(err, principals.ErrRateLimited) || ctx.Err() != nil {
			return a
		}
		a.asked++
		if err != nil {
			v.log.Error(err, "could not ask IAM about a principal that is no longer listed", "arn", c.ARN)
			a.err = err
			v.failed(c, at, err)
			if failed++; failed == maxVerifyErrors {
				a.ended = true
				return a
			}
			continue
		}
		failed = 0
		v.confirm(func() {
			r.ledger.Confirm(c.ARN, at, exists)
			delete(v.errs, c.ARN)
		})
		if exists {
			a.found = true
		} else {
			a.gone++
		}
	}
	return a
}

// callRoll has all principals of an account and kind listed in another way than
// for the rules, and reports whether that could be done. An empty list is
// believed only if IAM has said of somebody that they are gone.
func (v *verification) callRoll(ctx context.Context, of accountKind, confirmed bool) bool {
	r := v.reconciler
	now := r.Clock.Now()
	v.Lock()
	failure, before := r.rollCalls[of]
	v.Unlock()
	if before && now.Before(failure.until) && now.Sub(failure.until) > -2*rollCallPause {
		return false
	}
	listing := r.Lister.RollCall(ctx, of.kind, of.account, v.rules.set.Needs())
	scope := scopeOf(listing, of.kind)
	if ctx.Err() != nil {
		return false
	}
	if !scope.Complete {
		v.log.Error(scope.Err, "could not list all principals to see who is gone", "account", of.account, "kind", of.kind)
		v.Lock()
		defer v.Unlock()
		if r.rollCalls == nil {
			r.rollCalls = rollCalls{}
		}
		r.rollCalls[of] = rollCallFailure{now.Add(rollCallPause), scope.Err}
		return false
	}
	there := make(map[string]bool, len(listing.Principals))
	for _, p := range listing.Principals {
		there[arn.Fold(p.ARN)] = true
	}
	if len(there) == 0 && !confirmed {
		return false
	}
	v.confirm(func() {
		r.ledger.RollCall(removal.Observation{
			AccountID: of.account, Kind: of.kind, PathPrefix: scope.PathPrefix, Complete: true, Begun: scope.Begun,
			Has: func(foldedARN string) bool { return there[foldedARN] },
		})
		delete(r.rollCalls, of)
		for principal := range v.errs {
			if accountOf(principal) == of.account {
				delete(v.errs, principal)
			}
		}
	})
	return true
}

func (v *verification) confirm(note func()) {
	v.Lock()
	defer v.Unlock()
	note()
	v.learned = true
}

func (v *verification) failed(c removal.Candidate, at time.Time, err error) {
	v.Lock()
	defer v.Unlock()
	v.reconciler.ledger.Failed(c.ARN, at)
	v.errs[c.ARN] = err
}

// noteUnasked remembers that some did not get their turn.
func (v *verification) noteUnasked(n int) {
	v.Lock()
	defer v.Unlock()
	v.unproven.unasked += n
}
