package controllers

import (
	"maps"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// checkRecord: after a refresh that ended well the record is what stands.
func (s *soak) checkRecord(r *replica) {
	if r.met || s.depth > 0 || s.doc.missing || !s.paused.IsZero() || s.now().Before(s.calm.clock) {
		return
	}
	record := s.recorded()
	stands := map[string]bool{}
	held, counted := map[string]map[string]bool{}, map[string]int{}
	hold := func(kind rules.Kind, arn string) {
		group := string(kind) + "s of " + accountIn(arn)
		if held[group] == nil {
			held[group] = map[string]bool{}
		}
		held[group][strings.ToLower(arn)] = true
	}
	entries := map[string]bool{}
	for _, o := range s.recordedEntries().Entries {
		entries[strings.ToLower(o.ARN)] = true
		if !o.HeldSince.IsZero() && s.now().After(s.calm.eks.Add(s.bound())) && s.eks.entries[strings.ToLower(o.ARN)].ours {
			hold(o.Kind, o.ARN)
		}
	}
	for arn, e := range s.eks.entries {
		s.summary.Checks++
		if e.ours && !entries[arn] {
			s.violation("the access entry of %s carries our tag, but is not in the record", arn)
		}
	}
	for _, o := range record.Entries {
		if o.Forget.IsZero() {
			stands[ownedTrack(o)+" "+o.Digest] = true
		}
		if _, in := s.reader.ours(s.doc.data, o.Kind)[ownedTrack(o)]; in && !o.HeldSince.IsZero() {
			hold(o.Kind, o.ARN)
		}
	}
	for _, x := range record.Removals {
		counted[string(x.Kind)+"s of "+x.AccountID] += x.Count
	}
	for group, list := range held {
		s.summary.Checks++
		// Who went from one store while the other could not be asked counts twice.
		maps.DeleteFunc(list, func(arn string, _ bool) bool { return !s.check.window[group][arn].IsZero() && s.entries })
		twice := s.entries && s.now().Sub(s.calm.eks) < soakHold+2*s.bound()
		if n := len(list); n > 0 && !twice && n+counted[group] <= removal.Defaults().MaxCount {
			s.violation("%d %s are held, which are not too many", n, group)
		}
	}
	for _, kind := range rules.Kinds() {
		s.summary.Checks++
		if readable := s.reader.readable(s.doc.data[kind.DataKey()]); !readable {
			continue
		}
		for key, g := range s.reader.ours(s.doc.data, kind) {
			s.summary.Checks++
			if !stands[key+" "+digestOf(g)] {
				s.violation("%s stands in aws-auth, but not in the record", key)
			}
			delete(stands, key+" "+digestOf(g))
		}
		for key := range stands {
			if !r.applied && strings.HasPrefix(key, string(kind)+" ") {
				s.violation("%s stands in the record, but not in aws-auth", key)
			}
		}
	}
}
