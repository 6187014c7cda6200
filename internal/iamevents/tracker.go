package iamevents

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// When IAM is listed because of announcements.
const (
	// firstDelay is the time between the listing right after an announcement
	// and the next one, should that not show it; each delay is half as long
	// again as the one before.
	firstDelay = 250 * time.Millisecond
	longest    = 15 * time.Second
	// maxTries listings for one announcement spread over more than a minute.
	maxTries = 14
	// apart is how far apart two listings must begin that prove a deletion.
	apart = 10500 * time.Millisecond
	// Pages that announcements may have listed: budget at once, then one every
	// perPage. IAM throttles the whole account, others included.
	perPage = 250 * time.Millisecond
	budget  = 20 * perPage
	// maxPending announcements are remembered; more wait in the queue.
	maxPending = 10000
	// maxBytes is how much text of theirs is: tags can make them large.
	maxBytes = 16 << 20
)

// View is what is known of IAM: the last listing and what one would do with it.
type View struct {
	// Now is the time; Fresh says that the listing was just made, and Calls how
	// many pages it took.
	Now   time.Time
	Fresh bool
	Calls int
	// Principals are those that complete listings showed. Listed tells when the
	// last listing of an account and kind began and whether it was complete.
	Principals []rules.Principal
	Listed     func(accountID string, kind rules.Kind) (begun time.Time, complete bool)
	// Concerns tells whether an announcement could change anything.
	Concerns func(Announcement) bool
	// Details gives those of a principal; nil, or false, if they are not known.
	Details func(rules.Principal) (Details, bool)
}

// Outcome is how an announcement ended.
type Outcome string

// The outcomes.
const (
	Seen     Outcome = "seen"     // a listing shows it
	Unneeded Outcome = "unneeded" // no rule and no entry is concerned
	Unseen   Outcome = "unseen"   // no listing showed it in time
)

type message struct {
	id, receipt string
	open        int // announcements that have not ended
	hiddenUntil time.Time
}

type pending struct {
	Announcement
	of     *message
	tries  int
	due    time.Time
	absent time.Time // begin of the first listing that lacked who is Gone
}

// tracker remembers announcements until they end. It is safe for concurrent
// use.
type tracker struct {
	ended func(Outcome, Announcement)

	mu       sync.Mutex
	messages map[string]*message
	pending  []*pending
	bytes    int       // size of those pending
	finished []string  // receipts of messages of which nothing is left
	spent    time.Time // until when listings have been paid for
}

func newTracker(ended func(Outcome, Announcement)) *tracker {
	return &tracker{ended: ended, messages: map[string]*message{}}
}

// add takes in a message. One that is known already only has a new receipt.
func (t *tracker) add(now time.Time, m message, announced []Announcement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.messages[m.id]; ok {
		known.receipt, known.hiddenUntil = m.receipt, m.hiddenUntil
		return
	}
	if len(announced) == 0 {
		t.finished = append(t.finished, m.receipt)
		return
	}
	m.open = len(announced)
	t.messages[m.id] = &m
	for _, a := range announced {
		t.pending = append(t.pending, &pending{Announcement: a, of: &m, due: now})
		t.bytes += a.size()
	}
}

func (t *tracker) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending) >= maxPending || t.bytes >= maxBytes
}

// settle ends the announcements that the view answers and returns when IAM is
// to be listed for the others; zero: there are none.
func (t *tracker) settle(v View) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.Fresh {
		t.spent = later(t.spent, v.Now).Add(time.Duration(v.Calls) * perPage)
	}
	if len(t.pending) == 0 {
		return time.Time{}
	}
	known := knowledge{v, index(v.Principals), t.lasting()}
	var next time.Time
	t.pending = slices.DeleteFunc(t.pending, func(p *pending) bool {
		outcome := known.judge(p)
		if outcome != "" {
			t.end(p, outcome)
			return true
		}
		if next.IsZero() || p.due.Before(next) {
			next = p.due
		}
		return false
	})
	if next.IsZero() {
		return next
	}
	// Whatever the clock did: not later than the longest delay from now.
	t.spent = earlier(t.spent, v.Now.Add(budget+longest))
	return earlier(later(next, t.spent.Add(-budget)), v.Now.Add(budget+longest))
}

