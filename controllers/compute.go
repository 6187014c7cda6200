package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Situation is everything that one refresh decides from.
type Situation struct {
	Now time.Time
	// Rules are those in force; nil while none was ever accepted, and then
	// nothing is concluded and everything stays.
	Rules *rules.Set
	// Principals are the IAM users and roles of the last listings.
	Principals []rules.Principal
	// Listed tells when the last listing of an account and kind began, and
	// whether it was complete; nil: Principals are all that there are, now.
	Listed func(accountID string, kind rules.Kind) (begun time.Time, complete bool)
	// Accounts are the numbers of the accounts that are listed, as far as they
	// are known.
	Accounts []string
	// Document is aws-auth as it stands; Missing says that there is none.
	Document *awsauth.Document
	Missing  bool
	Record   rules.Record
	// Ages is what the principals' ages are reckoned by; default: Now.
	Ages rules.Clock
	// Ledger has observed the listings.
	Ledger *removal.Ledger
	// Removal sets the breaker; Approved lets through what it holds.
	Removal  removal.Settings
	Approved bool
	// Adopt makes entries ours that are exactly what the rules produce.
	Adopt bool
	// Limit is the size of aws-auth that is not exceeded; 0: awsauth.MaxBytes.
	Limit int
	// Shed: the record has no room for what was taken out long ago. RecordFull:
	// nobody new can be recorded, so nobody new gets in.
	Shed, RecordFull bool
	// RecordLost: there was a record, and there is none any longer. LossSeen is
	// the time of a loss that a person has looked after, as Loss.At is written.
	RecordLost bool
	LossSeen   string
	// Covers tells whether the last listing would have a principal if it existed;
	// nil: that is not known.
	Covers func(principal arn.ARN) bool
	// Entries is about the access entries of EKS.
	Entries EntrySituation
}

// Outcome is what one refresh comes to. It describes; nothing is done yet.
type Outcome struct {
	// Result is aws-auth as it should be; Record is to be stored before it.
	Result awsauth.Result
	Record rules.Record
	// RecordChanged says that Record holds news, beside what may be forgotten.
	RecordChanged bool

	Evaluation rules.Evaluation
	Removal    removal.Decision
	// Conflicts are grants that give way to somebody else's entry.
	Conflicts []Conflict
	// Added, Changed and Removed are the differences between our entries in
	// the document before and after, in document order.
	Added, Changed, Removed []awsauth.Entry
	// Ours and Foreign count the entries that EKS sees afterwards, by kind;
	// Standing and ForeignStanding those that it sees as long as nothing is
	// written.
	Ours, Foreign, Standing, ForeignStanding map[rules.Kind]int
	// standing is aws-auth as it is.
	standing *awsauth.Document
	// Paused: people want nothing written. Only NewPlan sets it.
	Paused bool
	// before are our entries in the document as it was, if that changes.
	before []history.Own

	// Revived are entries that had been taken out and were written back; Orphans
	// are somebody else's whose principal does not exist.
	Revived []Revived
	Orphans []awsauth.Entry
	// approval is what is made of the annotation, for NewPlan's callers.
	approval approval

	// Entries is what is to be done about access entries, of which EntriesOurs
	// were ours before; EntriesLeftOut cannot be any.
	Entries        accessentry.Plan
	EntriesOurs    int
	EntriesLeftOut []accessentry.Refused
	// elsewhere are the rules that are about accounts that are not listed.
	elsewhere elsewhere
	// inDocument: aws-auth takes over from access entries and says all that is
	// wanted.
	inDocument bool
}

var errUnread = errors.New("nothing is written: EKS would not read")

// readable refuses a result in which EKS would not take an entry of ours as it
// is written.
func (o *Outcome) readable() error {
	for _, entries := range [][]awsauth.Entry{o.Added, o.Changed} {
		if unread := o.Result.Document.Unread(entries); len(unread) > 0 {
			return fmt.Errorf("%w the entry of %s as it is meant; please report this with your aws-auth", errUnread, unread[0].ARN)
		}
	}
	return nil
}

