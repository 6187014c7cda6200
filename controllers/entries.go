package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Target names the stores that grants are written to.
type Target string

// The targets.
const (
	// TargetConfigMap is aws-auth.
	TargetConfigMap Target = "configmap"
	// TargetAccessEntries is the access entries of EKS.
	TargetAccessEntries Target = "access-entries"
	// TargetBoth is both of them.
	TargetBoth Target = "both"
	// TargetAuto is aws-auth where the cluster reads it, else access entries.
	TargetAuto Target = "auto"
)

// EntryTarget is the access entries of the cluster. Mode gives the
// authentication mode, with an error the last known one. Look lists; its errors
// are in the View. Apply changes only what the plan says and what turns out to
// be ours.
type EntryTarget interface {
	Mode(ctx context.Context) (accessentry.Mode, error)
	Look(ctx context.Context, record accessentry.Record, ids map[string]string) accessentry.View
	Apply(ctx context.Context, plan accessentry.Plan) accessentry.Result
}

// EntrySituation is what is known of access entries. The zero value is that of
// a refresher that has to do with aws-auth only.
type EntrySituation struct {
	// Selected: they are a target. Alone: aws-auth is none, so it gets nothing
	// new, and once the access entries are complete ours go from there.
	Selected, Alone bool
	View            accessentry.View
	Record          accessentry.Record
	// InDocumentSince is since when aws-auth has said all that is wanted, where
	// it takes over from access entries; zero: it does not yet.
	InDocumentSince time.Time
	// Doubt is why the mode is only what it was when last seen.
	Doubt error
}

// entriesKey is the key of the state ConfigMap's binaryData that holds the
// record of access entries.
const entriesKey = "access-entries.json.gz"

const (
	// applyEntriesWithin ends the changes of one refresh; the next goes on.
	applyEntriesWithin = 45 * time.Second
	// applyEntriesSoon is when it goes on.
	applyEntriesSoon = time.Second
)

// entriesState is what a reconciler remembers of access entries.
type entriesState struct {
	view            accessentry.View
	lookedAt        time.Time          // when they were listed
	record          accessentry.Record // as it stood in the state ConfigMap then, or was stored by us since
	inDocumentSince time.Time
}

// noteDocument remembers since when aws-auth says all that is wanted.
func (s *entriesState) noteDocument(says bool, now time.Time) {
	switch {
	case !says:
		s.inDocumentSince = time.Time{}
	case s.inDocumentSince.IsZero() || s.inDocumentSince.After(now):
		s.inDocumentSince = now
	}
}

// entriesRun is the part of a refresh that concerns access entries.
type entriesRun struct {
	record          accessentry.Record
	selected, alone bool
	mode            accessentry.Mode // as it was last seen; empty: never
	due             bool             // IAM was listed on time, or for new rules
	err             error            // why nothing is known, so that nothing can be done
	doubt           error            // as in EntrySituation
	applyErr        error            // why not everything could be done, or be looked at
	onRecord        time.Time        // when what is to be done was stored; zero: it was not
	result          accessentry.Result
	more            bool // to be done soon
}

// readEntries reads the record of access entries in the state ConfigMap, empty
// if there is none.
func readEntries(state *corev1.ConfigMap) (accessentry.Record, error) {
	if state == nil || len(state.BinaryData[entriesKey]) == 0 {
		return accessentry.Record{}, nil
	}
	record, err := accessentry.DecodeRecord(state.BinaryData[entriesKey])
	if err != nil {
		return record, fmt.Errorf("%w: ConfigMap %s, binaryData %s: %w", errRecordUnusable, state.Name, entriesKey, err)
	}
	return record, nil
}

// chooseTargets finds out which stores are targets, and has rules read
// accordingly.
func (r *AWSAuthReconciler) chooseTargets(ctx context.Context, run *refresh) {
	e := &run.entries
	choice := chooseTargets(ctx, entrySettings{r.Target, r.Cluster, r.Entries}, e.record)
	e.record, e.err, e.doubt = choice.record, choice.err, choice.doubt
	if !choice.made {
		return
	}
	e.selected, e.alone, e.mode = choice.selected, choice.alone, choice.mode
	r.entries.view.Mode = choice.mode
	if options := r.rules.options; options.AccessEntries != e.selected {
		options.AccessEntries = e.selected
		r.rules = rulesCache{options: options}
	}
}

// look lists the access entries, together with IAM. Announcements have IAM
// listed more often, and for them what is known of access entries will do, if
// anything is. A
// record that another process has written since tells of entries that it made
// or deleted: what was listed before is not held against that.
func (r *AWSAuthReconciler) look(ctx context.Context, run *refresh) {
	e := &run.entries
	if r.Entries == nil || e.err != nil || !e.selected && len(e.record.Entries) == 0 {
		return
	}
	age := run.now.Sub(r.entries.lookedAt)
	if e.due || r.entries.view.Listed == nil || age < 0 || age >= r.RefreshInterval || r.entries.view.Err != nil || !e.record.Equal(r.entries.record) {
		e.due = false
		r.entries.lookedAt, r.entries.record = run.now, e.record
		r.entries.view = r.Entries.Look(ctx, e.record, uniqueIDs(r.known.all()))
	}
	e.err, e.applyErr = r.entries.view.Err, r.entries.view.LookErr
}

