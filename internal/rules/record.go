package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
)

// recordFormat: version 1 had every entry's selectors in the entry.
func recordFormat() gzipjson.Format {
	return gzipjson.Format{Version: 2, Oldest: 1, MaxMiB: 16} // 7,000 entries with their rules take about 2
}

// ErrRecord is what every error of DecodeRecord wraps.
var ErrRecord = errors.New("the record is not usable")

// Record is what is known for certain to be ours in a cluster's aws-auth. It
// is written before aws-auth is, so it may be ahead of it, never behind.
type Record struct {
	// Entries are those that we may have written: while a change is under way
	// both the old and the new ones, so the same ARN may stand there twice
	// with different digests.
	Entries []Owned
	// Originals are, by data key of aws-auth, the values without entries that
	// stood there before our first one; they come back when our last one goes.
	Originals map[string]Original
	// Rules is the last accepted rules data, verbatim; nil when none has been
	// accepted yet.
	Rules map[string]string
	// Removals are the recent ones that count towards the breaker.
	Removals []Removal
	// Seen: there was an aws-auth. Whoever deletes it may be about to make it
	// again.
	Seen bool
	// Spent is the digest of an approval that let earlier rules take entries
	// out, and that must not do so again; see the controller's annotation.
	Spent string
}

// Owned is one entry that we may have written.
type Owned struct {
	Kind Kind
	// ARN is the principal's, with its path.
	ARN string
	// Digest is the ContentDigest of the entry's decoded user name and groups.
	Digest string
	// Selectors are the SelectorDigests of the rules that granted it. Entries
	// share them: do not modify.
	Selectors []string
	// HeldSince is when its removal was first held back, or would have been for
	// the hold to be over: then it may go at once. Zero: neither.
	HeldSince time.Time
	// Forget is set once the entry is out of the document: until then it still
	// counts as ours, should somebody write back what they had read before.
	// Zero: it stands.
	Forget time.Time
}

// Original is a value of aws-auth from before our first entry.
type Original struct {
	// Present tells an empty value from a missing key.
	Present bool
	// Value is the text, verbatim.
	Value string
}

// Removal counts entries that were taken out at once, because no rule granted
// them any longer.
type Removal struct {
	Kind      Kind
	AccountID string
	At        time.Time
	Count     int
}

type recordJSON struct {
	Version   int                     `json:"version"`
	Granted   SelectorLists           `json:"granted,omitzero"`
	Entries   []ownedJSON             `json:"entries"`
	Originals map[string]originalJSON `json:"originals,omitempty"`
	Rules     map[string]string       `json:"rules"`
	Removals  []removalJSON           `json:"removals,omitempty"`
	Seen      bool                    `json:"seen,omitempty"`
	Spent     string                  `json:"spent,omitempty"`
}

type ownedJSON struct {
	Kind      Kind      `json:"kind"`
	ARN       string    `json:"arn"`
	Digest    string    `json:"digest"`
	Selectors []string  `json:"selectors,omitempty"` // version 1
	By        int       `json:"by,omitempty"`        // the number of the list in Granted
	HeldSince time.Time `json:"heldSince,omitzero"`
	Forget    time.Time `json:"forget,omitzero"`
}

type originalJSON struct {
	Present bool   `json:"present"`
	Value   string `json:"value,omitempty"`
}

type removalJSON struct {
	Kind      Kind      `json:"kind"`
	AccountID string    `json:"accountID"`
	At        time.Time `json:"at"`
	Count     int       `json:"count"`
}

// Encode gives the record as compressed JSON, always the same bytes for the
// same content, in whatever order entries and removals are. It refuses text
// that is not UTF-8, which it could not give back, and what DecodeRecord would
// refuse: if that is for its size, the error wraps gzipjson.ErrTooLarge.
func (r Record) Encode() ([]byte, error) {
	wire, err := r.wire()
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	if err := wire.check(); err != nil {
		return nil, err
	}
	b, err := gzipjson.Encode(wire, recordFormat())
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	return b, nil
}