// Conflict is a grant for an ARN that has an entry of somebody else's, which
// wins.
type Conflict struct {
	Grant rules.Grant
	Entry awsauth.Entry
	// Same: the entry says what ours would say, so adopting would change nothing.
	Same bool
	// Elsewhere: it is an access entry, of which only the ARN is known.
	Elsewhere bool
}

// Compute decides what aws-auth should hold. It is a function of its argument
// but for the ledger, which forgets evidence that is no longer needed. Where ctx
// ends while rules are matched there is no outcome, and the error is
// rules.ErrUnfinished.
func Compute(ctx context.Context, s Situation) (Outcome, error) {
	if s.Ages.Now.IsZero() {
		s.Ages.Now = s.Now
	}
	c := computation{Situation: s, recorded: newRecorded(s.Record, s.Now)}
	if s.Rules != nil {
		c.inForce = map[rules.Kind]map[string]bool{rules.User: s.Rules.Digests(rules.User), rules.Role: s.Rules.Digests(rules.Role)}
		c.recorded.addEntries(s.Entries.Record)
		var err error
		if c.out.Evaluation, err = s.Rules.EvaluateWithin(ctx, s.Ages, s.Principals, c.recorded.granted); err != nil {
			return Outcome{}, err
		}
		if s.RecordFull {
			c.leaveOutNew()
		}
		c.out.elsewhere = newElsewhere(s.Rules, c.out.Evaluation.Rules, s.Accounts)
	}
	c.listed = make(map[string]bool, len(s.Principals))
	for _, p := range s.Principals {
		c.listed[arn.Fold(p.ARN)] = true
	}
	c.sortEntries()
	c.sortAccessEntries()
	c.findRevived()
	c.findOrphans()
	want := c.wanted()
	kept := c.keep(want)
	c.planEntries(want)
	want = c.documentWants(want)
	c.out.Result = s.Document.Merge(awsauth.Edit{
		Owned: c.owned, Want: append(entriesOf(want), kept...), Originals: s.Record.Originals, Limit: s.Limit,
	})
	c.out.Record = c.record(want)
	c.out.RecordChanged = news(s.Record, c.out.Record, s.Now)
	c.compare()
	if len(c.out.Result.Changed) > 0 {
		c.out.before = c.ownBefore()
	}
	return c.out, nil
}

// leaveOutNew leaves out whoever is not on record.
func (c *computation) leaveOutNew() {
	c.out.Evaluation.Grants = slices.DeleteFunc(c.out.Evaluation.Grants, func(g rules.Grant) bool {
		_, known := c.recorded.digests[arn.Fold(g.PrincipalARN)]
		if !known {
			c.out.Evaluation.LeftOut = append(c.out.Evaluation.LeftOut, rules.LeftOut{
				Kind: g.Kind, ARN: g.PrincipalARN, Rule: g.Rule, Reason: "the record of what is ours has no room for it",
			})
		}
		return !known
	})
}

type computation struct {
	Situation
	out      Outcome
	recorded recorded
	adopted  map[entryKey]bool
	ours     []awsauth.Entry           // in the document
	places   []int                     // of ours among the document's entries
	foreign  map[string]awsauth.Entry  // by folded ARN, of either kind
	granted  map[entryKey]rules.Grant  // what the rules grant, conflicts included
	held     map[entryKey]removal.Held // entries that the breaker holds
	removed  map[entryKey]removal.Why
	inForce  map[rules.Kind]map[string]bool // digests of the present rules
	listed   map[string]bool                // folded ARNs of the principals
	byARN    map[string]int                 // folded ARN: index of the principal; nil until it is asked for
	// entryKeys are the keys of the entries that principals have, or would have;
	// nil until they are asked for.
	entryKeys map[entryKey]bool
	entries   entryComputation
}

// entryKey identifies an entry within aws-auth.
type entryKey struct {
	kind rules.Kind
	arn  string // folded, as aws-auth holds it
}

func keyOf(e awsauth.Entry) entryKey { return entryKey{e.Kind, e.Key()} }

func grantKey(g rules.Grant) entryKey { return entryKey{g.Kind, arn.Fold(g.EntryARN)} }

func entryOf(g rules.Grant) awsauth.Entry {
	return awsauth.Entry{Kind: g.Kind, ARN: g.EntryARN, Username: g.Username, Groups: g.Groups}
}

