package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Operator does what people ask for beside the refresher, with their own rights
// in the cluster.
type Operator struct {
	// ConfigMaps is the client for the namespace of all ConfigMaps.
	ConfigMaps corev1client.ConfigMapInterface
	Names      Names
	Clock      clock.PassiveClock
}

func (o *Operator) store() store { return store{configMaps: o.ConfigMaps, names: o.Names} }

// ErrNoVersion says that there is no version to be had.
var ErrNoVersion = errors.New("there is no such version")

// AWSAuthVersion is aws-auth as it stood before a write of ours, or stands now.
type AWSAuthVersion struct {
	// ID is 0 for the present one.
	ID int
	// At is when it was kept, just before the write; zero for the present one.
	At         time.Time
	Data       map[string]string
	BinaryData map[string][]byte
	// Entries are all entries, of users first; Ours tells, by their index,
	// which are ours.
	Entries []awsauth.Entry
	Ours    map[int]rules.Owned
}

// Versions are the versions that are kept, oldest first, and the present one
// at the end unless there is no aws-auth.
func (o *Operator) Versions(ctx context.Context) ([]AWSAuthVersion, error) {
	s := o.store()
	_, kept, err := s.readHistory(ctx)
	if err != nil {
		return nil, err
	}
	var all []AWSAuthVersion
	for _, v := range kept.Versions() {
		version, err := readVersion(v)
		if err != nil {
			return nil, fmt.Errorf("ConfigMap %s: %w; %w", o.Names.History, err, errHistoryUnusable)
		}
		all = append(all, version)
	}
	cm, err := s.get(ctx, o.Names.AWSAuth)
	if err != nil || cm == nil {
		return all, err
	}
	_, record, err := s.readRecord(ctx)
	if err != nil {
		return nil, err
	}
	return append(all, o.present(cm, record)), nil
}

// readVersion finds the entries of a version that was kept.
func readVersion(v history.Version) (AWSAuthVersion, error) {
	version := AWSAuthVersion{
		ID: v.ID, At: v.At, Data: v.Data, BinaryData: v.BinaryData,
		Entries: entriesIn(v.Data), Ours: make(map[int]rules.Owned, len(v.Ours)),
	}
	for _, own := range v.Ours {
		if own.At >= len(version.Entries) {
			return AWSAuthVersion{}, fmt.Errorf("version %d: %w: an entry of ours is missing", v.ID, history.ErrUnusable)
		}
		e := version.Entries[own.At]
		owned := rules.Owned{Kind: e.Kind, ARN: e.ARN, Digest: e.Digest(), Selectors: own.Selectors}
		if own.Principal != "" {
			owned.ARN = own.Principal
		}
		if a, err := arn.Parse(owned.ARN); err != nil || a.Type != string(e.Kind) || principalKey(e.Kind, owned.ARN) != keyOf(e) {
			return AWSAuthVersion{}, fmt.Errorf("version %d: %w: %s is not the principal of %s", v.ID, history.ErrUnusable, owned.ARN, e.ARN)
		}
		version.Ours[own.At] = owned
	}
	return version, nil
}

func entriesIn(data map[string]string) []awsauth.Entry {
	var reader awsauth.Reader
	return reader.Read(data, 0).Entries()
}

func (o *Operator) present(cm *corev1.ConfigMap, record rules.Record) AWSAuthVersion {
	v := version(cm.Data, record, o.Clock.Now())
	v.BinaryData = cm.BinaryData
	return v
}

// version finds the entries in data, and those that are recorded as ours at
// that time.
func version(data map[string]string, record rules.Record, at time.Time) AWSAuthVersion {
	v := AWSAuthVersion{Data: data, Entries: entriesIn(data), Ours: map[int]rules.Owned{}}
	recorded := newRecorded(record, at)
	for i, e := range v.Entries {
		if owned, ok := recorded.find(e); ok {
			v.Ours[i] = owned
		}
	}
	return v
}

// EntryChange is one entry that two versions do not have in common.
type EntryChange struct {
	// Before and After are nil where there was or is none.
	Before, After *awsauth.Entry
	// Ours tells whose the entry is, where there is one after the change, or
	// was.
	Ours bool
}

// Difference is what makes one version another one.
type Difference struct {
	// Entries are in the order of After's entries, those that are gone first.
	Entries []EntryChange
	// Keys are the data keys that differ in something else than entries.
	Keys []string
}

// Compare tells what is different in after.
func Compare(before, after AWSAuthVersion) Difference {
	was, is := before.byKey(), after.byKey()
	var d Difference
	touched := map[string]bool{}
	for _, i := range before.last() {
		e := before.Entries[i]
		if _, there := is[keyOf(e)]; !there {
			_, ours := before.Ours[i]
			d.Entries = append(d.Entries, EntryChange{Before: &e, Ours: ours})
			touched[e.Kind.DataKey()] = true
		}
	}
	for _, i := range after.last() {
		e := after.Entries[i]
		_, ours := after.Ours[i]
		change := EntryChange{After: &e, Ours: ours}
		if j, there := was[keyOf(e)]; there {
			if before.Entries[j].Grants(e) {
				continue
			}
			change.Before = &before.Entries[j]
		}
		d.Entries = append(d.Entries, change)
		touched[e.Kind.DataKey()] = true
	}
	keys := maps.Clone(before.Data)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, after.Data)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, wasThere := before.Data[key]
		is, isThere := after.Data[key]
		if (was != is || wasThere != isThere) && !touched[key] {
			d.Keys = append(d.Keys, key)
		}
	}
	return d
}

// byKey gives the index of the entry that EKS takes for each ARN: the last one.
func (v AWSAuthVersion) byKey() map[entryKey]int {
	at := make(map[entryKey]int, len(v.Entries))
	for i, e := range v.Entries {
		at[keyOf(e)] = i
	}
	return at
}

// last are the indexes of those entries, in order.
func (v AWSAuthVersion) last() []int {
	return slices.Sorted(maps.Values(v.byKey()))
}

// own are our entries, one for each ARN, in order, as grants: what the rules
// said then.
func (v AWSAuthVersion) own() []rules.Grant {
	var grants []rules.Grant
	for _, i := range v.last() {
		e, o := v.Entries[i], v.Ours[i]
		if o.ARN == "" {
			continue
		}
		grants = append(grants, rules.Grant{
			Kind: e.Kind, PrincipalARN: o.ARN, EntryARN: e.ARN, Username: e.Username, Groups: e.Groups, Selectors: o.Selectors,
		})
	}
	return grants
}

// sameOwn reports whether both versions hold the same entries of ours.
func sameOwn(a, b AWSAuthVersion) bool {
	list := func(v AWSAuthVersion) []string {
		var entries []string
		for _, g := range v.own() {
			entries = append(entries, string(g.Kind)+" "+arn.Fold(g.EntryARN)+" "+rules.ContentDigest(g.Username, g.Groups))
		}
		slices.SortFunc(entries, strings.Compare)
		return entries
	}
	return slices.Equal(list(a), list(b))
}
