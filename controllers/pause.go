package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
)

// PausedAnnotation on the rules ConfigMap has the refresher write neither
// aws-auth nor its record, whatever its value is, but for "false". It goes on
// watching, and its status says what it would do.
const PausedAnnotation = "aws-auth-refresher.io/paused"

// ConditionPaused is true while the refresher is told to write nothing.
const ConditionPaused = "Paused"

func isPaused(rules *corev1.ConfigMap) bool {
	if rules == nil {
		return false
	}
	value, there := rules.Annotations[PausedAnnotation]
	return there && value != "false"
}

// paused reports whether nothing may be written. Where something would be, it
// asks once more, after aws-auth was read: whoever pauses the refresher and
// writes aws-auth then finds that either the refresher's write fails, since it
// is tied to the aws-auth that it read, or that it saw the pause.
func (r *AWSAuthReconciler) paused(ctx context.Context, run *refresh) (bool, error) {
	cm := run.rules.written
	news := run.out.RecordChanged || len(run.out.Result.Changed) > 0 || run.rules.unsaved(run.record) || !run.out.Entries.Idle()
	if !isPaused(cm) && news {
		var err error
		if cm, err = r.store.get(ctx, r.Names.Rules); err != nil {
			return false, err
		}
	}
	if !isPaused(cm) {
		return false, nil
	}
	run.pausedBy = cm.Annotations[PausedAnnotation]
	run.paused, run.pending = true, pending{len(run.out.Added), len(run.out.Changed), len(run.out.Removed)}
	// What stands there is what counts, not what would.
	for sign, entries := range map[int][]awsauth.Entry{-1: run.out.Added, +1: run.out.Removed} {
		for _, e := range entries {
			run.out.Ours[e.Kind] += sign
		}
	}
	return true, nil
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
	return metav1.Condition{
		Type: ConditionPaused, Status: metav1.ConditionTrue, Reason: "Annotation",
		Message: fmt.Sprintf("nothing is written, because the ConfigMap %s has the annotation %s: %q. To go on: "+
			"aws-auth-refresher resume, or kubectl -n %s annotate configmap %s %s-",
			run.rulesName, PausedAnnotation, clip(run.pausedBy), run.namespace, run.rulesName, PausedAnnotation),
	}
}
