package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

type recordJSON struct {
	Version   int                     `json:"version"`
	Granted   SelectorLists           `json:"granted,omitzero"`
	Entries   []ownedJSON             `json:"entries"`
	Originals map[string]originalJSON `json:"originals,omitempty"`
	Rules     map[string]string       `json:"rules"`
	Removals  []removalJSON           `json:"removals,omitempty"`
	Seen      bool                    `json:"seen,omitempty"`
	SpentOne  string                  `json:"spent,omitempty"` // before version 3
	Spent     []string                `json:"spentApprovals,omitempty"`
	Approval  Approval                `json:"approval,omitzero"`
	Former    []formerJSON            `json:"former,omitempty"`
	Missing   []missingJSON           `json:"missing,omitempty"`
	Lost      *lossJSON               `json:"lost,omitempty"`
}

type ownedJSON struct {
	Kind      Kind      `json:"kind"`
	ARN       string    `json:"arn"`
	Digest    string    `json:"digest"`
	Selectors []string  `json:"selectors,omitempty"` // version 1
	By        int       `json:"by,omitempty"`        // the number of the list in Granted
	In        int       `json:"in,omitempty"`        // that of its groups
	HeldSince time.Time `json:"heldSince,omitzero"`
	Out       time.Time `json:"out,omitzero"`
	Forget    time.Time `json:"forget,omitzero"`
}

type formerJSON struct {
	Kind   Kind     `json:"kind"`
	Rule   string   `json:"rule"`
	Was    string   `json:"was"`
	Groups []string `json:"groups,omitempty"`
}

// missingJSON has those together that are missing since the same time.
type missingJSON struct {
	Since time.Time `json:"since"`
	ARNs  []string  `json:"arns"`
}

type lossJSON struct {
	At            time.Time   `json:"at"`
	Entries       []ownedJSON `json:"entries,omitempty"`
	AccessEntries []ownedJSON `json:"accessEntries,omitempty"`
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

func (r Record) wire() (recordJSON, error) {
	w := recordJSON{
		Version: recordFormat().Version, Rules: r.Rules, Seen: r.Seen, Spent: r.Spent,
		Approval: Approval{r.Approval.Value, plain(r.Approval.Since)}, Missing: missingInOrder(r.Missing),
	}
	var lists ListWriter
	w.Entries = wireEntries(r.Entries, &lists)
	for _, f := range slices.SortedFunc(slices.Values(r.Former), compareFormers) {
		w.Former = append(w.Former, formerJSON(f))
	}
	if r.Lost != nil {
		w.Lost = &lossJSON{plain(r.Lost.At), wireEntries(r.Lost.Entries, &lists), wireEntries(r.Lost.AccessEntries, &lists)}
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

func wireEntries(entries []Owned, lists *ListWriter) []ownedJSON {
	wire := make([]ownedJSON, 0, len(entries))
	for _, e := range inOrder(entries) {
		wire = append(wire, ownedJSON{
			Kind: e.Kind, ARN: e.ARN, Digest: e.Digest, By: lists.Number(e.Selectors), In: lists.Number(e.Groups), HeldSince: e.HeldSince, Out: e.Out, Forget: e.Forget,
		})
	}
	return wire
}

// missingInOrder gives the missing by time, and those of one time by ARN.
func missingInOrder(missing map[string]time.Time) []missingJSON {
	since := map[time.Time][]string{}
	for folded, at := range missing {
		since[plain(at)] = append(since[plain(at)], folded)
	}
	var out []missingJSON
	for _, at := range slices.SortedFunc(maps.Keys(since), time.Time.Compare) {
		slices.Sort(since[at])
		out = append(out, missingJSON{at, since[at]})
	}
	return out
}

// inOrder gives entries in the order in which they are stored, with their times
// as they are.
func inOrder(entries []Owned) []Owned {
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		e.HeldSince, e.Out, e.Forget = plain(e.HeldSince), plain(e.Out), plain(e.Forget)
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
	r := Record{Rules: w.Rules, Seen: w.Seen, Spent: w.Spent, Approval: Approval{w.Approval.Value, plain(w.Approval.Since)}}
	if w.SpentOne != "" {
		r.Spent = []string{w.SpentOne}
	}
	lists, err := w.Granted.Read()
	if err != nil {
		return Record{}, err
	}
	if r.Entries, err = readEntries(w.Entries, lists); err != nil {
		return Record{}, err
	}
	if w.Lost != nil {
		r.Lost = &Loss{At: plain(w.Lost.At)}
		var accessErr error
		r.Lost.Entries, err = readEntries(w.Lost.Entries, lists)
		r.Lost.AccessEntries, accessErr = readEntries(w.Lost.AccessEntries, lists)
		if err := errors.Join(err, accessErr); err != nil {
			return Record{}, fmt.Errorf("what was lost: %w", err)
		}
	}
	for _, f := range w.Former {
		r.Former = append(r.Former, Former(f))
	}
	for _, m := range w.Missing {
		if r.Missing == nil {
			r.Missing = map[string]time.Time{}
		}
		for _, folded := range m.ARNs {
			r.Missing[folded] = plain(m.Since)
		}
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

func readEntries(wire []ownedJSON, lists [][]string) ([]Owned, error) {
	var entries []Owned
	for i, e := range wire {
		o := Owned{Kind: e.Kind, ARN: e.ARN, Digest: e.Digest, HeldSince: plain(e.HeldSince), Out: plain(e.Out), Forget: plain(e.Forget)}
		var err error
		if len(e.Selectors) > 0 {
			o.Selectors = e.Selectors
		} else if o.Selectors, err = Listed(lists, e.By); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if o.Groups, err = Listed(lists, e.In); err != nil {
			return nil, fmt.Errorf("groups of entry %d: %w", i+1, err)
		}
		entries = append(entries, o)
	}
	return entries, nil
}

// check refuses what no accepted state of ours can hold.
func (w recordJSON) check() error {
	if w.Version == 1 && len(w.Granted.Lists)+len(w.Granted.Selectors) > 0 {
		return errors.New("version 1 has no lists of rules")
	}
	lists := [][]ownedJSON{w.Entries}
	if w.Lost != nil {
		lists = append(lists, w.Lost.Entries, w.Lost.AccessEntries)
	}
	for _, list := range lists {
		for i, e := range list {
			if err := e.check(w.Version); err != nil {
				return fmt.Errorf("entry %d: %w", i+1, err)
			}
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
	for _, text := range w.texts() {
		if !utf8.ValidString(text) {
			return errors.New("an approval, a group or a missing principal is not UTF-8")
		}
	}
	for i, m := range w.Removals {
		if m.Kind.DataKey() == "" || !utf8.ValidString(m.AccountID) || m.Count < 0 {
			return fmt.Errorf("removal %d: its kind, account or count is not one", i+1)
		}
	}
	return nil
}

// texts are those that are nothing but texts.
func (w recordJSON) texts() []string {
	texts := append([]string{w.Approval.Value}, w.Spent...)
	for _, f := range w.Former {
		texts = slices.Concat(texts, f.Groups, []string{f.Rule, f.Was})
	}
	for _, m := range w.Missing {
		texts = append(texts, m.ARNs...)
	}
	return texts
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
	case version == 1 && e.By != 0 || version < 3 && e.In != 0 || version > 1 && len(e.Selectors) > 0:
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
