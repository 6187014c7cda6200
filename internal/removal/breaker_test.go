package removal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// ungranted are n entries that no rule grants any longer, of so many in all.
func ungranted(kind rules.Kind, account string, n, all int) ([]removal.Candidate, []rules.Owned) {
	var cs []removal.Candidate
	var own []rules.Owned
	for i := range all {
		c := removal.Candidate{
			Kind: kind, ARN: fmt.Sprintf("arn:aws:iam::%s:%s/n%03d", account, kind, i), AccountID: account,
			Grantable: true, Listed: true,
		}
		own = append(own, rules.Owned{Kind: kind, ARN: c.ARN})
		if i < n {
			cs = append(cs, c)
		}
	}
	return cs, own
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reason         string
		n, all, before int
		held           bool
	}{
		{"a few of few", 10, 11, 0, false},
		{"all of few", 10, 10, 0, true},
		{"both of two", 2, 2, 0, true},
		{"the other one of two, moments after the first", 1, 1, 1, true},
		{"one more than a few, and more than half", 11, 21, 0, true},
		{"many, but half", 11, 22, 0, false},
		{"many of very many", 100, 1000, 0, false},
		{"everybody", 100, 100, 0, true},
		{"a few after a few, together too many", 5, 10, 6, true},
		{"a few after a few, of many", 5, 100, 6, false},
		{"one after exactly half", 1, 50, 51, true},
		{"nobody", 0, 10, 100, false},
	}
	for _, tc := range tests {
		cs, own := ungranted(rules.User, account, tc.n, tc.all)
		in := removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()}
		if tc.before > 0 {
			in.Removals = []rules.Removal{{Kind: rules.User, AccountID: account, At: at(-599), Count: tc.before}}
		}
		var l removal.Ledger
		d := l.Decide(in)
		removed, held := tc.n, 0
		if tc.held {
			removed, held = 0, tc.n
		}
		if len(d.Remove) != removed || len(d.Held) != held {
			t.Errorf("%s: %d of %d after %d: %d removed and %d held, want %d and %d",
				tc.reason, tc.n, tc.all, tc.before, len(d.Remove), len(d.Held), removed, held)
		}
		counted := tc.before + removed
		for _, r := range d.Removals {
			counted -= r.Count
		}
		if counted != 0 {
			t.Errorf("%s: %+v is %d short", tc.reason, d.Removals, counted)
		}
	}
}

func TestBreakerForEachAccountAndKind(t *testing.T) {
	t.Parallel()
	in := removal.Input{Now: at(0), Settings: removal.Defaults()}
	for _, g := range []struct {
		kind    rules.Kind
		account string
		n, all  int
	}{{rules.User, "1", 20, 20}, {rules.User, "2", 10, 100}, {rules.Role, "1", 3, 4}, {rules.Role, "2", 50, 60}} {
		cs, own := ungranted(g.kind, g.account, g.n, g.all)
		in.Candidates, in.Owned = append(in.Candidates, cs...), append(in.Owned, own...)
	}
	in.Removals = []rules.Removal{
		{Kind: rules.Role, AccountID: "3", At: at(-1), Count: 30},
		{Kind: rules.Role, AccountID: "1", At: at(-600), Count: 30},
	}
	var l removal.Ledger
	d := l.Decide(in)
	if len(d.Held) != 70 || len(d.Remove) != 13 {
		t.Errorf("%d held and %d removed, want 70 and 13", len(d.Held), len(d.Remove))
	}
	want := []rules.Removal{
		{Kind: rules.Role, AccountID: "3", At: at(-1), Count: 30},
		{Kind: rules.User, AccountID: "2", At: at(0), Count: 10},
		{Kind: rules.Role, AccountID: "1", At: at(0), Count: 3},
	}
	if diff := cmp.Diff(want, d.Removals); diff != "" {
		t.Errorf("what counts from now on (-want +got):\n%s", diff)
	}
	if first, last := d.Held[0].ARN, d.Held[69].ARN; first != "arn:aws:iam::1:user/n000" || last != "arn:aws:iam::2:role/n049" {
		t.Errorf("held from %s to %s", first, last)
	}
}