// DecodeRecord reads what Encode wrote. Anything else, and what a newer
// version of this program wrote, is an error that wraps ErrRecord and no
// record at all: half a record would make somebody else's of what is ours.
func DecodeRecord(b []byte) (Record, error) {
	wire, err := gzipjson.Decode[recordJSON](b, recordFormat())
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if err := wire.check(); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	r, err := wire.record()
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

func (r Record) wire() (recordJSON, error) {
	w := recordJSON{Version: recordFormat().Version, Rules: r.Rules, Seen: r.Seen, Spent: r.Spent, Entries: make([]ownedJSON, 0, len(r.Entries))}
	var lists ListWriter
	for _, e := range inOrder(r.Entries) {
		w.Entries = append(w.Entries, ownedJSON{
			Kind: e.Kind, ARN: e.ARN, Digest: e.Digest, By: lists.Number(e.Selectors), HeldSince: e.HeldSince, Forget: e.Forget,
		})
	}
	for k, o := range r.Originals {
		if w.Originals == nil {
			w.Originals = make(map[string]originalJSON, len(r.Originals))
		}
		w.Originals[k] = originalJSON(o)
	}
	for _, m := range r.Removals {
		j := removalJSON(m)
		j.At = plain(m.At)
		w.Removals = append(w.Removals, j)
	}
	slices.SortFunc(w.Removals, func(a, b removalJSON) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.AccountID, b.AccountID),
			a.At.Compare(b.At), cmp.Compare(a.Count, b.Count))
	})
	var err error
	w.Granted, err = lists.Lists()
	return w, err
}

// inOrder gives entries in the order in which they are stored, with their times
// as they are.
func inOrder(entries []Owned) []Owned {
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		e.HeldSince, e.Forget = plain(e.HeldSince), plain(e.Forget)
	}
	slices.SortFunc(entries, func(a, b Owned) int {
		if c := cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ARN, b.ARN), cmp.Compare(a.Digest, b.Digest)); c != 0 {
			return c
		}
		return cmp.Or(slices.Compare(a.Selectors, b.Selectors), a.HeldSince.Compare(b.HeldSince), a.Forget.Compare(b.Forget))
	})
	return entries
}

func (w recordJSON) record() (Record, error) {
	r := Record{Rules: w.Rules, Seen: w.Seen, Spent: w.Spent}
	lists, err := w.Granted.Read()
	if err != nil {
		return Record{}, err
	}
	for i, e := range w.Entries {
		o := Owned{Kind: e.Kind, ARN: e.ARN, Digest: e.Digest, HeldSince: plain(e.HeldSince), Forget: plain(e.Forget)}
		if len(e.Selectors) > 0 {
			o.Selectors = e.Selectors
		} else if o.Selectors, err = Listed(lists, e.By); err != nil {
			return Record{}, fmt.Errorf("entry %d: %w", i+1, err)
		}
		r.Entries = append(r.Entries, o)
	}
	for k, o := range w.Originals {
		if r.Originals == nil {
			r.Originals = make(map[string]Original, len(w.Originals))
		}
		r.Originals[k] = Original(o)
	}
	for _, m := range w.Removals {
		m.At = plain(m.At)
		r.Removals = append(r.Removals, Removal(m))
	}
	return r, nil
}

// check refuses what no accepted state of ours can hold.
func (w recordJSON) check() error {
	if w.Version == 1 && len(w.Granted.Lists)+len(w.Granted.Selectors) > 0 {
		return errors.New("version 1 has no lists of rules")
	}
	for i, e := range w.Entries {
		if err := e.check(w.Version); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	for k, o := range w.Originals {
		if !utf8.ValidString(k) || !utf8.ValidString(o.Value) {
			return errors.New("an original value is not UTF-8")
		}
	}
	for k, v := range w.Rules {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return errors.New("the rules are not UTF-8")
		}
	}
	for i, m := range w.Removals {
		if m.Kind.DataKey() == "" || !utf8.ValidString(m.AccountID) || m.Count < 0 {
			return fmt.Errorf("removal %d: its kind, account or count is not one", i+1)
		}
	}
	return nil
}

func (e ownedJSON) check(version int) error {
	a, err := arn.Parse(e.ARN)
	switch {
	case err != nil:
		return err
	case e.Kind.DataKey() == "" || a.Type != string(e.Kind):
		return fmt.Errorf("%s is not the ARN of a %.20q", e.ARN, e.Kind)
	case !utf8.ValidString(e.Digest):
		return fmt.Errorf("the digest of %s is not UTF-8", e.ARN)
	case version == 1 && e.By != 0 || version > 1 && len(e.Selectors) > 0:
		return fmt.Errorf("%s has its rules as another version than %d writes them", e.ARN, version)
	}
	return nil
}

// plain strips what does not survive a record: the zone and the monotonic
// clock.
func plain(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}
