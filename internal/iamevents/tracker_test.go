package iamevents

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// watch is a tracker, a listing that a test sets, and a clock.
type watch struct {
	*testing.T
	*tracker
	now      time.Time
	users    []rules.Principal
	failing  bool // listings are incomplete
	concerns func(Announcement) bool
	details  func(rules.Principal) (Details, bool)
	outcomes []Outcome
	listings int
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{T: t, now: start, concerns: func(Announcement) bool { return true }}
	w.tracker = newTracker(func(o Outcome, _ Announcement) { w.outcomes = append(w.outcomes, o) })
	return w
}

func (w *watch) view(fresh bool) View {
	return View{
		Now: w.now, Fresh: fresh, Calls: 1, Principals: w.users, Concerns: w.concerns, Details: w.details,
		Listed: func(string, rules.Kind) (time.Time, bool) { return w.now, !w.failing },
	}
}

// hear takes in a message of announcements.
func (w *watch) hear(id string, announced ...Announcement) {
	w.add(w.now, message{id: id, receipt: "r-" + id, hiddenUntil: w.now.Add(hidden)}, announced)
}

// list lists, and returns after how long to do it again; 0: not.
func (w *watch) list() time.Duration {
	w.listings++
	next := w.settle(w.view(true))
	if next.IsZero() {
		return 0
	}
	return next.Sub(w.now)
}

func (w *watch) expect(reason string, want ...Outcome) {
	w.Helper()
	if diff := cmp.Diff(want, w.outcomes); diff != "" {
		w.Errorf("%s\n%s", reason, diff)
	}
}

func user(name, id string, made time.Time) rules.Principal {
	return rules.Principal{Kind: rules.User, AccountID: "123456789012", Name: name, ID: id, Path: "/", CreateDate: made}
}

func said(verb Verb, name string, at time.Time) Announcement {
	return Announcement{Verb: verb, Kind: rules.User, AccountID: "123456789012", Name: name, At: at}
}

func TestWhoIsListedAlreadyNeedsNoListing(t *testing.T) {
	w := newWatch(t)
	w.users = []rules.Principal{user("Bob", "AIDA1", start)}
	w.hear("1", said(Exists, "bob", start))
	if next := w.settle(w.view(false)); !next.IsZero() {
		t.Errorf("a listing is wanted at %v", next)
	}
	w.expect("the principal is there", Seen)
	if got := w.take(); !slices.Equal(got, []string{"r-1"}) {
		t.Errorf("deletes %v", got)
	}
	if got := w.take(); len(got) > 0 {
		t.Errorf("deletes %v twice", got)
	}
}

func TestListingsAreRepeatedAtGrowingDelays(t *testing.T) {
	w := newWatch(t)
	w.hear("1", said(Exists, "bob", start))
	if next := w.settle(w.view(false)); !next.Equal(start) {
		t.Errorf("the first listing is wanted at %v, not at once", next)
	}
	last := time.Duration(0)
	for {
		again := w.list()
		if again == 0 {
			break
		}
		if again < last || again > longest {
			t.Errorf("delay %v after %v", again, last)
		}
		if got := w.take(); len(got) > 0 {
			t.Fatalf("deleted before its end: %v", got)
		}
		last, w.now = again, w.now.Add(again)
	}
	w.expect("never shown", Unseen)
	if took := w.now.Sub(start); w.listings != maxTries || took < 30*time.Second || took > 3*time.Minute {
		t.Errorf("gave up after %d listings in %v", w.listings, took)
	}
	if got := w.take(); !slices.Equal(got, []string{"r-1"}) {
		t.Errorf("deletes %v", got)
	}
}

func TestEarlyListingsCostNoTries(t *testing.T) {
	w := newWatch(t)
	w.hear("1", said(Exists, "bob", start))
	for range 10 * maxTries { // others' announcements have IAM listed often
		w.list()
		w.now = w.now.Add(10 * time.Millisecond)
	}
	w.expect("1.4 s are not enough to give up")
	w.users = []rules.Principal{user("bob", "", start)}
	w.list()
	w.expect("shown at last", Seen)
}

func TestOneMessageIsDeletedWhenAllOfItHasEnded(t *testing.T) {
	w := newWatch(t)
	w.users = []rules.Principal{user("new", "", start)}
	w.hear("1", said(Exists, "new", start), said(Exists, "other", start))
	w.list()
	if got := w.take(); len(got) > 0 {
		t.Errorf("deletes %v", got)
	}
	w.users = append(w.users, user("other", "", start))
	w.list()
	if got := w.take(); !slices.Equal(got, []string{"r-1"}) {
		t.Errorf("deletes %v", got)
	}
}

func TestADeletionNeedsTwoListings(t *testing.T) {
	w := newWatch(t)
	w.users = []rules.Principal{user("bob", "AIDA1", start.Add(-time.Hour))}
	w.hear("1", said(Gone, "bob", start))
	w.list()
	w.expect("still listed")
	w.users, w.failing = nil, true
	w.list()
	w.expect("an incomplete listing proves nothing")
	w.failing = false
	if again := w.list(); again != apart {
		t.Errorf("lists again after %v, want %v", again, apart)
	}
	w.now = w.now.Add(apart)
	if again := w.list(); again != 0 {
		t.Errorf("lists again after %v", again)
	}
	w.expect("two listings lacked it", Seen)
}

