package controllers

import (
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// keep decides about those of our entries that are no longer wanted, and
// returns the ones that stay for now.
func (c *computation) keep(want []rules.Grant) []awsauth.Entry {
	wantedKeys := make(map[entryKey]bool, len(want))
	for _, g := range want {
		wantedKeys[grantKey(g)] = true
	}
	unwanted := map[entryKey]awsauth.Entry{}
	for _, e := range c.ours {
		_, taken := c.foreign[e.Key()]
		if !wantedKeys[keyOf(e)] && !taken {
			unwanted[keyOf(e)] = e
		}
	}
	c.unwantedEntries()
	c.decide(unwanted)
	var kept []awsauth.Entry
	for key, e := range unwanted {
		if _, goes := c.removed[key]; !goes {
			kept = append(kept, e)
		}
	}
	slices.SortFunc(kept, func(a, b awsauth.Entry) int { return strings.Compare(a.ARN, b.ARN) })
	return kept
}

func (c *computation) decide(unwanted map[entryKey]awsauth.Entry) {
	c.held, c.removed = map[entryKey]removal.Held{}, map[entryKey]removal.Why{}
	if c.Rules == nil {
		return
	}
	in := removal.Input{
		Now: c.Now, Removals: c.Record.Removals, Approved: c.Approved, Settings: c.Removal, Missing: c.Record.Missing, OthersHold: c.othersHold(),
	}
	for _, e := range c.ours {
		o := c.recorded.owner(e, c.granted)
		o.Groups = e.Groups
		_, isUnwanted := unwanted[keyOf(e)]
		if g, granted := c.granted[keyOf(e)]; granted && !isUnwanted {
			o.Groups = g.Groups
		}
		in.Owned = append(in.Owned, o)
		if isUnwanted {
			in.Candidates = append(in.Candidates, c.candidate(o))
		}
	}
	c.entryCandidates(&in)
	c.out.Removal = c.Ledger.Decide(in)
	for _, r := range c.out.Removal.Remove {
		c.removed[principalKey(r.Kind, r.ARN)] = r.Why
	}
	for _, h := range c.out.Removal.Held {
		c.held[principalKey(h.Kind, h.ARN)] = h
	}
}

// tooOld tells whether, and since when, what let a principal in would still do
// so but for its age. An age that was edited since is not that: a slip of the
// pen can edit one.
func (c *computation) tooOld(o rules.Owned) (since time.Time, ok bool) {
	if c.Ages.Doubted || !c.Rules.AppliesMaxAge() {
		return time.Time{}, false
	}
	if c.byARN == nil {
		c.byARN = make(map[string]int, len(c.Principals))
		for i, p := range c.Principals {
			c.byARN[arn.Fold(p.ARN)] = i
		}
	}
	i, listed := c.byARN[arn.Fold(o.ARN)]
	if !listed {
		return time.Time{}, false
	}
	return c.Rules.Outgrew(c.Principals[i], o.Selectors, c.Ages.Now)
}

// candidate is an entry of ours, in whatever store, that is no longer wanted.
func (c *computation) candidate(o rules.Owned) removal.Candidate {
	candidate := removal.Candidate{
		Kind: o.Kind, ARN: o.ARN, AccountID: accountOf(o.ARN),
		Grantable: c.Rules.CouldMatch(o.Kind, o.ARN),
		Listed:    c.listed[arn.Fold(o.ARN)],
		HeldSince: c.heldUntilOut(o), Groups: o.Groups,
	}
	candidate.Revoked = !o.Forget.IsZero() && (candidate.HeldSince.IsZero() || c.Now.Sub(candidate.HeldSince) >= c.Removal.Hold) &&
		(!candidate.Grantable || candidate.Listed || !c.replaced(o))
	candidate.Cause, candidate.Elsewhere = c.cause(o)
	var since time.Time
	since, candidate.TooOld = c.tooOld(o)
	candidate.Stale = candidate.Grantable && candidate.Listed && !c.listedSince(candidate, since)
	return candidate
}

// heldUntilOut is since when an entry is held. One that was written back in place of
// another one of ours, which was held when somebody took it out, is held as that was.
func (c *computation) heldUntilOut(o rules.Owned) time.Time {
	since := o.HeldSince
	if o.Forget.IsZero() || !since.IsZero() {
		return since
	}
	for _, other := range c.recorded.entries[principalKey(o.Kind, o.ARN)] {
		if held := other.HeldSince; !held.IsZero() && c.Now.Sub(held) < c.Removal.Hold {
			since = held
		}
	}
	return since
}

// replaced tells whether an entry that was written back took the place of another
// one of ours, so that taking it out would take away what its principal had.
func (c *computation) replaced(o rules.Owned) bool {
	return slices.ContainsFunc(c.recorded.entries[principalKey(o.Kind, o.ARN)], func(other rules.Owned) bool {
		return other.Digest != o.Digest && other.Forget.IsZero()
	})
}

// cause is why no rule grants an entry any longer, and whether a rule that did
// names an account now that is not listed. Of an entry that nothing is known of
// the cause is that which is held most.
func (c *computation) cause(o rules.Owned) (cause removal.Cause, elsewhere bool) {
	if len(o.Selectors) == 0 {
		return removal.Edited, false
	}
	cause = removal.Deleted
	for _, digest := range o.Selectors {
		if c.inForce[o.Kind][digest] {
			return removal.Changed, false
		}
		for _, f := range c.Record.Former {
			if f.Kind == o.Kind && rules.IsOf(digest, f.Was) {
				cause = removal.Edited
				elsewhere = elsewhere || c.out.elsewhere.digests[f.Rule]
			}
		}
	}
	return cause, elsewhere
}

// othersHold are the groups of entries that are not ours, and of those that are
// about to be.
func (c *computation) othersHold() map[string]bool {
	held := map[string]bool{}
	for _, g := range c.out.Evaluation.Grants {
		for _, group := range g.Groups {
			held[group] = true
		}
	}
	for _, e := range c.foreign {
		for _, group := range e.Groups {
			held[group] = true
		}
	}
	return held
}

// listedSince tells whether what is known of a candidate is from a listing that
// nothing has gone wrong after, and that began no earlier than that. Whoever was
// made again, or got back a tag, would be seen there.
func (c *computation) listedSince(candidate removal.Candidate, since time.Time) bool {
	if c.Situation.Listed == nil {
		return true
	}
	begun, complete := c.Situation.Listed(candidate.AccountID, candidate.Kind)
	return complete && !begun.Before(since)
}

func accountOf(principalARN string) string {
	a, err := arn.Parse(principalARN)
	if err != nil {
		return ""
	}
	return a.AccountID
}
