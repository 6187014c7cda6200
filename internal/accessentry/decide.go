package accessentry

import (
	"cmp"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Mode is a cluster's authentication mode: which stores it reads.
type Mode string

// The modes, as EKS names them.
const (
	ModeConfigMap    Mode = "CONFIG_MAP"
	ModeAPI          Mode = "API"
	ModeAPIConfigMap Mode = "API_AND_CONFIG_MAP"
)

// SettleTime is how long a store is given until what was written to it lets
// people in: EKS says seconds.
const SettleTime = time.Minute

// ReadsEntries reports whether access entries count.
func (m Mode) ReadsEntries() bool { return m == ModeAPI || m == ModeAPIConfigMap }

// ReadsConfigMap reports whether aws-auth counts.
func (m Mode) ReadsConfigMap() bool { return m == ModeConfigMap || m == ModeAPIConfigMap }

// View is what is known of a cluster's access entries.
type View struct {
	Mode Mode // empty: not known
	// Listed are the principals of all entries, folded; nil until a listing was
	// complete.
	Listed map[string]bool
	// Gone are recorded entries that no listing has and that EKS, asked for each,
	// says do not stand there. A listing alone proves nothing.
	Gone map[string]bool
	// Changed is when an entry was last made, changed or adopted, as far as this
	// process knows: at the earliest, when it first listed them.
	Changed time.Time
	// Err is why the entries could not be listed; nothing is changed then.
	// LookErr is why not all that were due could be looked at closely.
	Err, LookErr error
	// Seen are entries of ours that were looked at closely, by folded ARN.
	Seen map[string]Seen
	// Waiting are entries that EKS refused lately.
	Waiting map[string]Waiting
}

// Seen is what stands in an access entry.
type Seen struct {
	// Ours: it carries our tag and has the type STANDARD.
	Ours   bool
	Digest string
	Made   time.Time
	Extra  Extra
}

// Waiting is an entry that is not tried again before Until.
type Waiting struct {
	Until  time.Time
	Reason string
}

// Foreign are the folded ARNs of the principals that have an access entry of
// somebody else's.
func (v View) Foreign(r Record) map[string]bool {
	index := r.index()
	foreign := map[string]bool{}
	for key := range v.Listed {
		_, recorded := index[key]
		if seen, looked := v.Seen[key]; !recorded || looked && !seen.Ours {
			foreign[key] = true
		}
	}
	return foreign
}

// Ours are the recorded entries that stand in the cluster, or did when the
// record was written if no listing tells.
func (v View) Ours(r Record) []Owned {
	var ours []Owned
	for _, o := range r.Entries {
		seen, looked := v.Seen[o.Key()]
		if (v.Listed == nil || v.Listed[o.Key()]) && (!looked || seen.Ours) {
			ours = append(ours, o)
		}
	}
	return ours
}

// Input is what Decide decides from.
type Input struct {
	Now    time.Time
	View   View
	Record Record
	// Want are the entries that the rules grant, without those of principals
	// that somebody else let in, in the order in which they get a place.
	Want []Entry
	// Stay tells which entries of ours stay although they are not wanted, by
	// folded ARN, and since when they are held, if they are.
	Stay map[string]time.Time
	// Adopt are wanted entries where somebody else's stands; it becomes ours if
	// it says the same.
	Adopt []Entry
	// Keep makes no entries and leaves those that are wanted; Empty removes
	// those too. Both are for a target that is not selected any longer.
	Keep, Empty bool
}

// Plan is what is to be done. Its Record must be stored first.
type Plan struct {
	Create, Update, Recreate []Entry
	Adopt                    []Entry
	Delete                   []Owned
	Record                   Record
	// Overflow has no place in the cluster; Waiting was refused lately.
	Overflow []Entry
	Waiting  []Refused
	// Complete: everything wanted stands there, as far as is known.
	Complete bool
	// Settled: nothing was made or changed for as long as EKS takes until an
	// entry counts.
	Settled bool
	// Next is when something that waits is due; zero: nothing waits.
	Next time.Time
}

// Refused is an entry that EKS did not take.
type Refused struct {
	Entry  Entry
	Reason string
}

// Idle reports whether there is nothing to do in the cluster.
func (p Plan) Idle() bool {
	return len(p.Create)+len(p.Update)+len(p.Recreate)+len(p.Adopt)+len(p.Delete) == 0
}

// Decide says what to do about the access entries.
func Decide(in Input) Plan {
	d := decider{Input: in, index: in.Record.index(), kept: map[string]Owned{}}
	d.plan.Record = Record{Cluster: in.Record.Cluster, Mode: in.Record.Mode}
	if in.View.Mode != "" {
		d.plan.Record.Mode = in.View.Mode
	}
	if in.View.Listed == nil || in.View.Err != nil {
		d.hold()
		return d.plan
	}
	d.plan.Complete = !in.Keep && !in.Empty
	d.plan.Settled = in.Now.Sub(in.View.Changed) >= SettleTime
	wanted := make(map[string]bool, len(in.Want))
	for _, e := range in.Want {
		wanted[e.Key()] = true
		if !in.Empty {
			d.want(e)
		}
	}
	for _, e := range in.Adopt {
		d.adopt(e)
	}
	for _, o := range in.Record.Entries {
		if !wanted[o.Key()] || in.Empty {
			d.unwanted(o, wanted[o.Key()])
		}
	}
	for _, o := range d.kept {
		d.plan.Record.Entries = append(d.plan.Record.Entries, o)
	}
	return d.plan
}

type decider struct {
	Input
	plan    Plan
	index   map[string]Owned
	kept    map[string]Owned // of the record
	created int
}

// hold leaves everything as it is but for who is held.
func (d *decider) hold() {
	wanted := make(map[string]bool, len(d.Want))
	for _, e := range d.Want {
		wanted[e.Key()] = true
	}
	for _, o := range d.Record.Entries {
		if wanted[o.Key()] {
			o.HeldSince = time.Time{}
		}
		if since, stays := d.Stay[o.Key()]; stays {
			o.HeldSince = since
		}
		d.plan.Record.Entries = append(d.plan.Record.Entries, o)
	}
}

func (d *decider) want(e Entry) {
	key := e.Key()
	before, recorded := d.index[key]
	there := d.View.Listed[key]
	seen, looked := d.View.Seen[key]
	if looked && !before.Pending && otherID(before, e) && !madeAgain(before, e, seen) {
		e.ID = before.ID // a listing that is behind shows an earlier principal's
	}
	owned := ownedBy(e)
	switch {
	case d.Keep && (!recorded || !there && d.View.Gone[key]):
		// Nothing new goes into a store that is given up.
	case d.Keep:
		before.HeldSince = time.Time{} // who is granted access is not held
		d.kept[key] = before
	case !there:
		d.create(e)
	case recorded && looked && madeAgain(before, e, seen):
		d.again(e, before, seen)
	case !looked && otherID(before, e):
		// It is looked at before it is touched.
		d.kept[key], d.plan.Complete = before, false
	case before.Pending || before.Digest != owned.Digest || looked && seen.Digest != owned.Digest:
		d.change(&d.plan.Update, e)
	default:
		owned.ID = cmp.Or(e.ID, before.ID)
		d.kept[key] = owned
	}
}

func ownedBy(e Entry) Owned {
	return Owned{Kind: e.Kind, ARN: e.ARN, ID: e.ID, Digest: e.Digest(), Groups: e.allGroups(), Selectors: e.Selectors}
}

func (d *decider) create(e Entry) {
	if len(d.View.Listed)+d.created >= Limit {
		d.plan.Overflow, d.plan.Complete = append(d.plan.Overflow, e), false
		if before, recorded := d.index[e.Key()]; recorded && !before.Extra.IsZero() {
			d.kept[e.Key()] = before
		}
		return
	}
	d.created++
	d.change(&d.plan.Create, e)
}

// change plans it unless EKS refused the entry lately.
func (d *decider) change(list *[]Entry, e Entry) {
	owned := ownedBy(e)
	owned.Pending, d.plan.Complete = true, false
	before := d.index[e.Key()]
	owned.Extra, owned.Replaces = before.Extra, before.Replaces
	d.kept[e.Key()] = owned
	if d.waits(e) {
		return
	}
	*list = append(*list, e)
}

// waits reports an entry that is not tried again yet.
func (d *decider) waits(e Entry) bool {
	w, refused := d.refusal(e)
	if !refused {
		return false
	}
	d.plan.Waiting = append(d.plan.Waiting, Refused{e, w.Reason})
	if d.plan.Next.IsZero() || w.Until.Before(d.plan.Next) {
		d.plan.Next = w.Until
	}
	return true
}

func (d *decider) adopt(e Entry) {
	if _, refused := d.refusal(e); refused || d.Keep || d.Empty {
		return
	}
	owned := ownedBy(e)
	owned.Pending = true
	d.kept[e.Key()] = owned
	d.plan.Adopt = append(d.plan.Adopt, e)
}

// refusal is why the entry is not tried again yet.
func (d *decider) refusal(e Entry) (w Waiting, refused bool) {
	w, refused = d.View.Waiting[e.Key()]
	return w, refused && d.Now.Before(w.Until)
}

// unwanted is an entry of the record that goes, unless it is to stay.
func (d *decider) unwanted(o Owned, granted bool) {
	key := o.Key()
	if _, adopting := d.kept[key]; adopting {
		return
	}
	seen, looked := d.View.Seen[key]
	if !d.View.Listed[key] && d.View.Gone[key] || looked && !seen.Ours {
		return // it is gone, or never was ours: forget it
	}
	if !d.View.Listed[key] {
		d.kept[key] = o // until EKS is sure
		return
	}
	if since, stays := d.Stay[key]; stays && !granted {
		o.HeldSince = since
		d.kept[key] = o
		return
	}
	d.kept[key] = o // until it is gone
	d.plan.Delete = append(d.plan.Delete, o)
}

// Principals gives the listed principals by folded ARN, for FromGrant.
func Principals(list []rules.Principal) map[string]rules.Principal {
	byARN := make(map[string]rules.Principal, len(list))
	for _, p := range list {
		byARN[arn.Fold(p.ARN)] = p
	}
	return byARN
}
