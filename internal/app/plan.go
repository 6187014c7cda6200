package app

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// planOptions configure the command plan.
type planOptions struct {
	sources
	Policy
	output           string
	detailedExitCode bool
}

// exitChanges is the exit code of plan --detailed-exitcode when something would
// change, as with terraform plan.
const exitChanges = 2

// Plan is the command that shows what the controller would do.
func Plan() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what the controller would change, and change nothing",
		Long: `Show what the controller would change, and change nothing.

Without files it reads the live cluster and the live AWS account; with --rules
alone it tries those rules on them. With --users, --roles or --details it needs neither.
With --target and --cluster-name as the controller has them it shows the changes of
access entries, too.`,
		Example: `  # What would these rules do?
  aws iam list-users > users.json
  kubectl -n kube-system get configmap aws-auth -o yaml > aws-auth.yaml
  aws-auth-refresher plan --rules rules.yaml --users users.json --aws-auth aws-auth.yaml

  # What would they do right now?
  aws-auth-refresher plan --rules rules.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	o.sources.BindFlags(flags)
	o.Policy.BindFlags(flags)
	flags.StringVarP(&o.output, "output", "o", "diff", "what to print: diff, or the resulting aws-auth as yaml or json")
	flags.BoolVar(&o.detailedExitCode, "detailed-exitcode", false, "exit with 2 if something would change")
	return cmd
}

// namedInNotes is how many held entries are named.
const namedInNotes = 20

func (o *planOptions) run(cmd *cobra.Command) error {
	if o.output != "diff" && o.output != "yaml" && o.output != "json" {
		return fmt.Errorf("-o is %q; use diff, yaml or json", o.output)
	}
	settings, err := o.Settings()
	if err != nil {
		return err
	}
	options := o.Options()
	in, err := o.read(cmd, options)
	if err != nil {
		return err
	}
	in.data.Options = options
	in.data.Removal, in.data.Adopt, in.data.Now = settings, o.Adopt, time.Now()
	plan, err := controllers.NewPlan(cmd.Context(), in.data)
	if problems, ok := errors.AsType[*rules.Problems](err); ok {
		return &ExitError{Code: 1, Message: prefixLines(in.rulesFrom+": ", problems.Error())}
	}
	if err != nil {
		return err
	}
	o.notes(cmd.ErrOrStderr(), in, plan)
	o.entryNotes(cmd.ErrOrStderr(), in.data.Entries, plan)
	changed, err := o.print(cmd.OutOrStdout(), in.data, plan)
	switch {
	case err != nil:
		return err
	case len(plan.Result.Problems) > 0:
		return &ExitError{Code: 1, Message: prefixLines("aws-auth ", plan.Result.ProblemText())}
	case changed && o.detailedExitCode:
		return &ExitError{Code: exitChanges}
	}
	return nil
}

func prefixLines(prefix, text string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
}

// notes says on standard error what the diff does not show.
func (o *planOptions) notes(w io.Writer, in planInput, plan controllers.Outcome) {
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(w, "note: "+format+"\n", args...) }
	noteUnlisted(w, in.data.Unlisted)
	for _, c := range plan.Conflicts {
		if c.Same {
			note("%s stands in aws-auth as the rules would write it, but is not recorded as ours; --adopt takes it over", c.Grant.EntryARN)
			continue
		}
		if c.Elsewhere {
			note("%s keeps somebody else's access entry", c.Grant.PrincipalARN)
			continue
		}
		note("%s keeps somebody else's entry: %s [%s]", c.Grant.EntryARN, c.Entry.Username, strings.Join(c.Entry.Groups, ", "))
	}
	for _, l := range plan.Evaluation.LeftOut {
		note("%s is left out of %s rule %d: %s", l.ARN, l.Kind.DataKey(), l.Rule+1, l.Reason)
	}
	for _, r := range plan.Evaluation.Rules {
		if r.Frozen {
			note("%s rule %d is frozen: it matches %d principals, more than its maxMatches; nobody new gets in by it",
				r.Kind.DataKey(), r.Rule+1, r.Matched)
		}
	}
	for _, e := range plan.Result.Overflow {
		note("%s does not fit: a ConfigMap holds 1 MiB", e.ARN)
	}
	for _, k := range plan.Removal.Keep {
		note("%s stays for now: %s", k.ARN, k.Reason)
	}
	for i, h := range plan.Removal.Held {
		if i == namedInNotes {
			note("and %d more would be held", len(plan.Removal.Held)-i)
			break
		}
		note("%s would be held", h.ARN)
	}
	for _, kind := range rules.Kinds() {
		if o.rules != "" && in.needs(kind) && !slices.Contains(in.data.Listed, kind) {
			note("there are rules in %s, but no %ss to match: give them with --%ss or --details", kind.DataKey(), kind, kind)
		}
	}
	for _, r := range plan.Evaluation.Rules {
		frozen := slices.ContainsFunc(in.data.Unlisted, func(u controllers.Unlisted) bool { return slices.Contains(u.Kinds, r.Kind) })
		why := plan.Elsewhere(r)
		if r.Matched == 0 && slices.Contains(in.data.Listed, r.Kind) && (why != "" || !frozen) {
			text := ""
			if why != "" {
				text = ": " + why
			}
			note("%s rule %d matches nobody%s", r.Kind.DataKey(), r.Rule+1, text)
		}
	}
	if o.fromFiles() && o.state == "" && in.data.AWSAuth.Data != nil {
		note("without --state every entry counts as somebody else's, so none is changed or removed; once the refresher has run, "+
			"the ConfigMap %s says which are ours", o.Names().State)
	}
	for _, text := range o.misplaced(in.data) {
		note("%s", text)
	}
	if plan.Paused {
		note("the refresher is paused by the annotation %s; it does this once it is resumed", controllers.PausedAnnotation)
	}
	if n := len(plan.Removal.Held); n > 0 {
		note("%d removals would be held for %s, because %s; to approve them, put the annotation %s: %q on the rules ConfigMap",
			n, o.RemovalHold, plan.HeldBecause(in.data.Removal), controllers.ApproveAnnotation, in.data.Approval(plan))
	}
}

// print writes the result and reports whether it differs.
func (o *planOptions) print(w io.Writer, data controllers.PlanData, plan controllers.Outcome) (changed bool, err error) {
	before, frozen := data.AWSAuth, frozenSuffix(data.Unlisted)
	after := before.DeepCopy()
	after.Data = maps.Clone(before.Data)
	values := plan.Result.Document.Values()
	var diffs []string
	for _, kind := range rules.Kinds() {
		key := kind.DataKey()
		value, present := values[key]
		old, was := before.Data[key]
		if present == was && value == old {
			continue
		}
		if after.Data == nil {
			after.Data = map[string]string{}
		}
		if delete(after.Data, key); present {
			after.Data[key] = value
		}
		diffs = append(diffs, diff(before.Namespace+"/"+before.Name+" "+key, old, value))
	}
	if o.output != "diff" {
		return len(diffs)+len(plan.Removal.Held) > 0 || !plan.Entries.Idle(), printManifest(w, after, o.output == "json")
	}
	if len(diffs) == 0 && len(plan.Removal.Held) == 0 && plan.Entries.Idle() {
		if len(plan.Result.Problems) > 0 {
			return false, nil // what cannot be edited is not as anybody says
		}
		what := "aws-auth is"
		if o.ClusterName != "" {
			what = "aws-auth and access entries are"
		}
		_, err = fmt.Fprintf(w, "No changes: %s as the rules and IAM say%s.\n", what, frozen)
		return false, err
	}
	_, err = io.WriteString(w, strings.Join(diffs, "")+o.entryChanges(plan)+o.summary(plan, frozen))
	return true, err
}

func diff(name, before, after string) string { return unified(name, name+" (planned)", before, after) }

func unified(from, to, before, after string) string {
	lines := func(s string) []string {
		if s == "" {
			return nil
		}
		return difflib.SplitLines(strings.TrimSuffix(s, "\n"))
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(before), B: lines(after), FromFile: from, ToFile: to, Context: 3,
	})
	if err != nil {
		return err.Error()
	}
	return text
}

func (o *planOptions) summary(plan controllers.Outcome, frozen string) string {
	text := fmt.Sprintf("\nPlan: %d to add, %d to change, %d to remove", len(plan.Added), len(plan.Changed), len(plan.Removed))
	if n := len(plan.Removal.Held); n > 0 {
		text += fmt.Sprintf(", %d more to remove after being held for %s", n, o.RemovalHold)
	}
	return text + frozen + ".\n" + o.entrySummary(plan)
}