func (t *tracker) end(p *pending, outcome Outcome) {
	t.ended(outcome, p.Announcement)
	t.bytes -= p.size()
	if p.of.open--; p.of.open == 0 {
		t.finished = append(t.finished, p.of.receipt)
		delete(t.messages, p.of.id)
	}
}

// lasting gives when the last coming or going of each principal was.
func (t *tracker) lasting() map[key]time.Time {
	last := make(map[key]time.Time, len(t.pending))
	for _, p := range t.pending {
		if p.Verb != Changed {
			last[p.key()] = later(last[p.key()], p.At)
		}
	}
	return last
}

// knowledge is what announcements are judged by.
type knowledge struct {
	View
	listed map[key]rules.Principal
	// last is when a principal last came or went, which makes moot what is
	// announced of it from before.
	last map[key]time.Time
}

// judge tells how an announcement ended, "" if it did not, and then when to
// look again.
func (k *knowledge) judge(p *pending) Outcome {
	concerned := k.Concerns(p.Announcement)
	switch {
	case !concerned && !p.absent.IsZero(), concerned && k.shows(p):
		return Seen
	case !concerned, k.last[p.key()].After(p.At):
		return Unneeded
	}
	if begun, _ := k.Listed(p.AccountID, p.Kind); k.Fresh && !begun.Before(p.due) {
		if p.tries++; p.tries >= maxTries {
			return Unseen
		}
		p.due = k.Now.Add(delay(p.tries))
	}
	if !p.absent.IsZero() {
		p.due = later(p.absent.Add(apart), p.due)
	}
	p.due = earlier(p.due, k.Now.Add(longest))
	return ""
}

// shows tells whether the listings show what is announced.
func (k *knowledge) shows(p *pending) bool {
	found, there := k.listed[p.key()]
	switch p.Verb {
	case Exists:
		return there && (p.ID == "" || found.ID == "" || p.ID == found.ID) && (p.Path == "" || p.Path == found.Path)
	case Gone:
		if there {
			p.absent = time.Time{}
			return found.CreateDate.After(p.At) // made again
		}
		return k.lacks(p)
	default:
		if !there || k.Details == nil {
			return false
		}
		d, known := k.Details(found)
		return known && p.Change.shown(d)
	}
}

// lacks notes that the listing lacks somebody, and tells whether one did so
// long enough before.
func (k *knowledge) lacks(p *pending) bool {
	begun, complete := k.Listed(p.AccountID, p.Kind)
	if !complete {
		return false
	}
	if p.absent.IsZero() || p.absent.After(begun) {
		p.absent = begun
	}
	return begun.Sub(p.absent) >= apart
}

// key is what names a principal: names are unique within account and kind,
// without regard to case.
type key struct {
	kind          rules.Kind
	account, name string
}

func (a *Announcement) key() key { return key{a.Kind, a.AccountID, strings.ToLower(a.Name)} }

func index(all []rules.Principal) map[key]rules.Principal {
	listed := make(map[key]rules.Principal, len(all))
	for _, p := range all {
		listed[key{p.Kind, p.AccountID, strings.ToLower(p.Name)}] = p
	}
	return listed
}

func delay(tries int) time.Duration {
	d := firstDelay
	for range tries - 1 {
		d = min(d*3/2, longest)
	}
	return d
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// take gives the receipts of the messages that have ended, once.
func (t *tracker) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	finished := t.finished
	t.finished = nil
	return finished
}

// extend gives the receipts of messages that would be seen by others before
// that time, and notes that they are hidden until then.
func (t *tracker) extend(before, until time.Time) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var receipts []string
	for _, m := range t.messages {
		if m.hiddenUntil.Before(before) {
			m.hiddenUntil = until
			receipts = append(receipts, m.receipt)
		}
	}
	return receipts
}

// release forgets everything and gives the receipts of what had not ended.
func (t *tracker) release() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var receipts []string
	for _, m := range t.messages {
		receipts = append(receipts, m.receipt)
	}
	t.messages, t.pending, t.bytes = map[string]*message{}, nil, 0
	return receipts
}
