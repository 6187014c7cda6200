package controllers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Access is what the access entries of EKS say about an identity.
type Access struct {
	// Cluster is the one that was asked; where none was, Unasked is the one that
	// the refresher has to do with, empty for none.
	Cluster, Unasked string
	Mode             accessentry.Mode // empty: not asked
	// Entry is the identity's; nil for none. Ours: it is on record, too. Dead: it
	// was made for an earlier principal of that name and lets nobody in.
	Entry      *accessentry.Existing
	Ours, Dead bool
	// Near are others that are almost for it, each with what is wrong about it.
	Near []string
}

// Counts reports whether the access entry lets the identity in.
func (a *Access) Counts() bool { return a.Mode.ReadsEntries() && a.Entry != nil && !a.Dead }

// ReadsConfigMap reports whether aws-auth counts, as far as is known.
func (a *Access) ReadsConfigMap() bool { return a.Mode == "" || a.Mode.ReadsConfigMap() }

// LetIn reports whether the identity gets in.
func (x *Explanation) LetIn() bool {
	return x.Access.Counts() || x.Access.ReadsConfigMap() && (x.Entry != nil || x.Account)
}

func (x *Explanation) lookUpAccess(d PlanData) {
	if x.Access.Mode = d.Entries.View.Mode; x.Access.Mode == "" {
		x.Access.Unasked = d.Entries.Record.Cluster
		return
	}
	x.Access.Cluster = d.Entries.Record.Cluster
	for _, e := range d.Standing {
		if x.Listed && arn.Fold(e.ARN) != arn.Fold(x.Principal.ARN) {
			x.Access.Near = append(x.Access.Near, fmt.Sprintf("there is an access entry for %s, which nobody matches: the %s is %s", e.ARN, x.Principal.Kind, x.Principal.ARN))
			continue
		}
		recorded := slices.ContainsFunc(d.Entries.Record.Entries, func(o accessentry.Owned) bool { return o.Key() == arn.Fold(e.ARN) })
		x.Access.Entry, x.Access.Ours = &e, e.Ours && recorded
		x.Access.Dead = x.Listed && x.Principal.CreateDate.After(e.Made)
	}
}

// nextAccess is what becomes of a principal's access entry.
func (o *Outcome) nextAccess(p rules.Principal) string {
	key := principalKey(p.Kind, p.ARN)
	is := func(e accessentry.Entry) bool { return principalKey(e.Kind, e.ARN) == key }
	refused := func(r accessentry.Refused) bool { return is(r.Entry) }
	for _, change := range []struct {
		list []accessentry.Entry
		text string
	}{
		{o.Entries.Create, "the refresher is about to make an access entry for it, as "},
		{o.Entries.Update, "the refresher is about to make its access entry "},
		{o.Entries.Recreate, "the refresher is about to make its access entry again, as "},
		{o.Entries.Adopt, "the refresher is about to take its access entry over, if that says "},
	} {
		if i := slices.IndexFunc(change.list, is); i >= 0 {
			return change.text + EntryGives(change.list[i])
		}
	}
	switch {
	case slices.ContainsFunc(o.Entries.Delete, func(d accessentry.Owned) bool { return principalKey(d.Kind, d.ARN) == key }):
		return "the refresher is about to remove its access entry"
	case slices.ContainsFunc(o.Entries.Overflow, is):
		return fmt.Sprintf("there is no place for its access entry: a cluster has at most %d", accessentry.Limit)
	}
	if i := slices.IndexFunc(o.EntriesLeftOut, refused); i >= 0 {
		return "it gets no access entry: " + o.EntriesLeftOut[i].Reason
	}
	return ""
}

// EntryGives is what an access entry gives, in one line.
func EntryGives(e accessentry.Entry) string {
	groups := e.Groups
	if e.Admin {
		_, policy, _ := strings.Cut(accessentry.AdminPolicy, "/")
		groups = append(slices.Clone(groups), policy)
	}
	return e.Username + " [" + strings.Join(groups, ", ") + "]"
}