func TestVerdicts(t *testing.T) {
	long := start.Add(-time.Hour)
	withID := said(Exists, "bob", start)
	withID.ID = "AIDA2"
	moved := said(Exists, "bob", start)
	moved.Path = "/x/"
	unconcerned := func(Announcement) bool { return false }
	for _, row := range []struct {
		reason   string
		users    []rules.Principal
		concerns func(Announcement) bool
		say      []Announcement
		want     []Outcome
	}{
		{reason: "nobody is concerned", concerns: unconcerned, say: []Announcement{withID}, want: []Outcome{Unneeded}},
		{reason: "another one of that name is not the new one", users: []rules.Principal{user("bob", "AIDA1", long)}, say: []Announcement{withID}},
		{reason: "a new one of that name is", users: []rules.Principal{user("bob", "AIDA2", start)}, say: []Announcement{withID}, want: []Outcome{Seen}},
		{reason: "not moved yet", users: []rules.Principal{user("bob", "AIDA2", start)}, say: []Announcement{moved}},
		{reason: "deleted and made again", users: []rules.Principal{user("bob", "AIDA2", start.Add(time.Minute))}, say: []Announcement{said(Gone, "bob", start)}, want: []Outcome{Seen}},
		{
			reason: "made and then deleted: the going is waited for, not the coming", users: []rules.Principal{user("bob", "AIDA2", start)},
			say: []Announcement{withID, said(Gone, "bob", start.Add(time.Second))}, want: []Outcome{Seen},
		},
		{
			reason: "made and deleted before any listing",
			say:    []Announcement{withID, said(Gone, "bob", start.Add(time.Second))}, want: []Outcome{Unneeded},
		},
		{reason: "one of another account is another one", users: []rules.Principal{{Kind: rules.User, AccountID: "999999999999", Name: "bob"}}, say: []Announcement{said(Exists, "bob", start)}},
		{reason: "a role of that name is another one", users: []rules.Principal{{Kind: rules.Role, AccountID: "123456789012", Name: "bob"}}, say: []Announcement{said(Exists, "bob", start)}},
	} {
		w := newWatch(t)
		w.users = row.users
		if row.concerns != nil {
			w.concerns = row.concerns
		}
		w.hear("1", row.say...)
		w.list()
		w.expect(row.reason, row.want...)
	}
}

func TestChangesAreSeenInDetails(t *testing.T) {
	d := Details{Groups: []string{"Devs"}, Tags: map[string]string{"Team": "a"}, Boundary: "b"}
	for _, row := range []struct {
		change Change
		shown  bool
	}{
		{Change{Tags: map[string]string{"team": "a"}}, true},
		{Change{Tags: map[string]string{"team": "b"}}, false},
		{Change{Tags: map[string]string{"other": "a"}}, false},
		{Change{NoTags: []string{"team"}}, false},
		{Change{NoTags: []string{"other"}}, true},
		{Change{Group: "devs"}, true},
		{Change{Group: "ops"}, false},
		{Change{Group: "dev\u017f"}, false},
		{Change{Group: "devs", Left: true}, false},
		{Change{Group: "ops", Left: true}, true},
		{Change{Bounded: true, Boundary: "b"}, true},
		{Change{Bounded: true}, false},
	} {
		for _, known := range []bool{true, false} {
			w := newWatch(t)
			w.users = []rules.Principal{user("bob", "", start)}
			w.details = func(rules.Principal) (Details, bool) { return d, known }
			a := said(Changed, "bob", start)
			a.Change = row.change
			w.hear("1", a)
			w.list()
			if got := len(w.outcomes) == 1; got != (row.shown && known) {
				t.Errorf("%+v: shown %t (details known: %t)", row.change, got, known)
			}
		}
	}
}

func TestAStreamOfAnnouncementsDoesNotFloodIAM(t *testing.T) {
	w := newWatch(t)
	const seconds = 20
	for i := range 100 * seconds { // a new one every 10 ms
		w.hear("m"+strconv.Itoa(i), said(Exists, "u"+strconv.Itoa(i), w.now))
		if next := w.settle(w.view(false)); !next.IsZero() && !next.After(w.now) {
			w.users = append(w.users, user("u"+strconv.Itoa(i), "", w.now))
			w.list()
		}
		w.now = w.now.Add(10 * time.Millisecond)
	}
	if most := int(budget/perPage) + int(time.Second/perPage)*seconds + 1; w.listings > most || w.listings < most/2 {
		t.Errorf("%d listings in %d s; at most %d", w.listings, seconds, most)
	}
}

func TestAClockThatIsSetBackStopsNothing(t *testing.T) {
	w := newWatch(t)
	w.hear("1", said(Exists, "bob", start))
	w.list()
	w.now = start.Add(-24 * time.Hour)
	if next := w.settle(w.view(false)); next.Sub(w.now) > budget+longest {
		t.Errorf("the next listing is %v away", next.Sub(w.now))
	}
}

func TestRedeliveryReplacesTheReceipt(t *testing.T) {
	w := newWatch(t)
	w.hear("1", said(Exists, "bob", start))
	w.add(w.now, message{id: "1", receipt: "newer", hiddenUntil: w.now.Add(hidden)}, []Announcement{said(Exists, "bob", start)})
	if got := w.extend(w.now.Add(prolong), w.now.Add(hidden)); len(got) > 0 {
		t.Errorf("prolongs too early: %v", got)
	}
	w.now = w.now.Add(hidden)
	if got := w.extend(w.now.Add(prolong), w.now.Add(hidden)); !slices.Equal(got, []string{"newer"}) {
		t.Errorf("prolongs %v", got)
	}
	if got := w.release(); !slices.Equal(got, []string{"newer"}) {
		t.Errorf("gives back %v", got)
	}
	w.list()
	w.expect("nothing is left to end")
}
