package controllers

import (
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakCheck holds the world against what must always be true:
//
//   - each write of ours changes no byte that is somebody else's, is preceded
//     by its record, gives nobody anything but what the rules say, takes access
//     from nobody who exists and is granted it, and takes it from no more than
//     the breaker allows;
//   - whoever is granted access has it an interval after all trouble ended;
//   - whoever is not granted it loses it within an interval, or is held by the
//     breaker, for no longer than its hold; the entries of those who are gone
//     follow when listings have shown it;
//   - after a refresh that ended well the record is what stands in aws-auth;
//   - a refresh ends badly only in trouble.
type soakCheck struct {
	window map[string]map[string]time.Time // by account and kind: // who went at once, lately, by ARN
	off    map[string]time.Time            // since when what stands is not what should
	held   map[string]time.Time            // since when it is held
	// The records; nil: a replica has tried to write them since they were read.
	record  *rules.Record
	entries *accessentry.Record
	holds   map[string]bool            // what they say is held
	given   map[string]map[string]bool // groups that somebody has got, by track
}

// bound is the time within which a refresh comes.
func (s *soak) bound() time.Duration { return s.config.RefreshInterval*107/100 + 2*time.Second }

// judge holds a write of a replica against the rules of writing.
func (s *soak) judge(r *replica, old, now soakData) {
	s.judgePause(r)
	for key := range both(old, now) {
		s.summary.Checks++
		switch key {
		case "mapUsers", "mapRoles":
			s.judgeText(key, old, now)
		default:
			if old[key] != now[key] {
				s.violation("%s changes %s from %q to %q", r.name, key, old[key], now[key])
			}
		}
	}
	s.judgeRecord(r, now)
	for _, kind := range rules.Kinds() {
		before, after := s.reader.ours(old, kind), s.reader.ours(now, kind)
		var gone []string
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if _, stays := after[key]; !stays {
				s.note("%s takes out %s", r.name, key)
				if s.judgeRemoval(r, key, before[key]) {
					gone = append(gone, strings.ToLower(s.iam.tracks[key].by.arn()))
				}
			}
		}
		for _, key := range slices.Sorted(maps.Keys(after)) {
			if after[key] != before[key] {
				s.note("%s writes %s: %v", r.name, key, after[key])
				s.judgeAddition(r, key, after[key])
				s.judgeGroups(r, key, after[key])
			}
		}
		s.judgeBreaker(kind, gone, s.whole(kind, old, s.eks.entries))
	}
}

func both(a, b soakData) map[string]bool {
	keys := map[string]bool{}
	for key := range a {
		keys[key] = true
	}
	for key := range b {
		keys[key] = true
	}
	return keys
}

func (s *soak) judgeText(key string, old, now soakData) {
	before, was := old[key]
	after, is := now[key]
	if before == after && was == is {
		return
	}
	readable := s.reader.readable(before)
	if !readable || foreignText(before) != foreignText(after) {
		s.violation("a foreign byte of %s changes:\n%q\n%q\nsomebody else's:\n%q\n%q", key, before, after, foreignText(before), foreignText(after))
	}
	hadOurs, hasOurs := strings.Contains(before, soakMark), strings.Contains(after, soakMark)
	switch original, known := s.doc.original[key]; {
	case !hadOurs && hasOurs && was:
		s.doc.original[key] = &before
	case !hadOurs && hasOurs:
		s.doc.original[key] = nil
	case hadOurs && !hasOurs && known && (original == nil) == is:
		s.violation("%s was there before us: %v, and is after us: %v", key, original != nil, is)
	case hadOurs && !hasOurs && known && original != nil && *original != after:
		s.violation("%s was %q before our first entry, and is %q after the last", key, *original, after)
	}
}

// judgeRecord: what is written was recorded before.
func (s *soak) judgeRecord(r *replica, now soakData) {
	if s.lost {
		return
	}
	recorded := map[string]bool{}
	for _, o := range s.recorded().Entries {
		if !forgotten(o, s.now()) {
			recorded[ownedTrack(o)+" "+o.Digest] = true
		}
	}
	for _, kind := range rules.Kinds() {
		for key, g := range s.reader.ours(now, kind) {
			s.summary.Checks++
			if !recorded[key+" "+digestOf(g)] {
				s.violation("%s writes %s, which is not in its record, but %+v", r.name, key, s.recordOf(key))
			}
		}
	}
}

// recordOf is all that the record says of somebody.
func (s *soak) recordOf(key string) []rules.Owned {
	return slices.DeleteFunc(slices.Clone(s.recorded().Entries), func(o rules.Owned) bool { return ownedTrack(o) != key })
}

