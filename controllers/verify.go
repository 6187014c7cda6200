package controllers

import (
	"context"
	"errors"
	"sync"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
)

// verify asks IAM about principals that two listings lacked, oldest first, and
// reports whether it learned anything. Each account is asked on its own, so
// that one which does not answer holds up nobody else's.
func (r *AWSAuthReconciler) verify(ctx context.Context, run *refresh) bool {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	v := verification{refresh: run}
	byAccount := map[string][]removal.Candidate{}
	for _, c := range run.out.Removal.Verify {
		byAccount[c.AccountID] = append(byAccount[c.AccountID], c)
	}
	var all sync.WaitGroup
	for _, candidates := range byAccount {
		all.Go(func() { r.verifyAccount(ctx, &v, candidates) })
	}
	all.Wait()
	return v.learned
}

// verification is what is learned; its lock is that of the ledger, too.
type verification struct {
	*refresh
	sync.Mutex
	learned bool
}

func (r *AWSAuthReconciler) verifyAccount(ctx context.Context, v *verification, candidates []removal.Candidate) {
	failed := 0
	for _, c := range candidates {
		at := r.Clock.Now()
		exists, err := r.Lister.Exists(ctx, c.Kind, c.ARN)
		if errors.Is(err, principals.ErrRateLimited) || ctx.Err() != nil {
			return
		}
		if err != nil {
			v.log.Error(err, "could not ask IAM about a principal that is no longer listed", "arn", c.ARN)
			v.fail(c.AccountID, err)
			if failed++; failed == maxVerifyErrors {
				return
			}
			continue
		}
		v.Lock()
		r.ledger.Confirm(c.ARN, at, exists)
		v.learned = true
		v.Unlock()
	}
}

func (v *verification) fail(account string, err error) {
	v.Lock()
	defer v.Unlock()
	if v.verifyErrs == nil {
		v.verifyErrs = map[string]error{}
	}
	v.verifyErrs[account] = err
}
