package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// namesInEvent is how many entries an event names; the log names all.
const namesInEvent = 5

// maxNote is how long an event's note may be, in bytes (events.k8s.io/v1: 1 kB).
const maxNote = 1000

// report tells people, in the status ConfigMap, events, metrics and the log,
// what a refresh found and did.
func (r *AWSAuthReconciler) report(ctx context.Context, run *refresh) error {
	r.noteOrphans(run)
	r.noteRefused(run)
	status := r.status(run)
	run.orphaned = r.orphaned(run)
	status.Conditions, status.Orphans = r.conditions(run), run.orphaned
	status.Accounts = r.accountsStatus()
	status.Revived = r.lastRevived.status(run.now)
	r.Metrics.refreshed(run, status.Conditions, r.succeeded(run))
	r.announceChanges(run)
	r.announceConditions(run, status.Conditions)
	err := r.writeStatus(ctx, status)
	if ctx.Err() == nil && !errors.Is(err, errStale) {
		r.noteStatus(run, err)
	}
	return err
}

// noteStatus tells where the status cannot that it is an old one.
func (r *AWSAuthReconciler) noteStatus(run *refresh, err error) {
	written := map[bool]float64{true: 1}[err == nil]
	r.Metrics.statusWritten.WithLabelValues().Set(written)
	if r.statusFailed == (err != nil) {
		return
	}
	if r.statusFailed = err != nil; r.statusFailed {
		r.event(run, corev1.EventTypeWarning, "StatusNotWritten", fmt.Sprintf("the ConfigMap %s says what was so before: %s", r.Names.Status, stableAPIError(err)))
		return
	}
	r.event(run, corev1.EventTypeNormal, "StatusWritten", fmt.Sprintf("the ConfigMap %s says what is so again", r.Names.Status))
}

func (r *AWSAuthReconciler) announceChanges(run *refresh) {
	for _, principal := range run.again {
		if _, granted := run.grantFor(principal); granted {
			r.event(run, corev1.EventTypeNormal, "PrincipalMadeAgain",
				principal+" was deleted and made again under the same name; its entry stays")
		}
	}
	r.announceEntries(run)
	r.announceRevived(run)
	for _, change := range []struct {
		reason, verb string
		entries      []awsauth.Entry
	}{
		{"EntriesAdded", "added", run.done.added},
		{"EntriesPutBack", "put back what somebody else had taken out:", run.done.putBack},
		{"EntriesChanged", "changed", run.done.changed},
		{"EntriesRemoved", "removed", without(run.done.removed, run.done.tooOld)},
		{"EntriesRemoved", "removed what is older than its rule's maxAge:", run.done.tooOld},
	} {
		if len(change.entries) == 0 {
			continue
		}
		for _, e := range change.entries {
			run.log.Info(change.verb, "arn", e.ARN, "username", e.Username, "groups", e.Groups)
		}
		r.event(run, corev1.EventTypeNormal, change.reason, change.verb+" "+names(change.entries))
	}
}

func (run *refresh) grantFor(principalARN string) (rules.Grant, bool) {
	for _, g := range run.out.Evaluation.Grants {
		if g.PrincipalARN == principalARN {
			return g, true
		}
	}
	return rules.Grant{}, false
}

func names(entries []awsauth.Entry) string {
	var list []string
	for i, e := range entries {
		if i == namesInEvent {
			list = append(list, fmt.Sprintf("and %d more", len(entries)-i))
			break
		}
		list = append(list, e.ARN+" as "+e.Username)
	}
	return strings.Join(list, ", ")
}

func without(entries, drop []awsauth.Entry) []awsauth.Entry {
	if len(drop) == 0 {
		return entries
	}
	dropped := map[entryKey]bool{}
	for _, e := range drop {
		dropped[keyOf(e)] = true
	}
	var rest []awsauth.Entry
	for _, e := range entries {
		if !dropped[keyOf(e)] {
			rest = append(rest, e)
		}
	}
	return rest
}

// drift are the added entries that the record already had in the document:
// somebody took them out.
func drift(record rules.Record, added []awsauth.Entry, now time.Time) []awsauth.Entry {
	if len(added) == 0 {
		return nil
	}
	stood := rules.Record{}
	for _, o := range record.Entries {
		if o.Forget.IsZero() {
			stood.Entries = append(stood.Entries, o)
		}
	}
	rec := newRecorded(stood, now)
	var back []awsauth.Entry
	for _, e := range added {
		if rec.holds(e) {
			back = append(back, e)
		}
	}
	return back
}

// announceConditions makes an event, and a log line, of each condition that is
// another one than at the last refresh.
func (r *AWSAuthReconciler) announceConditions(run *refresh, conditions []metav1.Condition) {
	for _, c := range conditions {
		said := string(c.Status) + c.Reason + c.Message
		before, known := r.announced[c.Type]
		if before == said {
			continue
		}
		r.announced[c.Type] = said
		trouble, bad := troubleOf(c)
		reason := trouble.event()
		if c.Type == ConditionPaused && !bad {
			reason = "Resumed"
		}
		switch {
		case c.Type == ConditionDegraded && c.Reason != reasonClockDiffers: // the condition that makes it so is told of
		case bad:
			run.log.Info("needs attention", "condition", c.Type, "reason", c.Reason, "message", c.Message)
			if trouble.announced == "" {
				r.event(run, corev1.EventTypeWarning, reason, c.Message)
			}
		case known || c.Type == ConditionRulesAccepted:
			run.log.Info("as it should be", "condition", c.Type, "message", c.Message)
			r.event(run, corev1.EventTypeNormal, reason, cmp.Or(c.Message, "as it should be again"))
		}
	}
	if run.err != nil {
		run.log.Error(run.err, "refresh did not end well")
	}
	for _, l := range r.known.listings {
		for kind, scope := range scopes(l) {
			if scope.Err != nil {
				run.log.V(1).Info("listing failed", "account", l.AccountID, "kind", kind, "error", scope.Err.Error())
			}
		}
	}
}

func (r *AWSAuthReconciler) event(run *refresh, kind, reason, note string) {
	regarding := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Names.Rules}}
	if run.rules.written != nil {
		regarding.UID = run.rules.written.UID
	}
	regarding.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote], "") + "…"
	}
	// Events of the same action are counted together under the first one's
	// note, and each note here says something of its own.
	action := fmt.Sprintf("Refresh-%08x", crc32.ChecksumIEEE([]byte(note)))
	r.Events.Eventf(regarding, nil, kind, reason, action, "%s", note)
}
