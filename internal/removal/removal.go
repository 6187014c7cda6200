// Package removal decides which of our entries that are no longer wanted may
// be taken out now.
//
// It takes the time as an argument and touches nothing; listing, asking AWS,
// writing and remembering are its callers' work. It promises that an absence
// from listings alone takes nobody out, that rules which suddenly grant to
// much fewer principals take out only some of them at once, and that nothing
// is held back for ever.
package removal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Candidate is one of our entries that nothing grants at the moment.
type Candidate struct {
	Kind rules.Kind
	// ARN is the principal's, with its path.
	ARN       string
	AccountID string
	// Grantable: some accepted rule could match this ARN.
	Grantable bool
	// Listed: it is in the present listing, so it exists and is no longer
	// granted.
	Listed bool
	// TooOld: it is listed, and of what let it in only its age is left over.
	TooOld bool
	// Stale: what says that it is listed, and that no rule grants it or that it
	// is too old, is no longer to be believed: its account could not be listed
	// since then.
	Stale bool
	// HeldSince is when its removal was first held back; zero: it is not held.
	HeldSince time.Time
	// Cause is why no rule grants it any longer.
	Cause Cause
	// Elsewhere: its rule was edited, and names an account now that is not listed.
	Elsewhere bool
	// Revoked: it had been out already, and somebody wrote it back.
	Revoked bool
	// Groups are those that it holds.
	Groups []string

	unproven bool // it is missing, and AWS could not be asked for it
}

// Cause is why no rule grants an entry any longer, as far as that is known.
type Cause string

// The causes.
const (
	// Edited: a rule that granted it has another text now; so has one of which
	// nothing is known.
	Edited Cause = ""
	// Deleted: the rules that granted it are gone, all of them.
	Deleted Cause = "Deleted"
	// Changed: the rules are what they were, and the principal is not.
	Changed Cause = "Changed"
)

// gone tells whether the candidate is one because it is missing from AWS, and
// not because no rule grants it any longer.
func (c Candidate) gone() bool { return c.Grantable && !c.Listed }

// Settings are the limits of removals that no longer granted entries cause.
type Settings struct {
	// Hold is the length of the sliding window in which removals are counted,
	// and how long those beyond the limits are held back. 0 or less: nothing
	// is ever held.
	Hold time.Duration
	// MaxCount and MaxPercent are how many of our entries of one account and
	// kind may go within the window. Beyond both of them at once they are
	// held. With 100 percent whoever is the last one may go, too.
	MaxCount, MaxPercent int
	// UnprovenAfter is after which time a principal that every listing lacked is
	// taken for deleted, although AWS could not be asked for it. 0: never.
	UnprovenAfter time.Duration
}

// Defaults are 10 entries and half of them, in 10 minutes.
func Defaults() Settings {
	return Settings{Hold: 10 * time.Minute, MaxCount: 10, MaxPercent: 50}
}

// Input is what Decide decides about.
type Input struct {
	Now        time.Time
	Candidates []Candidate
	// Owned is everything of ours that stands in the document now, candidates
	// included, with the groups that each is to have.
	Owned []rules.Owned
	// OthersHold are the groups that somebody has who is not in Owned.
	OthersHold map[string]bool
	// Missing is since when listings lack a principal, by folded ARN, as the last
	// Decision gave it: whoever decided then may have been another process.
	Missing map[string]time.Time
	// Removals are the earlier ones, as the last Decision gave them whose
	// removals were really carried out.
	Removals []rules.Removal
	// Approved: a person has approved what these rules take out.
	Approved bool
	Settings Settings
}

// Why says why an entry goes.
type Why string

// The reasons to take an entry out.
const (
	// Gone: the principal does not exist any longer.
	Gone Why = "Gone"
	// NotGranted: no rule grants it any longer.
	NotGranted Why = "NotGranted"
	// TooOld: it is older than what let it in allows, as was said when it came.
	TooOld Why = "TooOld"
	// HeldLongEnough: no rule grants it, and it was held for as long as
	// Settings.Hold.
	HeldLongEnough Why = "HeldLongEnough"
	// Approved: no rule grants it, and a person approved its removal.
	Approved Why = "Approved"
	// Revoked: it had been taken out before, and somebody wrote it back.
	Revoked Why = "Revoked"
	// Unproven: every listing lacked it for as long as Settings.UnprovenAfter.
	Unproven Why = "Unproven"
)

// Removed is a candidate that goes now.
type Removed struct {
	Candidate
	Why Why
}

// Held is a candidate that no rule grants, held back because of what would go
// with it.
type Held struct {
	Candidate
	Because Because
	// Since is to be remembered as the entry's HeldSince. Until is when it
	// goes if nothing else happens; a stale one waits longer, for a listing.
	Since, Until time.Time
}

// Kept is a candidate that stays for want of evidence.
type Kept struct {
	Candidate
	// Reason does not change as long as the evidence does not.
	Reason string
}

// The reasons to keep an entry.
const (
	reasonNotListed  = "no complete listing of its account and path has lacked it"
	reasonStale      = "no rule grants it by what was last known of its account, which has not been listed completely since"
	reasonListedOnce = "only one complete listing has lacked it; a second one, begun at least 10 seconds later, must lack it too"
)

