package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PausedAnnotation on the rules ConfigMap has the refresher write neither
// aws-auth nor its record, whatever its value is, but for "false". It goes on
// watching, and its status says what it would do.
//
// The state ConfigMap gets the same annotation, with who paused it and when:
// while there is no rules ConfigMap, that is what holds. Once there is one, only
// what stands on it counts.
const PausedAnnotation = "aws-auth-refresher.io/paused"

// What the state ConfigMap says about the pause beside its reason: the field
// manager that set it, and the time, RFC 3339.
const (
	pausedByAnnotation    = "aws-auth-refresher.io/paused-by"
	pausedSinceAnnotation = "aws-auth-refresher.io/paused-since"
)

// ConditionPaused is true while the refresher is told to write nothing.
const ConditionPaused = "Paused"

func isPaused(cm *corev1.ConfigMap) bool {
	if cm == nil {
		return false
	}
	value, there := cm.Annotations[PausedAnnotation]
	return there && value != "false"
}

// pauseNote is what is known about a pause.
type pauseNote struct{ why, by, since string }

// pauseOf is what the rules ConfigMap says.
func pauseOf(rules *corev1.ConfigMap, now time.Time) pauseNote {
	p := pauseNote{why: rules.Annotations[PausedAnnotation], by: "somebody"}
	at := now
	for _, f := range rules.ManagedFields {
		if f.FieldsV1 == nil {
			continue
		}
		var set struct {
			Metadata struct {
				Annotations map[string]json.RawMessage `json:"f:annotations"`
			} `json:"f:metadata"`
		}
		// Who it was is worth telling and nothing depends on it.
		if err := json.Unmarshal(f.FieldsV1.GetRawBytes(), &set); err != nil || set.Metadata.Annotations["f:"+PausedAnnotation] == nil {
			continue
		}
		p.by = f.Manager
		if f.Time != nil {
			at = f.Time.Time
		}
	}
	p.since = at.UTC().Format(time.RFC3339)
	return p
}

// remembered is what the state ConfigMap says.
func remembered(state *corev1.ConfigMap) pauseNote {
	return pauseNote{why: state.Annotations[PausedAnnotation], by: state.Annotations[pausedByAnnotation], since: state.Annotations[pausedSinceAnnotation]}
}

// paused reports whether nothing may be written. Where something would be, it
// asks once more, after aws-auth was read: whoever pauses the refresher and
// writes aws-auth then finds that either the refresher's write fails, since it
// is tied to the aws-auth that it read, or that it saw the pause.
func (r *AWSAuthReconciler) paused(ctx context.Context, run *refresh) (bool, error) {
	run.paused = false
	cm := run.rules.written
	news := run.out.RecordChanged || len(run.out.Result.Changed) > 0 || run.rules.unsaved(run.record) || !run.out.Entries.Idle()
	if !isPaused(cm) && (news || isPaused(run.state)) {
		var err error
		if cm, err = r.store.get(ctx, r.Names.Rules); err != nil {
			return false, err
		}
	}
	run.rulesThere = cm != nil
	switch {
	case isPaused(cm):
		run.pausedBy = pauseOf(cm, run.now)
	case cm == nil && isPaused(run.state):
		run.pausedBy = remembered(run.state)
	default:
		return false, r.rememberPause(ctx, run)
	}
	run.paused, run.pending = true, pending{len(run.out.Added), len(run.out.Changed), len(run.out.Removed)}
	return true, r.rememberPause(ctx, run)
}

// rememberPause brings what the state ConfigMap says about a pause in step with
// the rules ConfigMap, if there is one.
func (r *AWSAuthReconciler) rememberPause(ctx context.Context, run *refresh) error {
	known := isPaused(run.state)
	if !run.rulesThere || known == run.paused && (!known || remembered(run.state).sameAs(run.pausedBy)) {
		return nil
	}
	state := r.store.own(run.state, r.Names.State)
	if run.state == nil {
		encoded, err := run.record.Encode()
		if err != nil {
			return fmt.Errorf("writing ConfigMap %s: %w", r.Names.State, err)
		}
		state.BinaryData = map[string][]byte{recordKey: encoded}
	}
	for key, value := range run.pausedBy.annotations() {
		if delete(state.Annotations, key); run.paused {
			metav1.SetMetaDataAnnotation(&state.ObjectMeta, key, value)
		}
	}
	state, err := r.store.put(ctx, run.state != nil, state)
	if err != nil {
		return err
	}
	run.state = state
	return nil
}

// sameAs leaves the time out: it is that of whatever the manager wrote last.
func (p pauseNote) sameAs(other pauseNote) bool { return p.why == other.why && p.by == other.by }

func (p pauseNote) annotations() map[string]string {
	return map[string]string{PausedAnnotation: p.why, pausedByAnnotation: p.by, pausedSinceAnnotation: p.since}
}

// pending is what a paused refresher would do.
type pending struct{ added, changed, removed int }

func (p pending) String() string {
	if p == (pending{}) {
		return "paused, with nothing to do"
	}
	return fmt.Sprintf("paused, with %d entries to add, %d to change and %d to remove", p.added, p.changed, p.removed)
}

func (run *refresh) pausedCondition() metav1.Condition {
	if !run.paused {
		return metav1.Condition{Type: ConditionPaused, Status: metav1.ConditionFalse, Reason: "NotPaused"}
	}
	c := metav1.Condition{
		Type: ConditionPaused, Status: metav1.ConditionTrue, Reason: "Annotation",
		Message: fmt.Sprintf("nothing is written, because the ConfigMap %s has the annotation %s: %q. To go on: "+
			"aws-auth-refresher resume, or kubectl -n %s annotate configmap %s %s-",
			run.rulesName, PausedAnnotation, clip(run.pausedBy.why), run.namespace, run.rulesName, PausedAnnotation),
	}
	if !run.rulesThere {
		c.Reason = "Remembered"
		c.Message = fmt.Sprintf("nothing is written, because the ConfigMap %s is missing, and had the annotation %s: %q, by %s since %s. "+
			"To go on: put the ConfigMap back without the annotation, or aws-auth-refresher resume",
			run.rulesName, PausedAnnotation, clip(run.pausedBy.why), clip(run.pausedBy.by), run.pausedBy.since)
	}
	return c
}
