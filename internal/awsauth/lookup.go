package awsauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// accountsKey is the data key of the accounts whose every identity is let in.
const accountsKey = "mapAccounts"

// Lookup finds the entry that the authenticator takes for an identity, given
// by its canonical ARN: role/X for a session of the role X, without a path, as
// EKS derives it from assumed-role/X/session.
//
// mapRoles comes before mapUsers, and in either of them any ARN may stand.
// ARNs are compared without case, and of entries with the same ARN the last
// one counts. A role's ARN with a path is not canonical, so an entry with one
// never matches. Safe for concurrent use.
func (d *Document) Lookup(canonicalARN string) (Entry, bool) {
	key := arn.Fold(canonicalARN)
	for _, l := range slices.Backward(d.lists[:]) {
		l.indexOnce.Do(l.makeIndex)
		if i, ok := l.index[key]; ok {
			return l.items[i].entry, true
		}
	}
	return Entry{}, false
}

func (l *List) makeIndex() {
	l.index = make(map[string]int, len(l.items))
	for i := range l.items {
		e := &l.items[i].entry
		if e.ARN == "" {
			continue
		}
		if parsed, err := arn.Parse(e.ARN); err == nil && parsed.Type == arn.TypeRole && parsed.Path != "/" {
			continue
		}
		l.index[e.Key()] = i
	}
}

// accounts is the value of mapAccounts.
type accounts struct {
	value   string
	ids     []string
	problem error
}

// readAccounts reads a value as the authenticator does: a YAML list of
// scalars, each taken as it is spelled, so that an account without quotes
// keeps its zeros. Items that are not scalars are dropped.
func readAccounts(value string) *accounts {
	a := &accounts{value: value}
	switch strings.TrimSpace(value) {
	case "", "``", `""`, "''": // the authenticator takes these for nothing
		return a
	}
	var mistyped *yaml.TypeError
	if err := yaml.Unmarshal([]byte(value), &a.ids); err != nil && !errors.As(err, &mistyped) {
		a.problem = fmt.Errorf("it is not valid YAML, so the authenticator ignores everything in it: %w", err)
	} else if err != nil && a.ids == nil {
		a.problem = errNotAList
	}
	a.ids = slices.DeleteFunc(a.ids, func(id string) bool { return id == "" })
	return a
}

// MapAccounts are the accounts under mapAccounts, as written, in that order:
// each of their identities is let in under its canonical ARN, without groups, unless
// Lookup finds an entry for it.
func (d *Document) MapAccounts() []string {
	if d.accounts == nil {
		return nil
	}
	return slices.Clone(d.accounts.ids)
}

// MapAccountsProblem is why the authenticator sees nothing under mapAccounts;
// nil if it does, or if there is nothing to see.
func (d *Document) MapAccountsProblem() error {
	if d.accounts == nil {
		return nil
	}
	return d.accounts.problem
}

// Unread are those of the given entries of the document that the authenticator
// does not take for their identity: another entry comes first, or nobody can
// match their ARN.
func (d *Document) Unread(entries []Entry) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		taken, ok := d.Lookup(e.ARN)
		return ok && taken.Kind == e.Kind && taken.Grants(e)
	})
}
