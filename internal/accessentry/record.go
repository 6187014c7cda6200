package accessentry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// recordFormat: version 1 had every entry's selectors in the entry, version 2 no
// groups.
func recordFormat() gzipjson.Format {
	return gzipjson.Format{Version: 3, Oldest: 1, MaxMiB: 8} // 3,000 entries take about 1
}

// ErrRecord is what every error of DecodeRecord wraps.
var ErrRecord = errors.New("the record of access entries is not usable")

// Record is what may be ours among a cluster's access entries. It is written
// before they are changed, so it may be ahead of them, never behind. An entry
// is ours if it is recorded and carries our tag.
type Record struct {
	// Cluster is the name of the cluster that Entries are in.
	Cluster string `json:"cluster"`
	// Mode is the cluster's authentication mode as it was last seen; empty: it
	// never was.
	Mode    Mode    `json:"mode,omitempty"`
	Entries []Owned `json:"-"`
}

// Owned is one entry that we may have made.
type Owned struct {
	Kind rules.Kind `json:"kind"`
	// ARN is the principal's, with its path.
	ARN string `json:"arn"`
	// ID is the unique id of the principal that the entry was made for.
	ID string `json:"id,omitempty"`
	// Digest is the Entry.Digest of what it should say.
	Digest string `json:"digest"`
	// Pending: what it says is not known to be that yet, nor that it is there.
	Pending bool `json:"pending,omitempty"`
	// Groups are those that it should give, system:masters among them; nil from a
	// record of version 2.
	Groups []string `json:"groups,omitempty"`
	// Selectors are the RuleDigests of the rules that granted it; from a record
	// of version 2, SelectorDigests. Entries share them: do not modify.
	Selectors []string  `json:"selectors,omitempty"` // as version 1 stored them
	HeldSince time.Time `json:"heldSince,omitzero"`
	// Extra is still to be put on the entry before it is no longer Pending: what
	// others had put on the one that it takes the place of, as last seen.
	Extra Extra `json:"extra,omitzero"`
	// Replaces is when the entry was made that it takes the place of: one that
	// was made at another time took its place already.
	Replaces time.Time `json:"replaces,omitzero"`
}

// Key identifies the entry.
func (o Owned) Key() string { return arn.Fold(o.ARN) }

type recordJSON struct {
	Version int `json:"version"`
	Record
	Granted rules.SelectorLists `json:"granted,omitzero"`
	Entries []ownedJSON         `json:"entries,omitempty"`
}

type ownedJSON struct {
	Owned
	By int `json:"by,omitempty"` // the number of the list in Granted
}

// Encode gives the record as compressed JSON, always the same bytes for the
// same content. It refuses what DecodeRecord would refuse for its size; the
// error wraps gzipjson.ErrTooLarge then.
func (r Record) Encode() ([]byte, error) {
	wire := recordJSON{Version: recordFormat().Version, Record: r}
	entries := slices.Clone(r.Entries)
	slices.SortFunc(entries, func(a, b Owned) int { return cmp.Compare(a.ARN, b.ARN) })
	var lists rules.ListWriter
	for _, o := range entries {
		j := ownedJSON{Owned: o, By: lists.Number(o.Selectors)}
		j.Selectors, j.HeldSince, j.Replaces = nil, stamp(o.HeldSince), stamp(o.Replaces)
		wire.Entries = append(wire.Entries, j)
	}
	var err error
	if wire.Granted, err = lists.Lists(); err != nil {
		return nil, fmt.Errorf("encoding the record of access entries: %w", err)
	}
	b, err := gzipjson.Encode(wire, recordFormat())
	if err != nil {
		return nil, fmt.Errorf("encoding the record of access entries: %w", err)
	}
	return b, nil
}

// stamp is a time as it is stored.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Round(0)
}

// DecodeRecord reads what Encode wrote. Anything else, and what a newer version
// of this program wrote, is an error that wraps ErrRecord and no record at all.
func DecodeRecord(b []byte) (Record, error) {
	wire, err := gzipjson.Decode[recordJSON](b, recordFormat())
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	r, err := wire.record()
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

func (w recordJSON) record() (Record, error) {
	if w.Version == 1 && len(w.Granted.Lists)+len(w.Granted.Selectors) > 0 {
		return Record{}, errors.New("version 1 has no lists of rules")
	}
	lists, err := w.Granted.Read()
	if err != nil {
		return Record{}, err
	}
	r := w.Record
	for _, j := range w.Entries {
		o := j.Owned
		a, err := arn.Parse(o.ARN)
		switch {
		case err != nil || a.Type != string(o.Kind):
			return Record{}, fmt.Errorf("%.100q is not the ARN of a %.20q", o.ARN, o.Kind)
		case w.Version == 1 && j.By != 0 || w.Version > 1 && len(o.Selectors) > 0:
			return Record{}, fmt.Errorf("%s has its rules as another version than %d writes them", o.ARN, w.Version)
		case len(o.Selectors) == 0:
			if o.Selectors, err = rules.Listed(lists, j.By); err != nil {
				return Record{}, fmt.Errorf("%s: %w", o.ARN, err)
			}
		}
		r.Entries = append(r.Entries, o)
	}
	return r, nil
}

// Empty reports whether there is nothing to remember.
func (r Record) Empty() bool { return r.Mode == "" && len(r.Entries) == 0 }

// Equal reports whether two records say the same, in whatever order.
func (r Record) Equal(other Record) bool {
	if r.Cluster != other.Cluster || r.Mode != other.Mode || len(r.Entries) != len(other.Entries) {
		return false
	}
	index := r.index()
	for _, o := range other.Entries {
		mine, ok := index[o.Key()]
		if !ok || mine.ARN != o.ARN || mine.ID != o.ID || mine.Digest != o.Digest || mine.Pending != o.Pending ||
			!mine.HeldSince.Equal(o.HeldSince) || !mine.Replaces.Equal(o.Replaces) || !slices.Equal(mine.Selectors, o.Selectors) || !slices.Equal(mine.Groups, o.Groups) || !mine.Extra.Equal(o.Extra) {
			return false
		}
	}
	return true
}

func (r Record) index() map[string]Owned {
	index := make(map[string]Owned, len(r.Entries))
	for _, o := range r.Entries {
		index[o.Key()] = o
	}
	return index
}
