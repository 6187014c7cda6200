package controllers

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// checkSaid: nobody is held without a condition that names the way out.
func (s *soak) checkSaid(held int) {
	s.summary.Checks++
	if held == 0 {
		return
	}
	if c := s.condition(ConditionRemovalHeld); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, ApproveAnnotation+"=") {
		s.violation("%d are held, and the condition says %+v", held, c)
	}
}

// checkRecord: after a refresh that ended well the record is what stands.
func (s *soak) checkRecord(r *replica) {
	if s.lost || r.met || s.depth > 0 || s.doc.missing || !s.paused.IsZero() || s.now().Before(s.calm.clock) {
		return
	}
	record := s.recorded()
	stands := map[string]bool{}
	held := map[string]map[string]bool{}
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
		if _, in := s.reader.ours(s.doc.data, o.Kind)[ownedTrack(o)]; in && !o.HeldSince.IsZero() && o.Forget.IsZero() {
			hold(o.Kind, o.ARN)
		}
	}
	n := 0
	for _, list := range held {
		n += len(list)
	}
	s.checkSaid(n)
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
