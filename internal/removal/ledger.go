package removal

import (
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// apart is how far from each other two listings must begin to be two pieces of
// evidence: IAM is eventually consistent, and one lag must not count twice.
const apart = 10 * time.Second

// Observation is one listing of principals.
type Observation struct {
	// AccountID is the account that was listed, and Kind what was listed.
	AccountID string
	Kind      rules.Kind
	// PathPrefix is the path that was asked for, "/" for all. A listing proves
	// nothing about other paths; one without a path proves nothing at all.
	PathPrefix string
	// Complete is false for a listing that failed on the way.
	Complete bool
	// Begun is when the first call was sent. With its monotonic clock reading
	// left in, clocks that are set do not matter.
	Begun time.Time
	// Has tells whether a principal, by its folded ARN with path, is in the
	// listing.
	Has func(foldedARN string) bool
}

// covers tells whether the listing would have the principal if it existed.
func (o Observation) covers(a arn.ARN) bool {
	return o.Complete && o.PathPrefix != "" && o.AccountID == a.AccountID && string(o.Kind) == a.Type &&
		strings.HasPrefix(a.Path, o.PathPrefix)
}

// Ledger is the evidence that principals are gone. It lives in memory, but for
// when they were missed first, which Decide gives and takes. It holds nothing but
// what the last Decide was asked about. The zero value is ready; it is not for concurrent use.
type Ledger struct {
	absent map[string]*absence // by folded ARN
	// fresh has the last listing since the last Decide, if it was complete, for
	// candidates that come up only now. It is not more than the last, because
	// they may have been seen since an earlier one.
	fresh map[group]Observation
}

// absence is what is known of one principal that is not listed.
type absence struct {
	arn arn.ARN
	// first and second are when two listings began that lacked it.
	first, second time.Time
	// confirmed: AWS was asked for it after that, and does not know it.
	confirmed bool
	// asked is when AWS was asked for it in vain; zero: it was not.
	asked time.Time
}

// twice tells whether two listings lacked it.
func (a *absence) twice() bool { return !a.second.IsZero() }

// observe weighs a listing; key is the principal's folded ARN.
func (a *absence) observe(key string, o Observation) {
	switch {
	case o.Has(key):
		*a = absence{arn: a.arn}
	case !o.covers(a.arn):
	case a.first.IsZero() || o.Begun.Before(a.latest()): // the clock was set back: start over
		*a = absence{arn: a.arn, first: o.Begun, asked: a.asked}
	case !a.twice() && o.Begun.Sub(a.first) >= apart:
		a.second = o.Begun
	}
}

func (a *absence) latest() time.Time {
	if a.twice() {
		return a.second
	}
	return a.first
}

// Observe notes a listing. A principal that is seen loses all evidence,
// whatever the listing is worth otherwise; one that is lacking gains some only
// if the listing is complete and covers it.
func (l *Ledger) Observe(o Observation) {
	if o.Has == nil {
		return
	}
	for key, a := range l.absent {
		a.observe(key, o)
		// It may have been made again since AWS was asked, and a listing lags.
		a.confirmed = a.confirmed && (o.AccountID != a.arn.AccountID || string(o.Kind) != a.arn.Type)
	}
	if !o.Complete {
		delete(l.fresh, group{o.Kind, o.AccountID})
		return
	}
	if l.fresh == nil {
		l.fresh = make(map[group]Observation)
	}
	l.fresh[group{o.Kind, o.AccountID}] = o
}

// Confirm notes what AWS answered when it was asked for one principal. A yes
// takes all evidence away; a no counts if it was asked for, at that time, not
// before the second of the listings that lacked it had begun.
func (l *Ledger) Confirm(principalARN string, at time.Time, exists bool) {
	key := arn.Fold(principalARN)
	a, ok := l.absent[key]
	switch {
	case !ok:
	case exists:
		*a = absence{arn: a.arn}
	case a.twice() && !at.Before(a.second):
		a.confirmed = true
	}
}

// Failed notes that AWS did not answer when it was asked for one principal at
// that time: the others get their turn first.
func (l *Ledger) Failed(principalARN string, at time.Time) {
	if a, ok := l.absent[arn.Fold(principalARN)]; ok {
		a.asked = at
	}
}

// RollCall notes what another call of AWS than the listings lists. For those
// whom two listings lacked, and that began after the second one, it is worth as
// much as asking for each; whoever is there loses all evidence.
func (l *Ledger) RollCall(o Observation) {
	if o.Has == nil {
		return
	}
	for key, a := range l.absent {
		switch {
		case o.Has(key):
			*a = absence{arn: a.arn}
		case o.covers(a.arn) && a.twice() && !o.Begun.Before(a.second):
			a.confirmed = true
		}
	}
}

// missing gives since when each principal is missing.
func (l *Ledger) missing() map[string]time.Time {
	all := map[string]time.Time{}
	for key, a := range l.absent {
		if !a.first.IsZero() {
			all[key] = a.first
		}
	}
	return all
}

// track keeps the evidence about the candidates that are not listed, and
// forgets all other.
func (l *Ledger) track(candidates []Candidate, in Input) {
	kept := make(map[string]*absence)
	for _, c := range candidates {
		key := arn.Fold(c.ARN)
		if c.Listed {
			continue
		}
		if known, ok := l.absent[key]; ok {
			kept[key] = known
			continue
		}
		a, err := arn.Parse(c.ARN)
		if err != nil {
			continue
		}
		kept[key] = &absence{arn: a}
		if since, ok := in.Missing[key]; ok && !since.After(in.Now) {
			kept[key].first = since
		}
		if o, ok := l.fresh[group{c.Kind, a.AccountID}]; ok {
			kept[key].observe(key, o)
		}
	}
	l.absent, l.fresh = kept, nil
}