// Decision has each candidate in exactly one of its first four lists. All are
// sorted by kind, users first, and ARN, but for Verify.
type Decision struct {
	// Remove is to be taken out now.
	Remove []Removed
	// Verify is what two listings lacked: AWS is to be asked for each, in this
	// order, and Ledger.Confirm or Failed told, or the principals called over as
	// a whole, and Ledger.RollCall told. Those not asked for yet come first, and
	// of them those missing for longest.
	Verify []Candidate
	Held   []Held
	Keep   []Kept
	// Missing is to be remembered in any case, as Input has it.
	Missing map[string]time.Time
	// Removals is to be remembered once Remove is carried out; when it was
	// not, the next Input has the earlier ones again, or they would count
	// twice.
	Removals []rules.Removal
}

// Decide sorts the candidates into what goes now and what stays, and why.
//
// One that is missing from AWS goes when two complete listings that cover it,
// begun at least 10 seconds apart, lacked it and AWS, asked for it after that,
// does not know it. Of one that is listed but stale nothing is concluded, unless
// a person approved. One that is too old, or had been out already, goes at once,
// whatever else goes. One that is no longer granted goes at once, unless the
// breaker holds what is left of its account and kind: see decideUngranted.
//
// Times in the future, left by a clock that was set back, are taken for now.
func (l *Ledger) Decide(in Input) Decision {
	candidates := once(in.Candidates)
	l.track(candidates, in)
	var d Decision
	d.Missing = l.missing()
	d.Removals = recent(in)
	ungranted := make(map[group][]Candidate)
	for _, c := range candidates {
		g := group{c.Kind, c.AccountID}
		switch {
		case c.Revoked:
			d.Remove = append(d.Remove, Removed{c, Revoked})
		case c.gone() && l.longMissing(c, in):
			c.unproven, c.Cause = true, Changed
			ungranted[g] = append(ungranted[g], c)
		case c.gone():
			l.decideGone(&d, c)
		case c.TooOld && !c.Stale:
			d.Remove = append(d.Remove, Removed{c, TooOld})
		default:
			ungranted[g] = append(ungranted[g], c)
		}
	}
	b := newBreaker(&d, in, ungranted)
	for g, list := range ungranted {
		b.decide(g, list)
	}
	l.sort(&d)
	return d
}

func (l *Ledger) decideGone(d *Decision, c Candidate) {
	a := l.absent[arn.Fold(c.ARN)]
	switch {
	case a == nil || a.first.IsZero():
		d.Keep = append(d.Keep, Kept{c, reasonNotListed})
	case !a.twice():
		d.Keep = append(d.Keep, Kept{c, reasonListedOnce})
	case !a.confirmed:
		d.Verify = append(d.Verify, c)
	default:
		d.Remove = append(d.Remove, Removed{c, Gone})
	}
}

// longMissing tells whether a candidate that AWS was not asked for in vain has
// been missing for so long that this is enough.
func (l *Ledger) longMissing(c Candidate, in Input) bool {
	a := l.absent[arn.Fold(c.ARN)]
	after := in.Settings.UnprovenAfter
	return after > 0 && a != nil && a.twice() && !a.confirmed && in.Now.Sub(a.first) >= after
}

// recent gives the removals that still count.
func recent(in Input) []rules.Removal {
	var out []rules.Removal
	for _, r := range in.Removals {
		if r.At.After(in.Now) {
			r.At = in.Now
		}
		if r.Count > 0 && in.Now.Sub(r.At) < in.Settings.Hold {
			out = append(out, r)
		}
	}
	return out
}

// once gives the candidates by kind and ARN, each once and with its own
// account, and of several the one that was held first.
func once(in []Candidate) []Candidate {
	out := slices.Clone(in)
	for i := range out {
		if a := accountOf(out[i].ARN); a != "" {
			out[i].AccountID = a
		}
	}
	slices.SortFunc(out, func(a, b Candidate) int {
		return cmp.Or(compare(a, b), earlier(a.HeldSince, b.HeldSince), strings.Compare(a.ARN, b.ARN))
	})
	return slices.CompactFunc(out, func(a, b Candidate) bool { return compare(a, b) == 0 })
}

// earlier compares times; none at all comes last.
func earlier(a, b time.Time) int {
	switch {
	case a.IsZero() == b.IsZero():
		return a.Compare(b)
	case a.IsZero():
		return 1
	default:
		return -1
	}
}

func compare(a, b Candidate) int {
	return cmp.Or(-strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(arn.Fold(a.ARN), arn.Fold(b.ARN)))
}

func (l *Ledger) sort(d *Decision) {
	slices.SortFunc(d.Remove, func(a, b Removed) int { return compare(a.Candidate, b.Candidate) })
	slices.SortFunc(d.Held, func(a, b Held) int { return compare(a.Candidate, b.Candidate) })
	slices.SortFunc(d.Keep, func(a, b Kept) int { return compare(a.Candidate, b.Candidate) })
	slices.SortFunc(d.Verify, func(a, b Candidate) int {
		one, other := l.absent[arn.Fold(a.ARN)], l.absent[arn.Fold(b.ARN)]
		return cmp.Or(one.asked.Compare(other.asked), one.first.Compare(other.first), compare(a, b))
	})
	slices.SortStableFunc(d.Removals, func(a, b rules.Removal) int {
		return cmp.Or(a.At.Compare(b.At), -strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.AccountID, b.AccountID))
	})
}

// accountOf is the account that an ARN names, empty for what is not an ARN.
func accountOf(s string) string {
	a, err := arn.Parse(s)
	if err != nil {
		return ""
	}
	return a.AccountID
}
