package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
)

// The group that a rule gives, and what a slip makes of it.
const rightGroup, wrongGroup = "- developers", "- develpers"

// rollBack has a slip in the rules, which are accepted, get into aws-auth, and
// be taken back from there before the rules are mended.
func rollBack(ctx context.Context, w *world) error {
	slip := map[string]string{"mapUsers": strings.Replace(w.rules.Data["mapUsers"], rightGroup, wrongGroup, 1)}
	if err := w.applyRules(ctx, slip); err != nil {
		return err
	}
	if err := w.awaitGroup(ctx, w.made[0], wrongGroup); err != nil {
		return err
	}
	w.note("the first rule now says %q; that is a valid group,\nso the entry of %s has it, too", wrongGroup, w.vault)
	begun := time.Now()
	said, err := w.command(ctx, app.Rollback(), "--yes")
	if err != nil {
		return err
	}
	if err := w.awaitGroup(ctx, w.made[0], rightGroup); err != nil {
		return err
	}
	w.note("aws-auth-refresher rollback --yes, done after %s:", brief(time.Since(begun)))
	w.quote(said)
	if _, err := w.awaitCondition(ctx, "Paused", isTrue); err != nil {
		return err
	}
	return w.mendAndResume(ctx)
}

// mendAndResume corrects the rules of a paused refresher and lets it go on.
func (w *world) mendAndResume(ctx context.Context) error {
	if err := w.writeRules(ctx, w.rules.Data); err != nil {
		return err
	}
	begun := time.Now()
	said, err := w.command(ctx, app.Resume())
	if err != nil {
		return err
	}
	w.note("the rules are mended; aws-auth-refresher resume:")
	w.quote(said)
	_, err = w.awaitCondition(ctx, "Paused", func(c *metav1.Condition) bool { return c.Status == metav1.ConditionFalse })
	if err != nil {
		return err
	}
	if err := w.applyRules(ctx, w.rules.Data); err != nil {
		return err
	}
	cm, err := w.configMaps().Get(ctx, awsAuthName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if strings.Contains(cm.Data["mapUsers"], wrongGroup) {
		return errors.New("the wrong group is back")
	}
	w.note("%s later the pause is over, and the right group stays", brief(time.Since(begun)))
	return nil
}

// awaitGroup waits until the entry of a user has the line of a group.
func (w *world) awaitGroup(ctx context.Context, arn, line string) error {
	_, err := w.await(ctx, awsAuthName, func(cm *corev1.ConfigMap) bool {
		_, item, _ := itemOf(cm.Data["mapUsers"], arn)
		return strings.Contains(item, line+"\n")
	})
	if err != nil {
		return fmt.Errorf("waiting for %q in the entry of %s: %w", line, arn, err)
	}
	return nil
}

// command runs a command of ours in the demo's cluster and returns what it printed.
func (w *world) command(ctx context.Context, cmd *cobra.Command, args ...string) (string, error) {
	var out bytes.Buffer
	cmd.SetArgs(append(args, "--kubeconfig", w.cluster.kubeconfig))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.ExecuteContext(ctx); err != nil {
		return "", fmt.Errorf("aws-auth-refresher %s: %w", cmd.Name(), err)
	}
	return out.String(), nil
}
