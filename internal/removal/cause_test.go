package removal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestWhatIsHeld: what an edit takes out of clusters of
// all sizes, and what of it is held, and why.
func TestWhatIsHeld(t *testing.T) {
	t.Parallel()
	edited, deleted, changed := removal.Edited, removal.Deleted, removal.Changed
	tests := []struct {
		reason string
		n, all int
		cause  removal.Cause
		want   removal.Because
	}{
		{"a slip in the only rule of one person", 1, 1, edited, removal.Everybody},
		{"the only rule, of one person, deleted", 1, 1, deleted, ""},
		{"the only person lost a tag", 1, 1, changed, ""},
		{"a slip that takes both", 2, 2, edited, removal.Everybody},
		{"the rules of both deleted", 2, 2, deleted, removal.Everybody},
		{"both lost their tag", 2, 2, changed, removal.Everybody},
		{"one of two by an edit", 1, 2, edited, ""},
		{"one of two by the deletion of her rule", 1, 2, deleted, ""},
		{"a slip that takes all five", 5, 5, edited, removal.Everybody},
		{"four of five", 4, 5, edited, ""},
		{"a slip that takes all twenty", 20, 20, edited, removal.TooMany},
		{"eleven of twenty", 11, 20, edited, removal.TooMany},
		{"ten of twenty", 10, 20, edited, ""},
		{"a hundred of two hundred", 100, 200, edited, ""},
		{"a hundred and one of two hundred", 101, 200, edited, removal.TooMany},
		{"and all of them", 200, 200, deleted, removal.TooMany},
	}
	for _, tc := range tests {
		cs, own := ungranted(rules.User, account, tc.n, tc.all)
		for i := range cs {
			cs[i].Cause = tc.cause
		}
		d := new(removal.Ledger).Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
		checkHeldBecause(t, tc.reason, d, all{tc.n, tc.want})
	}
}

// all are so many candidates that are held for a reason, or that go: "".
type all struct {
	n       int
	because removal.Because
}

func checkHeldBecause(t *testing.T, reason string, d removal.Decision, want all) {
	t.Helper()
	held := map[removal.Because]int{}
	for _, h := range d.Held {
		held[h.Because]++
	}
	wantHeld := map[removal.Because]int{}
	if want.because != "" {
		wantHeld[want.because] = want.n
	}
	if diff := cmp.Diff(wantHeld, held); diff != "" || len(d.Held)+len(d.Remove) != want.n {
		t.Errorf("%s: %d go, and held are (-want +got):\n%s", reason, len(d.Remove), diff)
	}
}

func TestLastOfAGroup(t *testing.T) {
	t.Parallel()
	edited, deleted, changed := removal.Edited, removal.Deleted, removal.Changed
	tests := []struct {
		reason      string
		n           int
		cause       removal.Cause
		group       string
		rest, other bool // somebody of ours, or an entry of somebody else's, has the group, too
		want        removal.Because
	}{
		{"the last administrator by an edit", 1, edited, "system:masters", false, false, removal.LastOfGroup},
		{"the last one of any group by an edit", 1, edited, "developers", false, false, removal.LastOfGroup},
		{"the last administrator by a lost tag", 1, changed, "system:masters", false, false, removal.LastOfGroup},
		{"the last one of a group by a lost tag, which is every day's", 1, changed, "developers", false, false, ""},
		{"one person's rule deleted on purpose", 1, deleted, "system:masters", false, false, ""},
		{"two persons' rules deleted", 2, deleted, "developers", false, false, removal.LastOfGroup},
		{"another one of ours stays in the group", 1, edited, "system:masters", true, false, ""},
		{"somebody else's entry has the group", 1, edited, "system:masters", false, true, ""},
	}
	for _, tc := range tests {
		cs, own := ungranted(rules.User, account, tc.n, 20)
		for i := range cs {
			cs[i].Cause, cs[i].Groups = tc.cause, []string{tc.group}
		}
		for i := range own {
			if i < tc.n {
				own[i].Groups = []string{tc.group}
			}
		}
		if tc.rest {
			own[19].Groups = []string{"x", tc.group}
		}
		d := new(removal.Ledger).Decide(removal.Input{
			Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults(), OthersHold: map[string]bool{tc.group: tc.other},
		})
		checkHeldBecause(t, tc.reason, d, all{tc.n, tc.want})
	}
}

