package controllers

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// startOver reads rules and record again: whoever was faster may have changed
// both. It returns the removals that count.
func (r *AWSAuthReconciler) startOver(ctx context.Context, run *refresh, counted []rules.Removal) ([]rules.Removal, error) {
	stored, was := run.record.Removals, stateVersion(run.state)
	var err error
	if run.state, run.record, err = r.store.readRecord(ctx); err != nil {
		return nil, err
	}
	cm, err := r.store.get(ctx, r.Names.Rules)
	if err != nil {
		return nil, err
	}
	// The attempt before may have stored removals that it did not carry out. Those
	// of another replica were carried out.
	if slices.EqualFunc(run.record.Removals, stored, sameRemoval) {
		run.record.Removals = counted
	}
	before := run.rules.digest
	run.rules = choose(cm, run.record, &r.rules, run.now)
	if others := r.heedOthers(was, run.state); others || run.rules.digest != before {
		r.list(ctx, run) // other rules may need to know more
	}
	return run.record.Removals, nil
}

// heedOthers has IAM listed anew if another process has written the record since
// it was as in the version seen: whom that let in by a newer listing is not to be
// taken out by an older one.
func (r *AWSAuthReconciler) heedOthers(seen string, state *corev1.ConfigMap) (others bool) {
	if others = stateVersion(state) != seen; others {
		r.known.next = time.Time{}
		r.listing.drop()
	}
	return others
}

// stateVersion is that of the state ConfigMap, empty if there is none.
func stateVersion(state *corev1.ConfigMap) string {
	if state == nil {
		return ""
	}
	return state.ResourceVersion
}

func sameRemoval(a, b rules.Removal) bool {
	return a.At.Equal(b.At) && a.Kind == b.Kind && a.AccountID == b.AccountID && a.Count == b.Count
}