func TestHolding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reason    string
		heldSince time.Time
		approved  bool
		hold      time.Duration
		want      string
		since     time.Time
	}{
		{"first held now", time.Time{}, false, 10 * time.Minute, "Held", at(0)},
		{"held for a while", at(-599), false, 10 * time.Minute, "Held", at(-599)},
		{"held long enough", at(-600), false, 10 * time.Minute, "HeldLongEnough", time.Time{}},
		{"held for a year", at(-31_536_000), false, 10 * time.Minute, "HeldLongEnough", time.Time{}},
		{"held since tomorrow, by a clock that was set back", at(86_400), false, 10 * time.Minute, "Held", at(0)},
		{"approved", time.Time{}, true, 10 * time.Minute, "Approved", time.Time{}},
		{"approved while held", at(-5), true, 10 * time.Minute, "Approved", time.Time{}},
		{"no breaker", time.Time{}, false, 0, "NotGranted", time.Time{}},
	}
	for _, tc := range tests {
		cs, own := ungranted(rules.User, account, 30, 30)
		for i := range cs {
			cs[i].HeldSince = tc.heldSince
		}
		s := removal.Defaults()
		s.Hold = tc.hold
		var l removal.Ledger
		d := l.Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Approved: tc.approved, Settings: s})
		for a, got := range outcome(d) {
			if got != tc.want {
				t.Fatalf("%s: %s is %s, want %s", tc.reason, a, got, tc.want)
			}
		}
		for _, h := range d.Held {
			if !h.Since.Equal(tc.since) || !h.Until.Equal(tc.since.Add(tc.hold)) {
				t.Fatalf("%s: held from %v until %v", tc.reason, h.Since, h.Until)
			}
		}
		if tc.want != "NotGranted" && len(d.Removals) != 0 {
			t.Errorf("%s: counted %v", tc.reason, d.Removals)
		}
	}
}

func TestFutureRemovalsCountFromNow(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 5, 10)
	in := removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults(), Removals: []rules.Removal{
		{Kind: rules.User, AccountID: account, At: at(86_400), Count: 10},
	}}
	var l removal.Ledger
	d := l.Decide(in)
	if len(d.Held) != 5 {
		t.Errorf("%d held, want 5: what the future removed has been removed", len(d.Held))
	}
	in.Now, in.Removals = at(600), d.Removals
	for i := range in.Candidates {
		in.Candidates[i].HeldSince = time.Time{}
	}
	if d := l.Decide(in); len(d.Remove) != 5 {
		t.Errorf("%d removed, want 5: the window has passed", len(d.Remove))
	}
}

// TestHeldEntriesGoWhenTheyAreFew: most of those of a slip of the pen have been
// granted again.
func TestHeldEntriesGoWhenTheyAreFew(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 4, 20)
	for i := range cs {
		cs[i].HeldSince = at(-60)
	}
	var l removal.Ledger
	d := l.Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
	if len(d.Remove) != 4 || d.Remove[0].Why != removal.NotGranted {
		t.Errorf("got %v", outcome(d))
	}
}

// TestForcedRemovalsLeaveTheWhole: entries that go for another reason at the
// same time do not make room for more.
func TestForcedRemovalsLeaveTheWhole(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 31, 50)
	for i := range 20 {
		cs[i].HeldSince = at(-600)
	}
	var l removal.Ledger
	d := l.Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
	// 20 go anyway, which leaves 30, of which 11 are not half.
	if len(d.Remove) != 31 {
		t.Errorf("%d removed, want 31", len(d.Remove))
	}
	cs, own = ungranted(rules.User, account, 31, 40)
	for i := range 20 {
		cs[i].HeldSince = at(-600)
	}
	d = l.Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
	if len(d.Remove) != 20 || len(d.Held) != 11 {
		t.Errorf("%d removed and %d held, want 20 and 11: they are 11 of 20 that are left", len(d.Remove), len(d.Held))
	}
}

func TestUngrantableNeedsNoListing(t *testing.T) {
	t.Parallel()
	cs := missing(alice)
	cs[0].Grantable, cs[0].Cause = false, removal.Deleted
	var l removal.Ledger
	if got := outcome(l.Decide(removal.Input{Now: at(0), Candidates: cs, Owned: owned(cs), Settings: removal.Defaults()}))[alice]; got != "NotGranted" {
		t.Errorf("an ARN that no rule can match is %s", got)
	}
}

func TestCandidatesCountOnce(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 8, 9)
	for _, c := range cs {
		c.HeldSince = at(-60)
		c.AccountID = "another"
		cs, own = append(cs, c), append(own, rules.Owned{Kind: c.Kind, ARN: c.ARN, Digest: "another"})
	}
	var l removal.Ledger
	d := l.Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Defaults()})
	if len(d.Remove) != 8 || len(d.Removals) != 1 || d.Removals[0].Count != 8 {
		t.Errorf("%d removed, counted %+v", len(d.Remove), d.Removals)
	}
	if !d.Remove[0].HeldSince.Equal(at(-60)) {
		t.Errorf("of two the one that was held first counts, got %v", d.Remove[0].HeldSince)
	}
}
