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

const (
	account = "123456789012"
	alice   = "arn:aws:iam::" + account + ":user/vault/Alice"
	bob     = "arn:aws:iam::" + account + ":user/bob"
)

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func at(seconds int) time.Time { return start().Add(time.Duration(seconds) * time.Second) }

// listing is a complete one of all users in which the given ARNs are.
func listing(begun time.Time, arns ...string) removal.Observation {
	in := make(map[string]bool)
	for _, a := range arns {
		in[arn.Fold(a)] = true
	}
	return removal.Observation{
		AccountID: account, Kind: rules.User, PathPrefix: "/", Complete: true, Begun: begun,
		Has: func(folded string) bool { return in[folded] },
	}
}

func missing(arns ...string) []removal.Candidate {
	var out []removal.Candidate
	for _, a := range arns {
		out = append(out, removal.Candidate{Kind: rules.User, ARN: a, AccountID: account, Grantable: true})
	}
	return out
}

func owned(cs []removal.Candidate) []rules.Owned {
	var out []rules.Owned
	for _, c := range cs {
		out = append(out, rules.Owned{Kind: c.Kind, ARN: c.ARN, HeldSince: c.HeldSince})
	}
	return out
}

// outcome is what a decision says of each candidate, in one word each.
func outcome(d removal.Decision) map[string]string {
	out := make(map[string]string)
	add := func(a, s string) { out[a] += s }
	for _, r := range d.Remove {
		add(r.ARN, string(r.Why))
	}
	for _, c := range d.Verify {
		add(c.ARN, "Verify")
	}
	for _, h := range d.Held {
		add(h.ARN, "Held")
	}
	for _, k := range d.Keep {
		add(k.ARN, "Keep")
	}
	return out
}

// TestGone plays what listings and GetUser say of Alice, and ends with what is
// decided of her.
func TestGone(t *testing.T) {
	t.Parallel()
	with := func(o removal.Observation, change func(*removal.Observation)) removal.Observation {
		change(&o)
		return o
	}
	type step func(*removal.Ledger)
	observe := func(o removal.Observation) step { return func(l *removal.Ledger) { l.Observe(o) } }
	confirm := func(seconds int, exists bool) step {
		return func(l *removal.Ledger) { l.Confirm(alice, at(seconds), exists) }
	}
	decide := func(l *removal.Ledger) {
		l.Decide(removal.Input{Now: at(0), Candidates: missing(alice), Settings: removal.Defaults()})
	}
	first, second := observe(listing(at(0), bob)), observe(listing(at(15), bob))
	tests := []struct {
		reason string
		steps  []step
		want   string
	}{
		{"nothing is known", nil, "Keep"},
		{"one listing is a hint", []step{first}, "Keep"},
		{"two listings are worth a question", []step{first, decide, second}, "Verify"},
		{"an answer makes it certain", []step{first, decide, second, decide, confirm(16, false)}, "Gone"},
		{"an answer at the very time is after", []step{first, decide, second, decide, confirm(15, false)}, "Gone"},
		{"she is there after all", []step{first, decide, second, decide, confirm(16, true)}, "Keep"},
		{"an old answer is none", []step{first, decide, second, decide, confirm(14, false)}, "Verify"},
		{"an answer before the second listing is none", []step{first, decide, confirm(5, false), second}, "Verify"},
		{"the same listing twice is one", []step{first, decide, first}, "Keep"},
		{"two listings within one lag are one", []step{first, decide, observe(listing(at(9)))}, "Keep"},
		{"three in short order are two", []step{first, decide, observe(listing(at(5))), observe(listing(at(10)))}, "Verify"},
		{"seen in between", []step{first, decide, observe(listing(at(5), alice)), second}, "Keep"},
		{"seen in between in another case", []step{first, decide, observe(listing(at(5), arn.Fold(alice))), second}, "Keep"},
		{"seen after the answer", []step{first, decide, second, decide, confirm(16, false), observe(listing(at(20), alice))}, "Keep"},
		{"seen in half a listing", []step{first, decide, second, decide, confirm(16, false), observe(with(listing(at(20), alice),
			func(o *removal.Observation) { o.Complete = false }))}, "Keep"},
		{"half a listing proves nothing", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.Complete = false }))}, "Keep"},
		{"another account proves nothing", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.AccountID = "210987654321" }))}, "Keep"},
		{"roles prove nothing", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.Kind = rules.Role }))}, "Keep"},
		{"another path proves nothing", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.PathPrefix = "/ci/" }))}, "Keep"},
		{"no path proves nothing", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.PathPrefix = "" }))}, "Keep"},
		{"her path does", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.PathPrefix = "/vault/" }))}, "Verify"},
		{"a listing of nothing known proves nothing", []step{first, decide, observe(with(listing(at(15)),
			func(o *removal.Observation) { o.Has = nil }))}, "Keep"},
		{"the clock is set back between listings", []step{first, decide, observe(listing(at(-3600)))}, "Keep"},
		{"and evidence starts over from there", []step{first, decide, observe(listing(at(-3600))), observe(listing(at(-3585)))}, "Verify"},
		{"the clock is set back before the answer", []step{first, decide, second, decide, confirm(-3600, false)}, "Verify"},
		{"and nobody waits an hour for it", []step{first, decide, second, decide, observe(listing(at(-3600))),
			observe(listing(at(-3585))), confirm(-3584, false)}, "Gone"},
		{"before she is missed only the last listing counts", []step{first, second}, "Keep"},
		{"and nothing if she may have been seen since", []step{first, observe(with(listing(at(5), alice),
			func(o *removal.Observation) { o.Complete = false })), decide, second}, "Keep"},
	}
	for _, tc := range tests {
		var l removal.Ledger
		for _, s := range tc.steps {
			s(&l)
		}
		in := removal.Input{Now: at(60), Candidates: missing(alice), Owned: owned(missing(alice)), Settings: removal.Defaults()}
		if got := outcome(l.Decide(in))[alice]; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
		}
	}
}

