package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// step is one thing that the demo shows. Its error says why it did not hold.
type step struct {
	title  string
	run    func(context.Context, *world) error
	tokens bool // whether it needs an API server that asks the authenticator
}

// scenario is the story that the demo tells. Each step builds on those before.
// The steps with tokens are for an API server that asks the demo's authenticator.
func scenario(tokens bool) []step {
	all := []step{
		{title: "The rules are applied and accepted", run: acceptRules},
		{title: "Vault issues a user: it gets into aws-auth", run: vaultIssues},
		{title: "Its own token opens the API server, as far as RBAC goes", run: openByToken, tokens: true},
		{title: "Somebody edits aws-auth by hand: the edit stays", run: editByHand},
		{title: "Somebody takes our entry out: it is put back", run: takeOut},
		{title: "A misspelled rule is refused, and nobody loses access", run: misspell},
		{title: "A slip in the rules gets into aws-auth: rolled back, mended, resumed", run: rollBack},
		{title: "IAM's events are heard: a user gets in without waiting for a listing", run: hearEvents},
		{title: "The same rules fill EKS access entries", run: fillAccessEntries},
		{title: "Twelve more users are made: all of them get in", run: makeMany},
		{title: "One of them makes an access key: its token is accepted, too", run: openForBar, tokens: true},
		{title: "An edit of the rules would remove twelve at once: held", run: dropRule},
		{title: "The removal is approved: they leave", run: approve},
		{title: "People log in to the dashboard: their role decides as whom", run: logIntoDashboard, tokens: true},
		{title: "Vault issues a user at login, and takes it back at logout", run: logInByVault, tokens: true},
		{title: "Vault revokes its user: it leaves", run: vaultRevokes},
		{title: "The tokens of those who left are refused", run: refuseTokens, tokens: true},
		{title: "What others wrote into aws-auth is as they wrote it", run: compareForeign},
	}
	return slices.DeleteFunc(all, func(s step) bool { return s.tokens && !tokens })
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
