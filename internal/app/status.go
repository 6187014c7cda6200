package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
)

// Status is the command that prints the controller's status as a table.
func Status() *cobra.Command {
	var target Target
	watch := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print how the refresher is doing, with ages",
		Long: `Print how the refresher is doing, with ages.

It reads the ConfigMap that the controller reports in, and the Lease that says
whether there is a controller. A ! marks what is not as it should be.`,
		Example: `  aws-auth-refresher status
  aws-auth-refresher status --watch`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := target.RESTConfig()
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(cluster)
			if err != nil {
				return fmt.Errorf("configuring the Kubernetes client: %w", err)
			}
			if watch {
				return watchStatus(cmd.Context(), cmd.OutOrStdout(), client, &target)
			}
			s, err := readStatus(cmd.Context(), client, &target)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), s.text(time.Now()))
			return err
		},
	}
	target.BindFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on: on a terminal once a second, elsewhere whenever the status changes")
	return cmd
}

// statusInput is what the status is printed from.
type statusInput struct {
	cm    *corev1.ConfigMap
	lease *coordinationv1.Lease // nil: none, or not to be read
}

func readStatus(ctx context.Context, client kubernetes.Interface, target *Target) (statusInput, error) {
	name := target.Names().Status
	cm, err := client.CoreV1().ConfigMaps(target.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return statusInput{}, fmt.Errorf("there is no ConfigMap %s/%s: no controller has run here yet, or its first refresh has not ended", target.Namespace, name)
	}
	if err != nil {
		return statusInput{}, fmt.Errorf("reading ConfigMap %s/%s: %w", target.Namespace, name, err)
	}
	lease, err := client.CoordinationV1().Leases(target.Namespace).Get(ctx, leaseName, metav1.GetOptions{})
	if err != nil {
		lease = nil // whoever may not read it, or elects no leader, sees the rest
	}
	return statusInput{cm, lease}, nil
}

// watchStatus prints the status until ctx ends.
func watchStatus(ctx context.Context, out io.Writer, client kubernetes.Interface, target *Target) error {
	terminal := isTerminal(out)
	last := ""
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		s, err := readStatus(ctx, client, target)
		var version, text string
		switch {
		case ctx.Err() != nil:
			return false, nil //nolint:nilerr // the end is no error
		case err != nil:
			version = err.Error()
			text = version + "\n"
		default:
			version, text = s.cm.ResourceVersion, s.text(time.Now())
		}
		switch {
		case terminal:
			text = "\x1b[H\x1b[2J" + text
		case version == last:
			return false, nil
		case last != "":
			text = "\n" + text
		}
		last = version
		_, err = io.WriteString(out, text)
		return false, err
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopping is no error
	}
	return err
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// text is the status as it is printed.
func (s statusInput) text(now time.Time) string {
	var b strings.Builder
	b.WriteString(s.cm.Data["summary"] + "\n" + s.leader(now) + "\n")
	b.WriteString(conditionTable(s.cm.Data["conditions"], now))
	b.WriteString(ruleTable(s.cm.Data["rules"]))
	titles := map[string]string{
		"held": "HELD: no rule grants them any longer; RemovalHeld says why they stay", "waiting": "WAITING to be taken out",
		"givenWay": "GIVEN WAY to somebody else's entry", "leftOut": "LEFT OUT, although a rule selects them",
		"unowned": "UNOWNED: a lost record may have said that they are ours",
		"orphans": "ORPHANS: somebody else's, and their user or role does not exist",
		"revived": "WRITTEN BACK by somebody, and taken out again",
	}
	for _, key := range slices.Sorted(maps.Keys(s.cm.Data)) {
		switch key {
		case "summary", "conditions", "rules", "record":
		case "accounts":
			b.WriteString("\nACCOUNTS\n" + accountTable(s.cm.Data[key]))
		default:
			b.WriteString("\n" + cmp.Or(titles[key], key) + "\n" + principalTable(s.cm.Data[key], now))
		}
	}
	return b.String()
}

// leader tells whether somebody keeps the status up to date.
func (s statusInput) leader(now time.Time) string {
	if s.lease == nil {
		return ""
	}
	spec := s.lease.Spec
	if spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return ""
	}
	seen := duration.HumanDuration(max(now.Sub(spec.RenewTime.Time), 0))
	if holder := spec.HolderIdentity; holder != nil && *holder != "" &&
		now.Sub(spec.RenewTime.Time) < 2*time.Duration(*spec.LeaseDurationSeconds)*time.Second {
		return fmt.Sprintf("controller %s, seen %s ago\n", *holder, seen)
	}
	return fmt.Sprintf("! no controller is running; the last one was seen %s ago and said:\n", seen)
}

// asItShouldBe tells whether a condition is as it should be; some should be false.
func asItShouldBe(c metav1.Condition) bool {
	switch c.Type {
	case controllers.ConditionRemovalHeld, controllers.ConditionDegraded, controllers.ConditionPaused:
		return c.Status == metav1.ConditionFalse
	}
	return c.Status == metav1.ConditionTrue
}

func conditionTable(text string, now time.Time) string {
	var conditions []metav1.Condition
	if err := yaml.Unmarshal([]byte(text), &conditions); err != nil {
		return text
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  CONDITION\tSTATUS\tFOR\tREASON")
	var messages []string
	for _, c := range conditions {
		mark := " "
		if !asItShouldBe(c) {
			mark = "!"
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\n", mark, c.Type, c.Status,
			duration.HumanDuration(max(now.Sub(c.LastTransitionTime.Time), 0)), c.Reason)
		if !asItShouldBe(c) && c.Message != "" && c.Type != controllers.ConditionDegraded {
			messages = append(messages, "\n"+c.Type+": "+c.Message+"\n")
		}
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String() + strings.Join(messages, "")
}

func ruleTable(text string) string {
	if text == "" {
		return ""
	}
	var list []controllers.RuleStatus
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		return "\n" + text
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\n  RULE\tMATCHES")
	for _, r := range list {
		mark, note := " ", ""
		if r.Frozen {
			mark, note = "!", ", more than its maxMatches: nobody new gets in by it"
		}
		if r.Note != "" {
			mark, note = "!", ": "+r.Note
		}
		fmt.Fprintf(table, "%s %s\t%d%s\n", mark, r.Rule, r.Matched, note)
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String()
}

func accountTable(text string) string {
	var list []controllers.AccountStatus
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		return indented(text)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, a := range list {
		mark, state := " ", "listed"
		if !a.Listed {
			mark, state = "!", "FROZEN: "+a.Reason
		}
		fmt.Fprintf(table, "%s %s\t%s\n", mark, cmp.Or(a.Account, "(not known)"), state)
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String()
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// principalTable prints a list of principals; times to come are told as waits.
func principalTable(text string, now time.Time) string {
	var list []controllers.PrincipalStatus
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		return indented(text)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, p := range list {
		if until, err := time.Parse("until "+time.RFC3339, p.Reason); err == nil {
			p.Reason = "for another " + duration.HumanDuration(max(until.Sub(now), 0))
		}
		fmt.Fprintf(table, "  %s\t%s\n", p.ARN, p.Reason)
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String()
}