// uniqueIDs gives the principals' unique ids by folded ARN.
func uniqueIDs(list []rules.Principal) map[string]string {
	ids := make(map[string]string, len(list))
	for _, p := range list {
		ids[arn.Fold(p.ARN)] = p.ID
	}
	return ids
}

func (r *AWSAuthReconciler) entrySituation(run *refresh) EntrySituation {
	view := r.entries.view
	if view.Err == nil {
		view.Err = run.entries.err
	}
	return EntrySituation{
		Selected: run.entries.selected, Alone: run.entries.alone, View: view, Record: run.entries.record,
		InDocumentSince: r.entries.inDocumentSince, Doubt: run.entries.doubt,
	}
}

// applyEntries carries out what was decided about access entries, if that is on
// record.
func (r *AWSAuthReconciler) applyEntries(ctx context.Context, run *refresh) error {
	plan := run.out.Entries
	if r.Entries == nil || plan.Idle() || run.entries.onRecord.IsZero() {
		return nil
	}
	if r.Clock.Since(run.entries.onRecord) > writeWithin {
		return fmt.Errorf("%w: the process stood still since its record was stored", errStale)
	}
	ctx, cancel := context.WithTimeout(ctx, applyEntriesWithin)
	defer cancel()
	result := r.Entries.Apply(ctx, plan)
	r.entries.view = result.View
	run.entries.addResult(result)
	run.entries.more = run.entries.more || result.Again
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		run.entries.more = true
	} else if result.Err != nil {
		run.entries.applyErr = result.Err
	}
	if result.Record.Equal(run.entries.record) {
		return nil
	}
	// A record that cannot be written stays ahead, and the next refresh asks EKS.
	storing, stop := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer stop()
	state, err := r.store.writeRecord(storing, run.state, run.record, result.Record)
	if err != nil {
		run.log.V(1).Info("the record of access entries is written later", "reason", err.Error())
		return nil
	}
	run.state, run.entries.record, r.entries.record = state, result.Record, result.Record
	return nil
}

// rereadEntries takes over what the state ConfigMap says now.
func (r *AWSAuthReconciler) rereadEntries(ctx context.Context, run *refresh) (err error) {
	cluster := run.entries.record.Cluster
	if run.entries.record, err = readEntries(run.state); run.entries.record.Cluster == "" {
		run.entries.record.Cluster = cluster
	}
	if err == nil && !run.entries.record.Equal(r.entries.record) {
		r.look(ctx, run)
	}
	return err
}

// nextEntries is the record of access entries as it is to be stored, with the
// mode also where there is nothing to do with them.
func (run *refresh) nextEntries() accessentry.Record {
	if run.out.Entries.Record.Cluster == "" {
		record := run.entries.record
		record.Mode = cmp.Or(run.entries.mode, record.Mode)
		return record
	}
	return run.out.Entries.Record
}

// lookDue is when access entries are to be listed should announcements have put
// off the listing of IAM that they are listed with; zero: they are not needed.
func (r *AWSAuthReconciler) lookDue(run *refresh) time.Time {
	if r.Entries == nil || r.entries.lookedAt.IsZero() || !run.entries.selected && len(run.entries.record.Entries) == 0 {
		return time.Time{}
	}
	return r.entries.lookedAt.Add(r.RefreshInterval * 11 / 10)
}

// entriesDue is the time when access entries need a refresh, if that is
// before due.
func (run *refresh) entriesDue(now, due time.Time) time.Time {
	next := run.out.Entries.Next
	if run.entries.more {
		next = now.Add(applyEntriesSoon)
	}
	for _, refused := range run.entries.result.View.Waiting {
		if next.IsZero() || refused.Until.Before(next) {
			next = refused.Until
		}
	}
	if next.IsZero() || !next.Before(due) {
		return due
	}
	return next
}

func (e *entriesRun) addResult(result accessentry.Result) {
	before := e.result
	e.result = result
	e.result.Added = slices.Concat(before.Added, result.Added)
	e.result.Changed = slices.Concat(before.Changed, result.Changed)
	e.result.MadeAgain = slices.Concat(before.MadeAgain, result.MadeAgain)
	e.result.Adopted = slices.Concat(before.Adopted, result.Adopted)
	e.result.Removed = slices.Concat(before.Removed, result.Removed)
	e.result.NotOurs = slices.Concat(before.NotOurs, result.NotOurs)
}
