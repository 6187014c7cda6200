package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	// refreshTimeout ends a refresh that hangs; every AWS call has its own,
	// shorter deadline.
	refreshTimeout = 2 * time.Minute
	// verifyTimeout is how long a refresh asks IAM about principals that are
	// gone; the others' turn comes with the next one.
	verifyTimeout = 5 * time.Second
	reportTimeout = 10 * time.Second
	// writeWithin is how long after its record aws-auth may be written. Another
	// replica forgets what is recorded and not there only later than that.
	writeWithin = rememberAtLeast / 2
	// writeAttempts bounds how often one refresh starts over because somebody
	// else wrote in between; the next one is due soon anyway.
	writeAttempts = 5
	// recreateAfter is how long an aws-auth that was there must be missing
	// before it is made again without what others had in it: whoever deletes it
	// to create it anew goes first.
	recreateAfter = time.Minute
)

// AWSAuthReconciler refreshes one aws-auth. It is made by NewReconciler and
// must be driven by one worker.
type AWSAuthReconciler struct {
	Config
	store        store
	reader       awsauth.Reader
	ledger       removal.Ledger
	rules        rulesCache
	known        known
	entries      entriesState
	listing      listings
	rollCalls    rollCalls
	lastRevived  revivedNote
	unprovenErrs map[string]error     // why IAM could not be asked who is gone, by ARN
	orphans      map[string]time.Time // since when somebody else's entries have none, by kind and ARN
	refused      map[string]time.Time // since when EKS refuses an access entry, by folded ARN
	// missingSince is when aws-auth was first found missing; zero: it is there.
	missingSince time.Time
	announced    map[string]string
	historyErr   error  // why the last version could not be kept
	historySeen  bool   // historyErr says something
	statusFailed bool   // to be written
	stateSeen    string // version of the state ConfigMap after the last refresh
	ready        chan struct{}
	// patience ends the wait for a listing, which goes on.
	patience func(context.Context) (context.Context, context.CancelFunc)
}

// NewReconciler returns a reconciler that has done nothing yet.
func NewReconciler(c Config) *AWSAuthReconciler {
	if c.RefreshInterval == 0 {
		c.RefreshInterval = 15 * time.Second
	}
	if c.Target == "" {
		c.Target = TargetConfigMap
	}
	if c.Limit == 0 {
		c.Limit = awsauth.MaxBytes
	}
	r := &AWSAuthReconciler{
		Config: c, store: store{configMaps: c.ConfigMaps, names: c.Names},
		rules: rulesCache{options: c.Rules}, announced: map[string]string{}, ready: make(chan struct{}), listing: newListings(),
	}
	r.patience = r.listWait
	return r
}

// refresh is what one run finds and does.
type refresh struct {
	now     time.Time
	log     logr.Logger
	rules   ruleset
	chosen  bool              // rules says something
	state   *corev1.ConfigMap // nil: none yet
	record  rules.Record
	awsAuth *corev1.ConfigMap // nil: missing
	out     Outcome
	done    changes
	shed    bool          // the record has no room for what is out
	full    bool          // the record has no room for anybody new
	again   []string      // ARNs of principals that were made again
	waiting time.Duration // until a missing aws-auth is made; 0: not waiting
	err     error         // what kept the refresh from its end
	took    time.Duration

	paused     bool
	pausedBy   pauseNote
	pending    pending // where it is paused
	rulesThere bool    // when that was asked last

	accounts   []string // that are listed
	unproven   unproven
	statusKnew bool // the status ConfigMap speaks of a record, which is missing
	stands     bool // aws-auth is as out says; else as it was
	// awsAuthRead is aws-auth before it was written; wroteBack is who wrote what
	// out.Revived holds.
	awsAuthRead *corev1.ConfigMap
	wroteBack   string
	orphaned    []PrincipalStatus
	refusedLong int // access entries that EKS has refused for long
	entries     entriesRun

	namespace, rulesName string // for messages
	limit                int
	removal              removal.Settings
}