func digestOf(g grantedTo) string {
	if g.groups == "" {
		return rules.ContentDigest(g.username, nil)
	}
	return rules.ContentDigest(g.username, strings.Split(g.groups, ","))
}

func ownedTrack(o rules.Owned) string {
	a, err := arn.Parse(o.ARN)
	if err == nil && o.Kind == rules.Role {
		return trackKey(o.Kind, a.WithoutPath().String())
	}
	return trackKey(o.Kind, o.ARN)
}

// recorded is the record as it is stored.
func (s *soak) recorded() rules.Record {
	s.readRecords()
	return *s.check.record
}

func (s *soak) readRecords() {
	if s.check.record != nil {
		return
	}
	state, record, err := (store{s.admin, s.config.Names}).readRecord(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	entries, err := readEntries(state)
	if err != nil {
		s.Fatal(err)
	}
	s.check.record, s.check.entries, s.check.holds = &record, &entries, map[string]bool{}
	// What goes unheld is on record as held long ago.
	held := func(o rules.Owned) bool { return !o.HeldSince.IsZero() && s.now().Sub(o.HeldSince) < clockSlack/2 }
	for _, o := range record.Entries {
		if held(o) && o.Forget.IsZero() {
			s.check.holds[ownedTrack(o)] = true
		}
	}
	for _, o := range entries.Entries {
		if !o.HeldSince.IsZero() && s.now().Sub(o.HeldSince) < clockSlack/2 {
			s.check.holds[entryTrack(o.Kind, o.ARN)] = true
		}
	}
}

// judgeRemoval reports whether it counts towards the breaker's limits.
func (s *soak) judgeRemoval(r *replica, key string, had grantedTo) bool {
	s.summary.Checks++
	t := s.iam.tracks[key]
	switch {
	case t == nil:
		s.violation("%s was never anybody", key)
	case t.want != nil && !s.onlyCapped(t, had) && !t.since.After(r.began) && s.informed(r, t.by) && s.seen(t.by) && s.losesBy(r, t):
		s.violation("%s takes out %s, who exists and is granted %v since %s", r.name, key, *t.want, t.since)
	case t.exists && !t.taken && t.want == nil && !s.held(key) && s.given.approved.IsZero() && s.now().Sub(t.ungranted) < soakHold:
		return true
	}
	return false
}

// onlyCapped: what somebody had is not by the rule with a maxMatches that grants
// it now, and that may not have let them in; or a backup brought it.
func (s *soak) onlyCapped(t *soakTrack, had grantedTo) bool {
	if !s.capped(t.by) || !s.restored.Before(t.since) {
		return s.capped(t.by)
	}
	return !slices.ContainsFunc(s.given.list, func(r soakRule) bool {
		return r.could(t.by.soakName) && (r.maxMatches == 0 || slices.Contains(strings.Split(had.groups, ","), r.groups))
	})
}

// seen reports whether AWS shows a principal that exists, or has not been
// silent about it for long enough to be believed.
func (s *soak) seen(p *soakPrincipal) bool {
	lied := s.awsCalm(p).Add(2 * s.bound()).After(s.now())
	return !s.now().Before(p.got) || !lied && s.now().Before(p.gap.Add(10*time.Second))
}

func (s *soak) judgeAddition(r *replica, key string, g grantedTo) {
	s.summary.Checks++
	t := s.iam.tracks[key]
	if t == nil || t.taken && s.known(r, t) {
		s.violation("%s writes an entry for %s, which is nobody's or somebody else's: %+v", r.name, key, t)
		return
	}
	want := s.grant(t.by)
	if s.given.at.Before(r.began) && s.informed(r, t.by) && !s.capped(t.by) && (want == nil || *want != g) {
		s.violation("%s writes %v for %s; the rules give %v", r.name, g, key, want)
	}
}

// judgeBreaker: not too many go at once; who goes from one store and then from
// the other goes once.
func (s *soak) judgeBreaker(kind rules.Kind, gone []string, whole map[string]int) {
	for account, n := range whole {
		mine := slices.DeleteFunc(slices.Clone(gone), func(arn string) bool { return accountIn(arn) != account })
		s.judgeAccount(string(kind)+"s of "+account, mine, n)
	}
}

func (s *soak) judgeAccount(group string, gone []string, whole int) {
	s.summary.Checks++
	recent := s.check.window[group]
	if recent == nil {
		recent = map[string]time.Time{}
		s.check.window[group] = recent
	}
	maps.DeleteFunc(recent, func(_ string, at time.Time) bool { return s.now().Sub(at) >= soakHold })
	went, more := len(recent), 0
	for _, arn := range gone {
		if _, before := recent[arn]; !before {
			recent[arn], more = s.now(), more+1
		}
	}
	limits := removal.Defaults()
	if more >= 2 && more == whole && s.now().After(s.calm.clock) {
		s.violation("all %d %s lose access at once", more, group)
	}
	if n := went + more; more > 0 && s.now().After(s.calm.clock) && n > limits.MaxCount && n*100 > (went+whole)*limits.MaxPercent {
		s.violation("%d of %d %s lose access at once, %d before", more, whole, group, went)
	}
}

// checkAll holds what stands against what should.
func (s *soak) checkAll() {
	if s.api.down || s.summary.Violations > 0 {
		return
	}
	if s.summary.Steps%4 == 0 {
		s.checkCopy()
	}
	users, roles, entries := s.reader.ours(s.doc.data, rules.User), s.reader.ours(s.doc.data, rules.Role), s.entriesOurs()
	for _, key := range slices.Sorted(maps.Keys(s.iam.tracks)) {
		switch t := s.iam.tracks[key]; {
		case t.store == inEntries:
			s.checkAccess(key, t, entries)
		case s.doc.missing:
		case t.kind == rules.User:
			s.checkAccess(key, t, users)
		default:
			s.checkAccess(key, t, roles)
		}
	}
}

// checkCopy: nobody wrote aws-auth unseen.
func (s *soak) checkCopy() {
	cm, err := s.admin.Get(s.Context(), "aws-auth", metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.Fatal(err)
	}
	s.summary.Checks++
	if s.doc.exists != (err == nil) || err == nil && !maps.Equal(s.doc.data, cm.Data) {
		s.violation("aws-auth is another one than was written: %v %q", err, cm.Data)
	}
}

// checkAccess holds one entry against what should stand.
func (s *soak) checkAccess(key string, t *soakTrack, ours map[string]grantedTo) {
	s.summary.Checks++
	have, in := ours[key]
	calm := s.calmOf(t)
	overdue := func(since time.Time, bound time.Duration) bool {
		return s.now().Sub(later(since, calm)) > bound
	}
	if t.want != nil || !s.held(key) {
		delete(s.check.held, key)
	} else if _, known := s.check.held[key]; !known {
		s.check.held[key] = s.now()
	}
	if t.want == nil && !in || t.want != nil && (t.free || in && have == *t.want) {
		delete(s.check.off, key)
		return
	}
	if _, known := s.check.off[key]; !known {
		s.check.off[key] = s.now()
	}
	calm = later(calm, s.check.off[key])
	switch {
	case t.want != nil:
		since := later(later(t.since, t.by.listed), s.awsCalm(t.by))
		if overdue(since, s.bound()) {
			s.violation("%s has %v (%v) instead of %v since %s", key, have, in, *t.want, later(since, calm))
		}
	case t.exists || t.taken && !t.other:
		since := t.since
		if s.grantable(t.by) { // what rules look at must be listed
			since = later(since, s.awsCalm(t.by))
			for _, r := range s.replicas {
				if r.active {
					since = later(since, r.started)
				}
			}
		}
		if overdue(since, s.bound()) {
			s.checkHeld(key, t, since, calm)
		}
	default:
		// Rules that could grant it again want the evidence that it is gone.
		since := later(later(later(t.since, s.given.at), s.awsCalm(t.by)), later(t.by.listed, t.by.got))
		for _, r := range s.replicas {
			if r.active {
				since = later(since, r.started)
			}
		}
		limit := 4 * s.bound()
		if !s.proof.until.IsZero() {
			calm = later(calm, s.proof.until)
			if s.proof.until.After(s.now()) {
				calm, limit = later(since, later(s.calmOf(t), s.check.off[key])), limit+rollCallPause+time.Minute
			}
		}
		switch {
		case !overdue(since, limit):
		case s.hidden(t.by):
			if !s.held(key) {
				s.checkUnproven(key)
			}
		default:
			s.checkHeld(key, t, since, calm)
		}
	}
}

// checkHeld: what stands without a grant must be held, and not for too long.
func (s *soak) checkHeld(key string, t *soakTrack, since, calm time.Time) {
	// An approval is spent by what it lets go at once.
	approved := since.Before(s.given.approved) && s.now().Sub(later(s.given.approved, calm)) > s.bound()
	switch {
	case !s.held(key):
		s.violation("%s (exists: %v) has access without a grant since %s, and is not held", key, t.exists, later(since, calm))
	case t.taken && !t.other:
		s.violation("%s is held although somebody else's entry stands for it", key)
	case approved:
		s.violation("%s is held although its removal is approved", key)
	case s.now().Sub(later(later(s.check.held[key].Add(soakHold), calm), s.calm.clock)) > 2*s.bound():
		s.violation("%s is held since %s", key, s.check.held[key])
	}
}

// held reports whether the record says that an entry is held.
func (s *soak) held(key string) bool {
	s.readRecords()
	return s.check.holds[key]
}
