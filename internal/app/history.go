package app

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
)

// changesShown is how many entries history names for one version.
const changesShown = 20

func (t *Target) operator() (*controllers.Operator, error) {
	core, err := t.client()
	if err != nil {
		return nil, err
	}
	return &controllers.Operator{
		ConfigMaps: core.ConfigMaps(t.Namespace), Names: t.Names(), Clock: clock.RealClock{},
	}, nil
}

// History is the command that lists the versions of aws-auth.
func History() *cobra.Command {
	var target Target
	all := false
	cmd := &cobra.Command{
		Use:   "history [VERSION]",
		Short: "List the last versions of aws-auth, and what changed from one to the next",
		Long: `List the last versions of aws-auth, and what changed from one to the next.

The controller keeps aws-auth as it stands before each of its writes, the last
ten times by default (controller --history). Below each version stands what it
has (+), has no longer (-) or has otherwise (~) than the version before it.

With a VERSION it prints that version as a manifest.`,
		Example: `  aws-auth-refresher history
  aws-auth-refresher history 12 > aws-auth.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := versionArg(args)
			if err != nil {
				return err
			}
			operator, err := target.operator()
			if err != nil {
				return err
			}
			versions, err := operator.Versions(cmd.Context())
			if err != nil {
				return err
			}
			if id > 0 {
				return printVersion(cmd.OutOrStdout(), &target, versions, id)
			}
			shown := changesShown
			if all {
				shown = 1 << 30
			}
			return printVersions(cmd.OutOrStdout(), versions, shown)
		},
	}
	target.BindFlags(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, fmt.Sprintf("name all entries that changed, not only %d a version", changesShown))
	return cmd
}

// versionArg is the version that is named, 0 for none.
func versionArg(args []string) (int, error) {
	if len(args) == 0 {
		return 0, nil
	}
	id, err := strconv.Atoi(args[0])
	if err != nil || id < 1 {
		return 0, fmt.Errorf("the version is %q; give a number that aws-auth-refresher history lists", args[0])
	}
	return id, nil
}

func printVersion(w io.Writer, target *Target, versions []controllers.AWSAuthVersion, id int) error {
	for _, v := range versions {
		if v.ID == id {
			cm := &corev1.ConfigMap{Data: v.Data, BinaryData: v.BinaryData}
			cm.Namespace, cm.Name = target.Namespace, target.AWSAuth
			return printManifest(w, cm, false)
		}
	}
	return fmt.Errorf("version %d: %w; aws-auth-refresher history lists those that are kept", id, controllers.ErrNoVersion)
}

// printVersions prints the newest first.
func printVersions(w io.Writer, versions []controllers.AWSAuthVersion, shown int) error {
	var text strings.Builder
	const row = "%-7s   %-20s   %-6s   %7v   %4v\n"
	fmt.Fprintf(&text, row, "VERSION", "STOOD UNTIL", "AGE", "ENTRIES", "OURS")
	kept := 0
	for i, v := range slices.Backward(versions) {
		if v.ID == 0 {
			fmt.Fprintf(&text, row, "now", "", "", len(v.Entries), len(v.Ours))
		} else {
			kept++
			fmt.Fprintf(&text, row, strconv.Itoa(v.ID), v.At.UTC().Format(time.RFC3339), age(v.At), len(v.Entries), len(v.Ours))
		}
		if i > 0 {
			for _, line := range changeLines(controllers.Compare(versions[i-1], v), shown) {
				fmt.Fprintln(&text, "    "+line)
			}
		}
	}
	if kept == 0 {
		text.WriteString("\nNo earlier version is kept yet: there is one from the first write on.\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func age(at time.Time) string { return duration.HumanDuration(max(time.Since(at), 0)) }

func changeLines(d controllers.Difference, shown int) []string {
	var lines []string
	for i, c := range d.Entries {
		if i == shown {
			lines = append(lines, fmt.Sprintf("and %d more; --all names them", len(d.Entries)-i))
			break
		}
		lines = append(lines, changeLine(c))
	}
	for _, key := range d.Keys {
		if key == "mapUsers" || key == "mapRoles" {
			key += ": other text, the same entries"
		}
		lines = append(lines, "~ "+key)
	}
	return lines
}

func changeLine(c controllers.EntryChange) string {
	whose := ""
	if !c.Ours {
		whose = " (not ours)"
	}
	switch {
	case c.Before == nil:
		return "+ " + grant(c.After) + whose
	case c.After == nil:
		return "- " + grant(c.Before) + whose
	}
	return "~ " + grant(c.After) + ", was " + user(c.Before) + whose
}

func grant(e *awsauth.Entry) string { return e.ARN + " as " + user(e) }

func user(e *awsauth.Entry) string {
	return fmt.Sprintf("%s [%s]", e.Username, strings.Join(e.Groups, ", "))
}

// printStillPaused reminds of a pause, which outlives the command.
func printStillPaused(w io.Writer, target *Target) error {
	_, err := fmt.Fprintf(w, "The refresher is paused and changes nothing until: aws-auth-refresher resume%s\n", target.flags())
	return err
}

// flags are those that a further command must be given, too.
func (t *Target) flags() string {
	var text strings.Builder
	for _, f := range []struct{ name, value, usual string }{
		{"kubeconfig", t.Kubeconfig, ""}, {"namespace", t.Namespace, metav1.NamespaceSystem},
		{"rules-configmap", t.Rules, "aws-auth-refresher"}, {"aws-auth-configmap", t.AWSAuth, "aws-auth"},
	} {
		if f.value != f.usual {
			text.WriteString(" --" + f.name + " " + f.value)
		}
	}
	return text.String()
}