// Reconcile does one refresh: on time, or because a ConfigMap changed. It
// returns an error only for trouble with the API server, which is worth an
// early retry; everything else waits for the next interval and is reported.
func (r *AWSAuthReconciler) Reconcile(term context.Context, _ ctrl.Request) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(term, refreshTimeout)
	defer cancel()
	run := &refresh{now: r.Clock.Now(), log: ctrl.LoggerFrom(ctx), namespace: r.Namespace, rulesName: r.Names.Rules, limit: r.Limit, removal: r.Removal}
	run.err = r.refresh(ctx, run)
	run.took = r.Clock.Since(run.now)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctrl.Result{}, nil // stopping: no status about that
	}
	// A refresh that took too long is told about, and one of a former leader not.
	reportCtx, cancelReport := context.WithTimeout(term, reportTimeout)
	defer cancelReport()
	statusErr := r.report(reportCtx, run)
	if term.Err() != nil {
		return ctrl.Result{}, nil
	}
	r.markReady()
	if err := errors.Join(retriable(run.err), statusErr); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: r.next(run)}, nil
}

// retriable drops the errors that only a person can mend.
func retriable(err error) error {
	if errors.Is(err, errRecordUnusable) || errors.Is(err, errRecordTooLarge) || errors.Is(err, rules.ErrUnfinished) {
		return nil
	}
	return err
}

func (r *AWSAuthReconciler) refresh(ctx context.Context, run *refresh) error {
	// First the record: rules that are older than it would take out whom another
	// leader let in by newer ones.
	state, record, recordErr := r.store.readRecord(ctx)
	cm, err := r.store.get(ctx, r.Names.Rules)
	if err != nil {
		return err
	}
	// Rules are judged even where the record cannot be read: people should see
	// both mistakes.
	if recordErr == nil {
		run.entries.record, recordErr = readEntries(state)
	}
	if recordErr == nil {
		r.chooseTargets(ctx, run)
	}
	run.rules = choose(cm, record, &r.rules, run.now)
	run.chosen = true
	if recordErr != nil {
		return recordErr
	}
	run.state, run.record = state, record
	if state == nil {
		if run.statusKnew, err = r.store.statusKnows(ctx); err != nil {
			return err
		}
	}
	r.heedOthers(r.stateSeen, state)
	defer func() { r.stateSeen = stateVersion(run.state) }()
	r.list(ctx, run)
	r.look(ctx, run)
	if err := r.write(ctx, run); err != nil {
		return err
	}
	r.retryHistory(ctx, run)
	// Who is gone can wait until everybody new is in.
	if r.verify(ctx, run) {
		return r.write(ctx, run)
	}
	return nil
}

// write decides and writes, and starts over when somebody else was faster.
func (r *AWSAuthReconciler) write(ctx context.Context, run *refresh) error {
	counted := run.record.Removals
	var err error
	for attempt := range writeAttempts {
		if attempt > 0 {
			if counted, err = r.startOver(ctx, run, counted); err != nil {
				return err
			}
			if err := r.rereadEntries(ctx, run); err != nil {
				return err
			}
		}
		run.entries.onRecord = time.Time{}
		err = r.decideAndWrite(ctx, run)
		if errors.Is(err, errRecordTooLarge) && !run.shed {
			run.shed = true
			err = r.decideAndWrite(ctx, run)
		}
		if errors.Is(err, errRecordTooLarge) && !run.full {
			run.full = true // whoever must go goes nevertheless
			err = r.decideAndWrite(ctx, run)
		}
		if err == nil {
			err = r.applyEntries(ctx, run)
		}
		if !errors.Is(err, errStale) {
			return err
		}
		run.log.V(1).Info("starting over", "reason", err.Error())
		if err := wait.PollUntilContextTimeout(ctx, wait.Jitter(20*time.Millisecond, 2), time.Second, false,
			func(context.Context) (bool, error) { return true, nil }); err != nil {
			return err
		}
	}
	return fmt.Errorf("giving way to other writers until the next refresh: %w", err)
}