// TestAnAnswerCountsOnce: a removal that could not be written is not made up for
// later, when the user may have been made again and a listing lags.
func TestAnAnswerCountsOnce(t *testing.T) {
	t.Parallel()
	var l removal.Ledger
	in := removal.Input{Now: at(0), Candidates: missing(alice), Owned: owned(missing(alice))}
	decide := func(now int) string {
		in.Now = at(now)
		return outcome(l.Decide(in))[alice]
	}
	decide(0)
	l.Observe(listing(at(1)))
	l.Observe(listing(at(20)))
	if got := decide(21); got != "Verify" {
		t.Fatalf("two listings lacked her: %s", got)
	}
	l.Confirm(alice, at(22), false)
	if got := decide(23); got != string(removal.Gone) {
		t.Fatalf("and IAM does not know her: %s", got)
	}
	l.Observe(listing(at(40)))
	if got := decide(41); got != "Verify" {
		t.Errorf("a listing later, what IAM said then still counts: %s", got)
	}
}

func TestEvidenceIsForgotten(t *testing.T) {
	t.Parallel()
	var l removal.Ledger
	in := removal.Input{Now: at(60), Candidates: missing(alice), Settings: removal.Defaults()}
	l.Observe(listing(at(0)))
	l.Decide(in)
	l.Observe(listing(at(15)))
	l.Decide(in)
	l.Confirm(alice, at(16), false)
	l.Decide(removal.Input{Now: at(30), Settings: removal.Defaults()})
	if got := outcome(l.Decide(in))[alice]; got != "Keep" {
		t.Errorf("she was granted in between, and is %s", got)
	}
}

func TestGoneIsNotCounted(t *testing.T) {
	t.Parallel()
	var l removal.Ledger
	var arns []string
	for i := range 40 {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::%s:user/u%02d", account, i))
	}
	in := removal.Input{Now: at(60), Candidates: missing(arns...), Owned: owned(missing(arns...)), Settings: removal.Defaults()}
	l.Observe(listing(at(0)))
	l.Decide(in)
	l.Observe(listing(at(15)))
	if d := l.Decide(in); len(d.Verify) != 40 {
		t.Fatalf("%d to verify, want 40", len(d.Verify))
	}
	for _, a := range arns {
		l.Confirm(a, at(20), false)
	}
	d := l.Decide(in)
	if len(d.Remove) != 40 || len(d.Removals) != 0 {
		t.Errorf("%d removed and %v counted; deleted users hurt nobody", len(d.Remove), d.Removals)
	}
}

func TestVerifyAsksForTheOldestFirst(t *testing.T) {
	t.Parallel()
	var l removal.Ledger
	in := removal.Input{Now: at(60), Candidates: missing(alice), Settings: removal.Defaults()}
	l.Observe(listing(at(0), bob))
	l.Decide(in)
	l.Observe(listing(at(15)))
	in.Candidates = missing(bob, alice)
	l.Decide(in)
	l.Observe(listing(at(30)))
	var got []string
	for _, c := range l.Decide(in).Verify {
		got = append(got, c.ARN)
	}
	if diff := cmp.Diff([]string{alice, bob}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReasonsToKeep(t *testing.T) {
	t.Parallel()
	var l removal.Ledger
	in := removal.Input{Now: at(60), Candidates: missing(alice, bob, "nobody"), Settings: removal.Defaults()}
	l.Observe(removal.Observation{
		AccountID: account, Kind: rules.User, PathPrefix: "/vault/", Complete: true, Begun: at(0),
		Has: func(string) bool { return false },
	})
	var got []string
	for _, k := range l.Decide(in).Keep {
		got = append(got, k.ARN+": "+k.Reason)
	}
	want := []string{
		bob + ": no complete listing of its account and path has lacked it",
		alice + ": only one complete listing has lacked it; a second one, begun at least 10 seconds later, must lack it too",
		"nobody: no complete listing of its account and path has lacked it",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
