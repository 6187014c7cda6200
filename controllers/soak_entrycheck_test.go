package controllers

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// judgeEntries holds a replica's call to EKS against the rules of writing.
func (s *soak) judgeEntries(r *replica, before map[string]soakEKSItem) {
	s.judgePause(r)
	recorded := map[string]bool{}
	for _, o := range s.recordedEntries().Entries {
		recorded[strings.ToLower(o.ARN)] = true
	}
	keys := maps.Clone(before)
	maps.Copy(keys, s.eks.entries)
	for _, arn := range slices.Sorted(maps.Keys(keys)) {
		s.summary.Checks++
		old, was := before[arn]
		now, is := s.eks.entries[arn]
		key := entryTrack(entryKindOf(arn), arn)
		switch {
		case was == is && old.ours == now.ours && old.grantedTo == now.grantedTo:
		case was && !old.ours:
			s.violation("%s changes somebody else's access entry of %s from %+v to %+v", r.name, arn, old, now)
		case is && !now.ours:
			s.violation("%s makes an access entry of %s that is not ours", r.name, arn)
		case is && !recorded[arn]:
			s.violation("%s makes or changes the access entry of %s, which is not in its record", r.name, arn)
		case is:
			s.note("%s makes the access entry of %s: %v", r.name, arn, now.grantedTo)
			s.judgeEntry(r, key, old, now)
			s.judgeGroups(r, key, now.grantedTo)
		default:
			s.note("%s deletes the access entry of %s", r.name, arn)
			s.eks.gone[arn] = soakEKSGone{r.rec, s.now()}
			if old.works && s.judgeRemoval(r, key, old.grantedTo) {
				s.judgeBreaker(entryKindOf(arn), []string{arn}, s.whole(entryKindOf(arn), s.doc.data, before))
			}
		}
	}
}

// judgeEntry: what is being made says nothing but what it said or shall say.
func (s *soak) judgeEntry(r *replica, key string, old, now soakEKSItem) {
	t := s.iam.tracks[key]
	if t == nil || t.taken && s.known(r, t) {
		s.violation("%s makes an access entry of %s, which is nobody's or somebody else's", r.name, key)
		return
	}
	want := s.grant(t.by)
	if !s.given.at.Before(r.began) || !s.informed(r, t.by) || s.capped(t.by) {
		return
	}
	if want == nil || now.username != want.username && now.username != old.username {
		s.violation("%s gives %s %v; the rules give %v", r.name, key, now, want)
		return
	}
	for group := range strings.SplitSeq(now.groups, ",") {
		if group != "" && !slices.Contains(strings.Split(want.groups+","+old.groups, ","), group) {
			s.violation("%s gives %s the group %s; the rules give %v", r.name, key, group, want)
		}
	}
}

// known reports whether a replica must know that somebody else lets a principal
// in: what stands in the store that it writes it sees, and of the other one it
// knows what it saw there last.
func (s *soak) known(r *replica, t *soakTrack) bool {
	touched := s.eks.touched[strings.ToLower(t.by.arn())].Add(soakLook + 2*s.bound())
	switch {
	case !t.other:
		return true
	case t.store == inEntries:
		return t.since.Before(r.began)
	default:
		return t.since.Add(2*s.bound()).Before(r.looked) && r.looked.After(s.calm.eks) && s.now().After(touched)
	}
}

// losesBy reports whether what a replica took from one store takes somebody's
// access, and that by its own fault: it has the present target, and nobody else
// has deleted the access entry since it last listed them.
func (s *soak) losesBy(r *replica, t *soakTrack) bool {
	dropped := s.eks.dropped[strings.ToLower(t.by.arn())].After(r.looked)
	if gone := s.eks.gone[strings.ToLower(t.by.arn())]; gone.by != r.rec && gone.at.Add(s.eks.lag).After(r.looked) {
		return false // EKS lists what another process has deleted
	}
	return s.reads(t.store) && !s.letIn(t.by) && r.target == s.config.Target && !dropped
}

// recordedEntries is the record of access entries as it is stored.
func (s *soak) recordedEntries() accessentry.Record {
	s.readRecords()
	return *s.check.entries
}

// entriesOurs gives our access entries that work, by track key.
func (s *soak) entriesOurs() map[string]grantedTo {
	found := map[string]grantedTo{}
	for arn, e := range s.eks.entries {
		if e.ours {
			g := e.grantedTo
			if !e.works {
				g.username += " (dead)"
			}
			found[entryTrack(entryKindOf(arn), arn)] = g
		}
	}
	return found
}

// whole counts who has access by us, in whatever store, by account.
func (s *soak) whole(kind rules.Kind, data soakData, entries map[string]soakEKSItem) map[string]int {
	in := maps.Clone(s.reader.ours(data, kind))
	for arn, e := range entries {
		if e.ours && entryKindOf(arn) == kind {
			parts := strings.Split(arn, "/")
			if kind == rules.Role {
				arn = parts[0] + "/" + parts[len(parts)-1]
			}
			in[trackKey(kind, arn)] = e.grantedTo
		}
	}
	count := map[string]int{}
	for key := range in {
		count[accountIn(key)]++
	}
	return count
}

// calmOf is when the last trouble ended that keeps an entry from being right.
func (s *soak) calmOf(t *soakTrack) time.Time {
	calm := later(later(s.calm.api, s.calm.process), later(s.calm.pause, s.eks.changed))
	arn := strings.ToLower(t.by.arn())
	waits := later(s.calm.eks, s.eks.touched[arn].Add(soakLook+2*s.bound()))
	if s.calm.clock.After(s.now()) { // by whose clock is it time to look?
		waits = later(s.calm.eks, s.eks.touched[arn].Add(soakLook+5*time.Minute+2*s.bound()))
	}
	if t.taken && t.other { // only of those who are granted access it is known
		calm = later(calm, s.awsCalm(t.by).Add(s.bound()))
	}
	if t.store == inDoc {
		calm = later(calm, s.calm.doc[t.kind])
		if alone := s.config.Target == TargetAccessEntries || s.config.Target == TargetAuto; s.entries && (alone || t.taken || s.calm.eks.Sub(s.eks.dropped[arn]) < soakLook) {
			calm = later(calm, waits)
		}
		return calm
	}
	if refused, ok := s.eks.refused[arn]; ok {
		waits = later(waits, refused.Add(soakWait))
	}
	return later(calm, waits)
}

// checkEmptied: a store that is no target any longer holds nothing of ours once
// the other one has said everything for a while.
func (s *soak) checkEmptied() {
	if !s.entries {
		return
	}
	s.summary.Checks++
	for _, kind := range rules.Kinds() {
		if ours := s.reader.ours(s.doc.data, kind); len(ours) > 0 && !s.selected(inDoc) && s.reads(inEntries) {
			s.violation("aws-auth is no target and holds %v", ours)
		}
	}
	if ours := s.entriesOurs(); len(ours) > 0 && !s.selected(inEntries) && s.reads(inDoc) {
		s.violation("access entries are no target and there are %v", ours)
	}
}
