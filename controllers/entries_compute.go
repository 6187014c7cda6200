package controllers

import (
	"slices"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// entryComputation is the part of a computation that concerns access entries.
type entryComputation struct {
	used      bool                // there are any to be concerned with
	foreign   map[string]bool     // folded ARNs that have somebody else's
	ours      []accessentry.Owned // that stand there
	want      []rules.Grant       // that should
	unwanted  map[string]bool     // folded ARNs of ours that nobody is granted
	elsewhere map[entryKey]bool   // keys of c.foreign that are access entries
}

// addEntries lets access entries count as granted before.
func (r recorded) addEntries(record accessentry.Record) {
	for _, o := range record.Entries {
		r.addDigests(o.Key(), o.Selectors)
	}
}

// sortAccessEntries tells ours from somebody else's. Where the cluster reads
// both stores a principal that has an entry of somebody else's in one of them
// is theirs in the other, too: an access entry overrides aws-auth.
func (c *computation) sortAccessEntries() {
	s := c.Entries
	c.entries.used = s.Selected || s.Alone || len(s.Record.Entries) > 0
	if !c.entries.used {
		return
	}
	c.entries.foreign = s.View.Foreign(s.Record)
	c.entries.ours = s.View.Ours(s.Record)
	c.entries.unwanted, c.entries.elsewhere = map[string]bool{}, map[entryKey]bool{}
	inDocument := make(map[string]bool, len(c.foreign))
	for key := range c.foreign {
		inDocument[key] = true
	}
	for _, g := range c.out.Evaluation.Grants {
		key, folded := arn.Fold(g.EntryARN), arn.Fold(g.PrincipalARN)
		theirs := c.entries.foreign[folded]
		if theirs && c.readsBoth() && !inDocument[key] {
			c.foreign[key] = awsauth.Entry{Kind: g.Kind, ARN: g.EntryARN}
			c.entries.elsewhere[grantKey(g)] = true
		}
		switch {
		case !theirs && (!c.readsBoth() || !inDocument[key]):
			c.entries.want = append(c.entries.want, g)
		case theirs && !c.readsBoth() && s.Selected:
			c.out.Conflicts = append(c.out.Conflicts, Conflict{Grant: g, Elsewhere: true})
		}
	}
}

// conflict notes that a grant gives way in aws-auth, if that matters.
func (c *computation) conflict(x Conflict) {
	x.Elsewhere = c.entries.elsewhere[grantKey(x.Grant)]
	x.Same = x.Same && !x.Elsewhere
	if !c.Entries.Alone || c.readsBoth() {
		c.out.Conflicts = append(c.out.Conflicts, x)
	}
}

// readsBoth: an unknown mode counts as that.
func (c *computation) readsBoth() bool {
	m := c.Entries.View.Mode
	return m == "" || m == accessentry.ModeAPIConfigMap
}

// unwantedEntries finds those of ours that are not wanted any longer. Those
// that give way to somebody else's are not among them.
func (c *computation) unwantedEntries() {
	wanted := make(map[string]bool, len(c.entries.want))
	for _, g := range c.entries.want {
		wanted[arn.Fold(g.PrincipalARN)] = true
	}
	for _, o := range c.entries.ours {
		_, taken := c.foreign[principalKey(o.Kind, o.ARN).arn]
		if !wanted[o.Key()] && (!taken || !c.readsBoth()) {
			c.entries.unwanted[o.Key()] = true
		}
	}
}

// entryCandidates adds to the decision what stands in access entries: what goes
// from one store goes from the other for the same reasons.
func (c *computation) entryCandidates(in *removal.Input) {
	for _, o := range c.entries.ours {
		owned := rules.Owned{Kind: o.Kind, ARN: o.ARN, Digest: o.Digest, Selectors: o.Selectors, Groups: o.Groups, HeldSince: o.HeldSince}
		in.Owned = append(in.Owned, owned)
		// While EKS cannot be asked nothing could go, so nothing is counted.
		if !c.entries.unwanted[o.Key()] || c.Entries.View.Err != nil || c.Entries.View.Listed == nil {
			continue
		}
		in.Candidates = append(in.Candidates, c.candidate(owned))
	}
}

// planEntries decides about the access entries.
func (c *computation) planEntries(want []rules.Grant) {
	if !c.entries.used {
		return
	}
	in := accessentry.Input{Now: c.Now, View: c.Entries.View, Record: c.Entries.Record, Stay: map[string]time.Time{}}
	in.Record.Entries = slices.Clone(in.Record.Entries)
	for i, o := range in.Record.Entries {
		if _, goes := c.removed[principalKey(o.Kind, o.ARN)]; goes && c.entries.unwanted[o.Key()] {
			in.Record.Entries[i].HeldSince = c.heldSince(o.Kind, o.ARN, o.HeldSince)
		}
	}
	byARN := accessentry.Principals(c.Principals)
	unsayable := map[string]bool{}
	entry := func(g rules.Grant) (accessentry.Entry, bool) {
		e, reason := accessentry.FromGrant(g, byARN[arn.Fold(g.PrincipalARN)])
		if reason != "" {
			c.out.EntriesLeftOut = append(c.out.EntriesLeftOut, accessentry.Refused{Entry: e, Reason: reason})
		}
		return e, reason == ""
	}
	for _, g := range c.entries.want {
		e, ok := entry(g)
		if ok {
			in.Want = append(in.Want, e)
		} else {
			unsayable[e.Key()] = true
		}
	}
	for _, g := range c.out.Evaluation.Grants {
		if c.Adopt && c.entries.foreign[arn.Fold(g.PrincipalARN)] {
			if e, ok := entry(g); ok {
				in.Adopt = append(in.Adopt, e)
			}
		}
	}
	for key := range c.entries.unwanted {
		in.Stay[key] = time.Time{}
	}
	for _, o := range c.entries.ours {
		key := principalKey(o.Kind, o.ARN)
		if _, goes := c.removed[key]; goes {
			delete(in.Stay, o.Key())
		} else if h, held := c.held[key]; held && c.entries.unwanted[o.Key()] {
			in.Stay[o.Key()] = h.Since
		}
	}
	c.out.inDocument = !c.Entries.Selected && !c.Entries.Alone && c.Entries.View.Mode.ReadsConfigMap() && c.inDocument(want)
	since := c.Entries.InDocumentSince
	in.Empty = c.out.inDocument && c.Entries.Doubt == nil && !since.IsZero() && c.Now.Sub(since) >= accessentry.SettleTime
	in.Keep = !c.Entries.Selected && !in.Empty
	if !in.Empty {
		// Who is granted access in words that no access entry takes keeps the one
		// that there is.
		for key := range unsayable {
			in.Stay[key] = time.Time{}
		}
	}
	c.out.Entries = accessentry.Decide(in)
	c.out.EntriesOurs = len(c.entries.ours)
	if len(c.out.EntriesLeftOut) > 0 {
		c.out.Entries.Complete = false
	}
}

// inDocument reports whether aws-auth already says all that is wanted.
func (c *computation) inDocument(want []rules.Grant) bool {
	there := make(map[entryKey]string, len(c.ours))
	for _, e := range c.ours {
		there[keyOf(e)] = e.Digest()
	}
	for _, g := range want {
		if there[grantKey(g)] != rules.ContentDigest(g.Username, g.Groups) {
			return false
		}
	}
	return true
}

// documentWants is what aws-auth should hold of what is wanted: nothing new
// when it is not a target, and nothing at all once the access entries are
// complete and count, which nobody knows while none of them is accepted.
func (c *computation) documentWants(want []rules.Grant) []rules.Grant {
	if !c.Entries.Alone {
		return want
	}
	if c.Entries.Selected && c.out.Entries.Complete && c.out.Entries.Settled && c.Rules != nil {
		return nil
	}
	there := make(map[entryKey]bool, len(c.ours))
	for _, e := range c.ours {
		there[keyOf(e)] = true
	}
	var standing []rules.Grant
	for _, g := range want {
		if there[grantKey(g)] {
			standing = append(standing, g)
		}
	}
	return standing
}