func TestRuleOfAnotherAccount(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 2, 20)
	cs[0].Elsewhere = true
	d := new(removal.Ledger).Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
	checkHeldBecause(t, "a digit of the account mistyped", d, all{2, removal.OtherAccount})
}

// TestNothingIsHeldByABreakerThatIsOff: there are two ways to turn it off.
func TestNothingIsHeldByABreakerThatIsOff(t *testing.T) {
	t.Parallel()
	for reason, s := range map[string]removal.Settings{
		"no window": {MaxCount: 10, MaxPercent: 50}, "all may go": {Hold: time.Minute, MaxPercent: 100},
	} {
		cs, own := ungranted(rules.User, account, 20, 20)
		cs[0].Groups, own[0].Groups, cs[1].Elsewhere = []string{"system:masters"}, []string{"system:masters"}, true
		d := new(removal.Ledger).Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: s})
		checkHeldBecause(t, reason, d, all{20, ""})
	}
}

// TestStaleOnesStay: whoever is no longer granted, or too old, by what is not
// known any more, stays; but for what a person said.
func TestStaleOnesStay(t *testing.T) {
	t.Parallel()
	stale := func(c removal.Candidate) removal.Candidate { c.Stale = true; return c }
	one, own := ungranted(rules.User, account, 1, 20)
	tests := []struct {
		reason   string
		c        removal.Candidate
		approved bool
		want     string
	}{
		{"no longer granted", stale(one[0]), false, "Keep"},
		{"too old", func() removal.Candidate { c := stale(one[0]); c.TooOld = true; return c }(), false, "Keep"},
		{"held, and longer than that", func() removal.Candidate { c := stale(one[0]); c.HeldSince = at(-3600); return c }(), false, "Held"},
		{"approved", stale(one[0]), true, "Approved"},
		{"out before", func() removal.Candidate { c := stale(one[0]); c.Revoked = true; return c }(), false, "Revoked"},
	}
	for _, tc := range tests {
		d := new(removal.Ledger).Decide(removal.Input{
			Now: at(0), Candidates: []removal.Candidate{tc.c}, Owned: own, Approved: tc.approved, Settings: removal.Defaults(),
		})
		if got := outcome(d)[tc.c.ARN]; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
		}
	}
}

func TestRevokedOnesGoUncounted(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 40, 40)
	for i := range cs {
		cs[i].Revoked = true
	}
	d := new(removal.Ledger).Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
	if len(d.Remove) != 40 || len(d.Removals) != 0 || d.Remove[0].Why != removal.Revoked {
		t.Errorf("%d go and %v is counted; a backup that revives 40 must not be held by what they were", len(d.Remove), d.Removals)
	}
}

// TestTheNextProcessGoesOn: what one process missed the next one need not miss
// twice, but it asks all the same.
func TestTheNextProcessGoesOn(t *testing.T) {
	t.Parallel()
	var first removal.Ledger
	in := removal.Input{Now: at(0), Candidates: missing(alice, bob), Settings: removal.Defaults()}
	first.Observe(listing(at(0), bob))
	d := first.Decide(in)
	if diff := cmp.Diff(map[string]time.Time{arn.Fold(alice): at(0)}, d.Missing); diff != "" {
		t.Fatalf("remembered is (-want +got):\n%s", diff)
	}
	tests := []struct {
		reason  string
		missing map[string]time.Time
		begun   int
		want    string
	}{
		{"a listing later", d.Missing, 20, "Verify"},
		{"at the same time", d.Missing, 5, "Keep"},
		{"by a clock that runs ahead", map[string]time.Time{arn.Fold(alice): at(3600)}, 20, "Keep"},
		{"nothing is remembered", nil, 20, "Keep"},
	}
	for _, tc := range tests {
		var next removal.Ledger
		in.Now, in.Missing = at(tc.begun+1), tc.missing
		next.Observe(listing(at(tc.begun), bob))
		if got := outcome(next.Decide(in))[alice]; got != tc.want {
			t.Errorf("%s: she is %s, want %s", tc.reason, got, tc.want)
		}
	}
	var next removal.Ledger
	in.Now, in.Missing = at(21), d.Missing
	next.Observe(listing(at(20), bob, alice))
	if d := next.Decide(in); len(d.Missing) != 0 {
		t.Errorf("she was seen, and remembered as missing is %v", d.Missing)
	}
}

func TestRollCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reason string
		o      removal.Observation
		want   string
	}{
		{"she is not there", listing(at(16)), "Gone"},
		{"it began with the second listing", listing(at(15)), "Gone"},
		{"it began before that", listing(at(14)), "Verify"},
		{"she is there", listing(at(16), alice), "Keep"},
		{"she is there, in half of one", func() removal.Observation { o := listing(at(16), alice); o.Complete = false; return o }(), "Keep"},
		{"half of one proves nothing", func() removal.Observation { o := listing(at(16)); o.Complete = false; return o }(), "Verify"},
		{"of another account", func() removal.Observation { o := listing(at(16)); o.AccountID = "210987654321"; return o }(), "Verify"},
		{"of roles", func() removal.Observation { o := listing(at(16)); o.Kind = rules.Role; return o }(), "Verify"},
		{"of another path", func() removal.Observation { o := listing(at(16)); o.PathPrefix = "/ci/"; return o }(), "Verify"},
		{"of nothing known", func() removal.Observation { o := listing(at(16)); o.Has = nil; return o }(), "Verify"},
	}
	for _, tc := range tests {
		var l removal.Ledger
		in := removal.Input{Now: at(60), Candidates: missing(alice), Settings: removal.Defaults()}
		l.Decide(in)
		l.Observe(listing(at(0)))
		l.RollCall(listing(at(5))) // one listing is no reason to call anybody over
		l.Observe(listing(at(15)))
		l.Decide(in)
		l.RollCall(tc.o)
		if got := outcome(l.Decide(in))[alice]; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
		}
	}
}

// TestTurns: whom AWS does not answer about comes last, so that it cannot keep
// the others from being asked about.
func TestTurns(t *testing.T) {
	t.Parallel()
	var l removal.Ledger
	var arns []string
	for i := range 6 {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::%s:user/u%d", account, i))
	}
	in := removal.Input{Now: at(60), Candidates: missing(arns...), Settings: removal.Defaults()}
	l.Decide(in)
	l.Observe(listing(at(0)))
	l.Observe(listing(at(15)))
	asked := map[string]bool{}
	for round := range 2 {
		for _, c := range l.Decide(in).Verify[:3] {
			asked[c.ARN] = true
			l.Failed(c.ARN, at(20+round))
		}
	}
	if len(asked) != 6 {
		t.Errorf("in two rounds of three these were asked about: %v", asked)
	}
}

// TestUnproven: somebody can choose to take a long absence for a deletion, and
// then the breaker looks at it as at any other.
func TestUnproven(t *testing.T) {
	t.Parallel()
	decide := func(after time.Duration, now, all int) removal.Decision {
		var l removal.Ledger
		s := removal.Defaults()
		s.UnprovenAfter = after
		in := removal.Input{Now: at(now), Candidates: missing(alice), Settings: s, Missing: map[string]time.Time{arn.Fold(alice): at(0)}}
		_, in.Owned = ungranted(rules.User, account, 0, all)
		in.Owned = append(in.Owned, owned(in.Candidates)...)
		l.Observe(listing(at(now)))
		return l.Decide(in)
	}
	for _, tc := range []struct {
		reason   string
		after    time.Duration
		now, all int
		want     string
	}{
		{"nobody chose that", 0, 1 << 30, 5, "Verify"},
		{"not yet", time.Hour, 3599, 5, "Verify"},
		{"after that time", time.Hour, 3600, 5, "Unproven"},
		{"it needs two listings for all that", time.Second, 5, 5, "Keep"},
	} {
		if got := outcome(decide(tc.after, tc.now, tc.all))[alice]; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
		}
	}
	if d := decide(time.Hour, 3600, 5); len(d.Removals) != 1 || d.Removals[0].Count != 1 {
		t.Errorf("it counts: %+v", d.Removals)
	}
}