// decideAndWrite reads aws-auth, decides, and writes: first the record, then
// aws-auth.
func (r *AWSAuthReconciler) decideAndWrite(ctx context.Context, run *refresh) error {
	var err error
	if run.awsAuth, err = r.store.get(ctx, r.Names.AWSAuth); err != nil {
		return err
	}
	if run.awsAuth != nil {
		r.missingSince = time.Time{}
	}
	run.awsAuthRead = run.awsAuth
	revived := run.out.Revived
	out, err := Compute(ctx, r.situation(run))
	if err != nil {
		return err
	}
	run.out = out
	if len(run.out.Revived) == 0 {
		run.out.Revived = revived // taken out by an earlier write of this refresh
	}
	r.noteRevived(run)
	run.stands = len(run.out.Result.Changed) == 0
	r.entries.noteDocument(run.out.inDocument, r.Clock.Now())
	if err := run.out.readable(); err != nil {
		return err
	}
	if paused, err := r.paused(ctx, run); paused || err != nil {
		return err
	}
	putBack := drift(run.record, run.out.Added, run.now)
	create := run.awsAuth == nil && len(run.out.Result.Changed) > 0
	tooSoon := create && !r.mayCreate(run)
	began := r.Clock.Now()
	if err := r.storeRecord(ctx, run); err != nil {
		return err
	}
	if tooSoon || len(run.out.Result.Changed) == 0 {
		return nil
	}
	r.keepVersion(ctx, run)
	if r.Clock.Since(began) > writeWithin {
		return fmt.Errorf("%w: the process stood still since its record was stored", errStale)
	}
	was := run.awsAuth
	if create {
		if was, err = r.store.createAWSAuth(ctx); err != nil {
			return err
		}
	}
	now, err := r.store.applyAWSAuth(ctx, was, run.out.Result.Document.Values())
	if err != nil {
		return err
	}
	run.awsAuth, run.stands = now, true
	r.reader.Remember(run.out.Result.Document)
	run.done.add(run.out, putBack)
	return nil
}

// changes are what a refresh has written.
type changes struct {
	writes                           int
	added, putBack, changed, removed []awsauth.Entry
	tooOld                           []awsauth.Entry // of those removed
}

func (c *changes) add(out Outcome, putBack []awsauth.Entry) {
	c.writes++
	c.added = append(c.added, without(out.Added, putBack)...)
	c.putBack = append(c.putBack, putBack...)
	c.changed = append(c.changed, out.Changed...)
	c.removed = append(c.removed, out.Removed...)
	c.tooOld = append(c.tooOld, out.tooOld()...)
}

func (r *AWSAuthReconciler) storeRecord(ctx context.Context, run *refresh) error {
	entries, began := run.nextEntries(), r.Clock.Now()
	if !run.out.RecordChanged && !run.rules.unsaved(run.record) && entries.Equal(run.entries.record) {
		run.entries.onRecord = began
		return nil
	}
	state, err := r.store.writeRecord(ctx, run.state, run.out.Record, entries)
	if err != nil {
		return err
	}
	run.state, run.record, run.entries.record, run.entries.onRecord = state, run.out.Record, entries, began
	run.rules.approval.spent, run.rules.former = run.record.Spent, run.record.Former
	r.entries.record = entries
	return nil
}

func (r *AWSAuthReconciler) situation(run *refresh) Situation {
	run.accounts = r.known.accounts()
	s := Situation{
		Now: r.Clock.Now(), Rules: run.rules.set, Principals: r.known.all(), Listed: r.known.listedFor(run.rules.set), Accounts: run.accounts, Record: run.record,
		Ages: r.known.clock(r.Clock.Now()), Ledger: &r.ledger, Removal: r.Removal, Approved: run.rules.approval.good, Adopt: r.Adopt, Limit: r.Limit,
	}
	s.Entries, s.RecordFull = r.entrySituation(run), run.full
	s.Record.Rules, s.Record.Former = run.rules.inForce, run.rules.former
	s.Record.Spent, s.Record.Approval = run.rules.approval.spent, run.rules.approval.Approval
	s.Shed, s.RecordLost, s.LossSeen = run.shed, r.recordLost(run), run.rules.lossSeen()
	s.Covers = r.known.covers
	if run.awsAuth == nil {
		s.Document, s.Missing = r.reader.Read(nil, 0), true
	} else {
		s.Document = r.reader.Read(run.awsAuth.Data, binaryBytes(run.awsAuth))
	}
	return s
}

// mayCreate reports whether a missing aws-auth may be made.
func (r *AWSAuthReconciler) mayCreate(run *refresh) bool {
	if !run.record.Seen {
		return true
	}
	// The refresh may have begun long before it found that.
	now := r.Clock.Now()
	if r.missingSince.IsZero() || r.missingSince.After(now) {
		r.missingSince = now
	}
	run.waiting = recreateAfter - now.Sub(r.missingSince)
	return run.waiting <= 0
}
