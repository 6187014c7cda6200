package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
)

// rollbackOptions configure the command rollback.
type rollbackOptions struct {
	Target
	everything, yes, dryRun bool
}

// Rollback is the command that brings an earlier version of aws-auth back.
func Rollback() *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Bring back the entries of ours that an earlier aws-auth had, and pause the refresher",
		Long: `Bring back the entries of ours that an earlier aws-auth had, and pause the
refresher.

Without a VERSION it goes back to the newest version in which our entries were
others than now; doing it twice leads back to the start, because the rollback's
own present is kept, too. Entries of others, and everything else in aws-auth,
stay as they are now. Who got in since then loses access: the difference and
their names are shown first, and you are asked. Where you cannot be asked,
because standard input is no terminal, nothing is done without --yes.

With --everything aws-auth becomes that version byte for byte. What others have
written since is lost, be it the roles of new nodes.

The refresher is paused first, by an annotation on the rules ConfigMap, because
it would put back what the rules say. Mend the rules, then resume.`,
		Example: `  aws-auth-refresher history
  aws-auth-refresher rollback 12 --dry-run
  aws-auth-refresher rollback 12
  aws-auth-refresher resume`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := versionArg(args)
			if err != nil {
				return err
			}
			return o.run(cmd, id)
		},
	}
	o.BindFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.everything, "everything", false, "bring back the whole ConfigMap, what others wrote included")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the difference and change nothing")
	return cmd
}

func (o *rollbackOptions) run(cmd *cobra.Command, id int) error {
	operator, err := o.operator()
	if err != nil {
		return err
	}
	plan, err := operator.PlanRollback(cmd.Context(), id, o.everything)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	o.show(out, plan)
	switch {
	case o.dryRun:
		return nil
	case !o.yes && plan.Changes():
		if err := confirm(cmd.InOrStdin(), out); err != nil {
			return err
		}
	}
	err = operator.Roll(cmd.Context(), plan)
	if errors.Is(err, controllers.ErrChanged) {
		return fmt.Errorf("%w, and nothing was written: run the command again", err)
	}
	if err != nil {
		return err
	}
	if plan.Changes() {
		fmt.Fprintf(out, "aws-auth is back at version %d%s.\n", plan.To.ID, o.extent())
	}
	return printStillPaused(out, &o.Target)
}

func (o *rollbackOptions) extent() string {
	if o.everything {
		return ", byte for byte"
	}
	return " as far as our entries go"
}

// show prints the difference, and what does not come back.
func (o *rollbackOptions) show(w io.Writer, plan *controllers.Rollback) {
	name := o.Namespace + "/" + o.AWSAuth
	if plan.Missing {
		fmt.Fprintf(w, "There is no ConfigMap %s; it is made again.\n", name)
	}
	keys := maps.Clone(plan.After)
	maps.Copy(keys, plan.Before)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		before, after := plan.Before[key], plan.After[key]
		if before != after {
			_, _ = io.WriteString(w, unified(name+" "+key, fmt.Sprintf("%s %s (version %d)", name, key, plan.To.ID), before, after))
		}
	}
	if !plan.Changes() {
		fmt.Fprintf(w, "No changes: aws-auth is at version %d already%s.\n", plan.To.ID, o.extent())
	} else {
		showEffect(w, plan.Effect())
	}
	if plan.Elsewhere != "" {
		fmt.Fprintf(w, "note: %s\n", plan.Elsewhere)
	}
	for _, c := range plan.GivenWay {
		fmt.Fprintf(w, "note: %s keeps somebody else's entry: %s\n", c.Grant.EntryARN, user(&c.Entry))
	}
	for _, e := range plan.LeftOut {
		fmt.Fprintf(w, "note: %s does not fit: a ConfigMap holds 1 MiB\n", e.ARN)
	}
}

// showEffect counts the changes and names who loses access.
func showEffect(w io.Writer, effect controllers.Difference) {
	added, changed, removed := effect.Count()
	fmt.Fprintf(w, "\nRollback: %d to add, %d to change, %d to remove.\n", added, changed, removed)
	for i, c := range effect.Lost() {
		switch i {
		case 0:
			fmt.Fprintln(w, "These lose access:")
		case changesShown:
			fmt.Fprintf(w, "    and %d more, which the difference names\n", removed-i)
			return
		}
		fmt.Fprintln(w, "    "+changeLine(c))
	}
}

// confirm asks, and takes anything but a yes for a no.
func confirm(in io.Reader, out io.Writer) error {
	if !isTerminal(in) {
		return &ExitError{Code: 1, Message: "nothing was changed, because standard input is no terminal, where you could be asked: " +
			"read the difference, then run the command again with --yes"}
	}
	fmt.Fprint(out, "Replace aws-auth as shown, and pause the refresher? Only yes is taken for a yes:\n")
	// An end without an answer is a no like any other.
	answer, err := bufio.NewReader(in).ReadString('\n')
	if strings.TrimSpace(answer) == "yes" {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return &ExitError{Code: 1, Message: "nothing was changed; --yes goes on without asking"}
}

// Resume is the command that takes a pause away.
func Resume() *cobra.Command {
	var target Target
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Let a paused refresher go on",
		Long: `Let a paused refresher go on: it brings aws-auth in step with the rules at once.

See what it is about to do with: aws-auth-refresher plan`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			operator, err := target.operator()
			if err != nil {
				return err
			}
			paused, err := operator.Resume(cmd.Context())
			if err != nil {
				return err
			}
			text := "The refresher goes on."
			if !paused {
				text = "The refresher is not paused."
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	target.BindFlags(cmd.Flags())
	return cmd
}
