package removal

import (
	"slices"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Because is why the breaker holds entries.
type Because string

// The reasons to hold entries.
const (
	// TooMany: more than MaxCount and more than MaxPercent would have gone within
	// the window.
	TooMany Because = "TooMany"
	// Everybody: none of ours would be left in that account and kind.
	Everybody Because = "Everybody"
	// LastOfGroup: nobody would be left in a group.
	LastOfGroup Because = "LastOfGroup"
	// OtherAccount: the rule names an account now that is not listed.
	OtherAccount Because = "OtherAccount"
)

// adminGroup is the group whose last member is not let go for any cause.
const adminGroup = "system:masters"

// group is what the limits are applied to.
type group struct {
	kind    rules.Kind
	account string
}

// breaker decides about what no rule grants any longer.
type breaker struct {
	*Decision
	in Input
	// whole are those of ours, by folded ARN, that go for no other reason and
	// exist, as far as is known.
	whole map[group]map[string]bool
	// holders are the groups that somebody holds who is wanted.
	holders map[string]bool
}

func newBreaker(d *Decision, in Input, ungranted map[group][]Candidate) *breaker {
	b := &breaker{Decision: d, in: in, whole: map[group]map[string]bool{}, holders: map[string]bool{}}
	leaving := map[string]bool{}
	for _, r := range d.Remove {
		leaving[arn.Fold(r.ARN)] = true
	}
	for _, c := range d.Verify {
		leaving[arn.Fold(c.ARN)] = true
	}
	for _, k := range d.Keep {
		leaving[arn.Fold(k.ARN)] = leaving[arn.Fold(k.ARN)] || k.gone()
	}
	candidates := map[string]bool{}
	for _, list := range ungranted {
		for _, c := range list {
			candidates[arn.Fold(c.ARN)] = true
		}
	}
	for _, o := range in.Owned {
		key, g := arn.Fold(o.ARN), group{o.Kind, accountOf(o.ARN)}
		if leaving[key] {
			continue
		}
		if b.whole[g] == nil {
			b.whole[g] = map[string]bool{}
		}
		b.whole[g][key] = true
		if candidates[key] {
			continue
		}
		for _, name := range o.Groups {
			b.holders[name] = true
		}
	}
	return b
}

// decide sorts the candidates of a group that no rule grants.
func (b *breaker) decide(g group, list []Candidate) {
	var left []Candidate
	for _, c := range list {
		switch {
		case b.in.Approved:
			b.remove(g, c, Approved)
		case c.Stale && c.HeldSince.IsZero():
			b.Keep = append(b.Keep, Kept{c, reasonStale})
		case c.Stale:
			b.hold(c, TooMany)
		case !c.HeldSince.IsZero() && b.in.Now.Sub(c.HeldSince) >= b.in.Settings.Hold:
			b.remove(g, c, HeldLongEnough)
		default:
			left = append(left, c)
		}
	}
	if len(left) == 0 {
		return
	}
	if because := b.because(g, left); because != "" {
		for _, c := range left {
			b.hold(c, because)
		}
		return
	}
	for _, c := range left {
		why := NotGranted
		if c.unproven {
			why = Unproven
		}
		b.Remove = append(b.Remove, Removed{c, why})
	}
	b.Removals = append(b.Removals, rules.Removal{Kind: g.kind, AccountID: g.account, At: b.in.Now, Count: len(left)})
}

// remove lets a candidate go that is no part of the whole any longer: it must
// not matter whether it goes now or went a moment ago.
func (b *breaker) remove(g group, c Candidate, why Why) {
	b.Remove = append(b.Remove, Removed{c, why})
	delete(b.whole[g], arn.Fold(c.ARN))
}

func (b *breaker) hold(c Candidate, because Because) {
	since := c.HeldSince
	if since.IsZero() || since.After(b.in.Now) {
		since = b.in.Now
	}
	b.Held = append(b.Held, Held{Candidate: c, Because: because, Since: since, Until: since.Add(b.in.Settings.Hold)})
}

// because is why the candidates of a group are held, empty if they may go. The
// rule, for people: entries that no rule grants any longer leave at once, unless
// more than MaxCount and more than MaxPercent of ours in their account and kind
// would have gone within the window, or all of them, or the last one in a group,
// or their rule names an account that is not listed. The entry of one person
// whose rule was deleted leaves at once nevertheless.
func (b *breaker) because(g group, left []Candidate) Because {
	if b.in.Settings.Hold <= 0 {
		return ""
	}
	went := 0
	for _, r := range b.Removals {
		if r.Kind == g.kind && r.AccountID == g.account {
			went += r.Count
		}
	}
	n, whole := went+len(left), len(b.whole[g])
	one := len(left) == 1
	switch s := b.in.Settings; {
	case n > s.MaxCount && n*100 > (went+whole)*s.MaxPercent:
		return TooMany
	case s.MaxPercent >= 100:
		return ""
	case slices.ContainsFunc(left, func(c Candidate) bool { return c.Elsewhere }):
		return OtherAccount
	case one && left[0].Cause == Deleted:
		return ""
	case slices.ContainsFunc(left, b.lastOfGroup):
		return LastOfGroup
	case len(left) >= whole && (!one || left[0].Cause != Changed):
		return Everybody
	}
	return ""
}

// lastOfGroup tells whether nobody would be left in a group that a candidate
// holds. Where not the rules but the principal changed that is so every day, and
// matters only of administrators.
func (b *breaker) lastOfGroup(c Candidate) bool {
	return slices.ContainsFunc(c.Groups, func(name string) bool {
		return !b.holders[name] && !b.in.OthersHold[name] && (c.Cause != Changed || name == adminGroup)
	})
}
