package controllers

import (
	"maps"
	"slices"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// How long an entry that is out of the document still counts as ours, should
// somebody write an older copy of aws-auth back, as from a backup. Whoever has no
// principal any longer gets in by none, so these go first where there are more
// than may be kept.
const (
	rememberRevoked = 90 * 24 * time.Hour
	rememberGone    = 7 * 24 * time.Hour
	rememberAtLeast = time.Minute
	rememberAtMost  = 3000
	// clockSlack is how far the clocks of two replicas may be apart.
	clockSlack = 24 * time.Hour
)

// recorded is the record, indexed for look-ups.
type recorded struct {
	entries map[entryKey][]rules.Owned
	digests map[string][][]string // lists of the rules that granted, by folded principal ARN
	former  []rules.Former
}

func newRecorded(r rules.Record, now time.Time) recorded {
	rec := recorded{
		entries: make(map[entryKey][]rules.Owned, len(r.Entries)), digests: make(map[string][][]string, len(r.Entries)), former: r.Former,
	}
	for _, o := range r.Entries {
		if forgotten(o, now) {
			continue
		}
		key := principalKey(o.Kind, o.ARN)
		rec.entries[key] = append(rec.entries[key], o)
		if o.Forget.IsZero() {
			rec.addDigests(arn.Fold(o.ARN), o.Selectors)
		}
	}
	return rec
}

// addDigests keeps the lists as they are: many principals share a long one.
func (r recorded) addDigests(folded string, digests []string) {
	if len(digests) > 0 {
		r.digests[folded] = append(r.digests[folded], digests)
	}
}

// forgotten: it was taken out so long ago that it is nobody's now.
func forgotten(o rules.Owned, now time.Time) bool {
	return !o.Forget.IsZero() && !now.Before(o.Forget)
}

// holds reports whether an entry with this very content is recorded as ours.
func (r recorded) holds(e awsauth.Entry) bool {
	_, ok := r.find(e)
	return ok
}

func (r recorded) find(e awsauth.Entry) (rules.Owned, bool) {
	for _, o := range r.entries[keyOf(e)] {
		if o.Digest == e.Digest() {
			return o, true
		}
	}
	return rules.Owned{}, false
}

// granted tells frozen rules whom they granted to before, by their present text
// or an earlier one: the edit that makes a rule match too many must lock nobody
// out, and let nobody in by what another rule gave.
func (r recorded) granted(k rules.Kind, foldedPrincipalARN, ruleDigest string) (rules.Before, bool) {
	return rules.BeforeBy(slices.Concat(r.digests[foldedPrincipalARN]...), r.former, k, ruleDigest)
}

// owner is the record of one of our entries in the document, which for an
// adopted one comes from its grant.
func (r recorded) owner(e awsauth.Entry, grants map[entryKey]rules.Grant) rules.Owned {
	if o, ok := r.find(e); ok {
		return o
	}
	return ownedBy(grants[keyOf(e)])
}

func ownedBy(g rules.Grant) rules.Owned {
	return rules.Owned{
		Kind: g.Kind, ARN: g.PrincipalARN, Digest: rules.ContentDigest(g.Username, g.Groups), Selectors: g.Selectors, Groups: g.Groups,
	}
}

type ownedKey struct {
	kind        rules.Kind
	arn, digest string
}

// record is what must be stored before the document is written: everything of
// ours that stands there, was there lately, or is about to be.
func (c *computation) record(want []rules.Grant) rules.Record {
	next := rules.Record{
		Originals: c.originals(want), Rules: c.Record.Rules, Removals: c.Record.Removals,
		Seen: c.Record.Seen || !c.Missing, Spent: c.Record.Spent, Approval: c.Record.Approval,
		Missing: c.out.Removal.Missing, Lost: c.stillLost(),
	}
	if c.Rules == nil {
		next.Missing = c.Record.Missing
	}
	if c.Rules != nil && slices.ContainsFunc(c.out.Removal.Remove, func(r removal.Removed) bool { return r.Why == removal.Approved }) {
		next.Spent = spend(next.Spent, next.Approval.Value)
	}
	if c.Rules != nil && len(c.removed) > 0 {
		next.Removals = c.out.Removal.Removals
	}
	entries := map[ownedKey]rules.Owned{}
	for _, o := range c.standing() {
		entries[ownedKey{o.Kind, arn.Fold(o.ARN), o.Digest}] = o
	}
	left := map[entryKey]bool{}
	for _, e := range c.out.Result.Overflow {
		left[keyOf(e)] = true
	}
	for _, g := range want {
		if left[grantKey(g)] || c.out.Result.Problems[g.Kind.DataKey()] != nil {
			continue
		}
		o := ownedBy(g)
		entries[ownedKey{o.Kind, arn.Fold(o.ARN), o.Digest}] = o
	}
	next.Entries = c.worthKeeping(slices.Collect(maps.Values(entries)))
	next.Former = c.formersInUse(next.Entries)
	return next
}

// worthKeeping leaves out what is out of the document and the first to be
// forgotten, where there is too much of it.
func (c *computation) worthKeeping(entries []rules.Owned) []rules.Owned {
	if c.Shed {
		soon := c.Now.Add(rememberAtLeast)
		for i := range entries {
			if entries[i].Forget.After(soon) {
				entries[i].Forget = soon
			}
		}
	}
	var out []time.Time
	for _, o := range entries {
		if !o.Forget.IsZero() {
			out = append(out, o.Forget)
		}
	}
	if len(out) <= rememberAtMost {
		return entries
	}
	slices.SortFunc(out, time.Time.Compare)
	from, least := out[len(out)-rememberAtMost], c.Now.Add(rememberAtLeast)
	return slices.DeleteFunc(entries, func(o rules.Owned) bool {
		return !o.Forget.IsZero() && o.Forget.Before(from) && o.Forget.After(least) && c.Now.Sub(o.Out) >= rememberAtLeast
	})
}

// formersKept is how many earlier texts of rules are kept that let nobody in any
// longer: a rollback brings back those whom they did.
const formersKept = 500

// formersInUse are the earlier texts of rules, and where there are many only those
// by which somebody is still in.
func (c *computation) formersInUse(entries []rules.Owned) []rules.Former {
	if len(c.Record.Former) <= formersKept {
		return c.Record.Former
	}
	used := map[string]bool{}
	note := func(digests []string) {
		for _, d := range digests {
			used[d] = true
		}
	}
	for _, o := range entries {
		if o.Forget.IsZero() {
			note(o.Selectors)
		}
	}
	for _, o := range c.Entries.Record.Entries {
		note(o.Selectors)
	}
	return slices.DeleteFunc(slices.Clone(c.Record.Former), func(f rules.Former) bool { return !used[f.Was] && !used[rules.SelectorOf(f.Was)] })
}

func sameFormers(a, b []rules.Former) bool {
	return slices.EqualFunc(a, b, func(a, b rules.Former) bool {
		return a.Kind == b.Kind && a.Rule == b.Rule && a.Was == b.Was && slices.Equal(a.Groups, b.Groups)
	})
}

// originals are the values to bring back once our last entry goes. One stays
// until that entry was seen to be out: the write that takes it out may yet fail.
func (c *computation) originals(want []rules.Grant) map[string]rules.Original {
	unreadable := c.Document.Problems()
	next := maps.Clone(c.out.Result.Originals)
	for _, kind := range rules.Kinds() {
		key := kind.DataKey()
		old, known := c.Record.Originals[key]
		stands := slices.ContainsFunc(c.ours, func(e awsauth.Entry) bool { return e.Kind == kind })
		comes := slices.ContainsFunc(want, func(g rules.Grant) bool { return g.Kind == kind })
		switch _, kept := next[key]; {
		case c.Missing || unreadable[key] != nil:
		case stands && known && !kept:
			next[key] = old
		case !stands && !comes:
			delete(next, key)
		}
	}
	return next
}

// standing is the record brought up to date with the document and with what
// was decided. Where the document or a key of it cannot be read, nothing is
// concluded from what is missing there.
func (c *computation) standing() []rules.Owned {
	there := map[ownedKey]bool{}
	for _, e := range c.ours {
		o := c.recorded.owner(e, c.granted)
		there[ownedKey{o.Kind, arn.Fold(o.ARN), o.Digest}] = true
	}
	unreadable := c.Document.Problems()
	var standing []rules.Owned
	for _, o := range c.Record.Entries {
		if forgotten(o, c.Now) {
			continue
		}
		switch {
		case c.Missing || unreadable[o.Kind.DataKey()] != nil:
			standing = append(standing, o)
			continue
		case !there[ownedKey{o.Kind, arn.Fold(o.ARN), o.Digest}]:
			// Since when it was held stays: should it come back, that goes on.
			if o.Forget.IsZero() {
				o.Out, o.Forget = c.Now, c.Now.Add(c.rememberFor(o))
			}
			// By a clock that was ahead: no longer than by this one.
			if longest := c.Now.Add(rememberRevoked); o.Forget.After(longest) {
				o.Out, o.Forget = c.Now, longest
			}
			standing = append(standing, o)
			continue
		case c.Rules != nil:
			o.HeldSince = c.heldSince(o.Kind, o.ARN, o.HeldSince)
		}
		// Also while its removal is on the way: only what was seen to be out may
		// ever be forgotten.
		o.Out, o.Forget = time.Time{}, time.Time{}
		standing = append(standing, o)
	}
	return standing
}

// heldSince is what is to be recorded of an entry. What goes now keeps the time
// since when it was held, and what goes unheld or was held for long enough gets
// one that is over by any clock: should its removal fail, it is neither to be held
// nor to be counted anew.
func (c *computation) heldSince(kind rules.Kind, principalARN string, before time.Time) time.Time {
	key := principalKey(kind, principalARN)
	switch why, goes := c.removed[key]; {
	case !goes:
		return c.held[key].Since
	case why == removal.Approved || why == removal.Revoked || why == removal.HeldLongEnough,
		before.IsZero() && (why == removal.NotGranted || why == removal.Unproven):
		return c.Now.Add(-c.Removal.Hold - clockSlack)
	}
	return before
}

func (c *computation) rememberFor(o rules.Owned) time.Duration {
	if c.Rules != nil && c.Rules.CouldMatch(o.Kind, o.ARN) && !c.listed[arn.Fold(o.ARN)] {
		return rememberGone
	}
	return rememberRevoked
}

// news reports whether storing next matters: it holds more, holds something
// back, or lets something go that the old record kept. What was only due to be
// forgotten can wait for the next change.
func news(old, next rules.Record, now time.Time) bool {
	if old.Seen != next.Seen || !maps.Equal(old.Originals, next.Originals) || len(old.Rules) != len(next.Rules) || !maps.Equal(old.Rules, next.Rules) ||
		!slices.EqualFunc(old.Removals, next.Removals, sameRemoval) || !slices.Equal(old.Spent, next.Spent) ||
		!maps.EqualFunc(old.Missing, next.Missing, time.Time.Equal) || !sameFormers(old.Former, next.Former) || !sameLoss(old.Lost, next.Lost) {
		return true
	}
	before := make(map[ownedKey]rules.Owned, len(old.Entries))
	for _, o := range old.Entries {
		if !forgotten(o, now) {
			before[ownedKey{o.Kind, arn.Fold(o.ARN), o.Digest}] = o
		}
	}
	if len(before) != len(next.Entries) {
		return true
	}
	for _, o := range next.Entries {
		b, ok := before[ownedKey{o.Kind, arn.Fold(o.ARN), o.Digest}]
		if !ok || !b.HeldSince.Equal(o.HeldSince) || !b.Forget.Equal(o.Forget) || !slices.Equal(b.Selectors, o.Selectors) || !slices.Equal(b.Groups, o.Groups) {
			return true
		}
	}
	return false
}
