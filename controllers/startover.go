package controllers

import (
	"context"
	"slices"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// startOver reads rules and record again: whoever was faster may have changed
// both. It returns the removals that count.
func (r *AWSAuthReconciler) startOver(ctx context.Context, run *refresh, counted []rules.Removal) ([]rules.Removal, error) {
	cm, err := r.store.get(ctx, r.Names.Rules)
	if err != nil {
		return nil, err
	}
	stored := run.record.Removals
	if run.state, run.record, err = r.store.readRecord(ctx); err != nil {
		return nil, err
	}
	// The attempt before may have stored removals that it did not carry out. Those
	// of another replica were carried out.
	if slices.EqualFunc(run.record.Removals, stored, sameRemoval) {
		run.record.Removals = counted
	}
	before := run.rules.digest
	if run.rules = choose(cm, run.record, &r.rules, run.now); run.rules.digest != before {
		r.list(ctx, run) // other rules may need to know more
	}
	return run.record.Removals, nil
}

func sameRemoval(a, b rules.Removal) bool {
	return a.At.Equal(b.At) && a.Kind == b.Kind && a.AccountID == b.AccountID && a.Count == b.Count
}