func entriesOf(grants []rules.Grant) []awsauth.Entry {
	entries := make([]awsauth.Entry, len(grants))
	for i, g := range grants {
		entries[i] = entryOf(g)
	}
	return entries
}

// owned reports whether an entry of the document is ours: recorded with just
// this content, or adopted now.
func (c *computation) owned(e awsauth.Entry) bool {
	return c.recorded.holds(e) || c.adopted[keyOf(e)] && c.matchesGrant(e)
}

func (c *computation) matchesGrant(e awsauth.Entry) bool {
	g, ok := c.granted[keyOf(e)]
	return ok && rules.ContentDigest(g.Username, g.Groups) == e.Digest()
}

// sortEntries tells ours from somebody else's, adopting where that is asked for.
func (c *computation) sortEntries() {
	c.granted = make(map[entryKey]rules.Grant, len(c.out.Evaluation.Grants))
	for _, g := range c.out.Evaluation.Grants {
		c.granted[grantKey(g)] = g
	}
	entries := c.Document.Entries()
	if c.Adopt {
		times := map[string]int{}
		for _, e := range entries {
			times[e.Key()]++
		}
		// Of several entries for one ARN it is not ours to say which one counts.
		c.adopted = map[entryKey]bool{}
		for _, e := range entries {
			c.adopted[keyOf(e)] = times[e.Key()] == 1 && !c.recorded.holds(e) && c.matchesGrant(e)
		}
	}
	c.foreign = map[string]awsauth.Entry{}
	for i, e := range entries {
		if c.owned(e) {
			c.ours, c.places = append(c.ours, e), append(c.places, i)
		} else {
			c.foreign[e.Key()] = e
		}
	}
}

// wanted are the grants that should stand in the document, in order.
func (c *computation) wanted() []rules.Grant {
	want := make([]rules.Grant, 0, len(c.out.Evaluation.Grants))
	for _, g := range c.out.Evaluation.Grants {
		if e, taken := c.foreign[arn.Fold(g.EntryARN)]; taken {
			c.conflict(Conflict{Grant: g, Entry: e, Same: e.Kind == g.Kind && c.matchesGrant(e)})
			continue
		}
		want = append(want, g)
	}
	return want
}

// principalKey is the key of a principal's entry: a role's path is not in it.
func principalKey(kind rules.Kind, principalARN string) entryKey {
	if kind == rules.Role {
		if a, err := arn.Parse(principalARN); err == nil {
			principalARN = a.WithoutPath().String()
		}
	}
	return entryKey{kind, arn.Fold(principalARN)}
}

// compare lists what the result changes, and counts.
func (c *computation) compare() {
	before := make(map[entryKey]string, len(c.ours))
	for _, e := range c.ours {
		before[keyOf(e)] = e.Digest()
	}
	c.out.Ours, c.out.Foreign = map[rules.Kind]int{}, map[rules.Kind]int{}
	c.out.Standing, c.out.ForeignStanding, c.out.standing = map[rules.Kind]int{}, map[rules.Kind]int{}, c.Document
	for _, e := range c.ours {
		c.out.Standing[e.Kind]++
	}
	for _, e := range c.Document.Entries() {
		c.out.ForeignStanding[e.Kind]++
	}
	for kind, n := range c.out.Standing {
		c.out.ForeignStanding[kind] -= n
	}
	after := map[entryKey]bool{}
	for _, e := range c.out.Result.Document.Entries() {
		key := keyOf(e)
		_, wasOurs := before[key]
		_, wasForeign := c.foreign[e.Key()]
		if wasForeign || !wasOurs && !c.wasGranted(key) {
			c.out.Foreign[e.Kind]++
			continue
		}
		after[key] = true
		c.out.Ours[e.Kind]++
		switch old, there := before[key]; {
		case !there:
			c.out.Added = append(c.out.Added, e)
		case old != e.Digest():
			c.out.Changed = append(c.out.Changed, e)
		}
	}
	for _, e := range c.ours {
		if !after[keyOf(e)] {
			c.out.Removed = append(c.out.Removed, e)
			after[keyOf(e)] = true
		}
	}
}

func (c *computation) wasGranted(key entryKey) bool {
	_, ok := c.granted[key]
	return ok
}
