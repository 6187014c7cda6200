package demo

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// step is one thing that the demo shows. Its error says why it did not hold.
type step struct {
	title string
	run   func(context.Context, *world) error
}

// scenario is the story that the demo tells. Each step builds on those before.
func scenario() []step {
	return []step{
		{"The rules are applied and accepted", acceptRules},
		{"Vault issues a user: it gets into aws-auth", vaultIssues},
		{"Somebody edits aws-auth by hand: the edit stays", editByHand},
		{"Somebody takes our entry out: it is put back", takeOut},
		{"A misspelled rule is refused, and nobody loses access", misspell},
		{"Twelve more users are made: all of them get in", makeMany},
		{"An edit of the rules would remove twelve at once: held", dropRule},
		{"The removal is approved: they leave", approve},
		{"Vault revokes its user: it leaves", vaultRevokes},
		{"What others wrote into aws-auth is as they wrote it", compareForeign},
	}
}

// play runs the steps up to the first that fails, and gives the verdict.
func (w *world) play(ctx context.Context, steps []step) error {
	begun := time.Now()
	for i, s := range steps {
		w.begin(i+1, len(steps), s.title)
		stepBegun := time.Now()
		err := s.run(ctx, w)
		if err == nil {
			err = w.checkForeign(ctx)
		}
		if err == nil {
			w.passed(time.Since(stepBegun))
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		w.failed(time.Since(stepBegun), err)
		w.explain(ctx)
		return fmt.Errorf("demo: step %d of %d failed after %s: %s: %w", i+1, len(steps), brief(time.Since(begun)), s.title, err)
	}
	w.say("\n%s", w.paint(green, fmt.Sprintf("demo: all %d steps passed in %s", len(steps), brief(time.Since(begun)))))
	return nil
}

// explain shows what the controller has to say when a step has failed.
func (w *world) explain(ctx context.Context) {
	status, err := w.configMaps().Get(ctx, statusName, metav1.GetOptions{})
	if err != nil {
		w.note("the controller has not written a status: %s", err)
	} else {
		w.note("the controller says: %s", status.Data["summary"])
		if c := meta.FindStatusCondition(conditionsOf(status), "Degraded"); c != nil && c.Status == metav1.ConditionTrue {
			w.note("%s: %s", c.Reason, c.Message)
		}
	}
	w.note("its log is %s", w.log)
}
