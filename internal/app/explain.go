package app

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// explainOptions configure the command explain.
type explainOptions struct {
	sources
	Policy
	detailedExitCode bool
}

// exitNotLetIn is the exit code of explain --detailed-exitcode for an identity
// that does not get in.
const exitNotLetIn = 2

// Explain is the command that says why an identity is or is not let in.
func Explain() *cobra.Command {
	o := explainOptions{sources: sources{noRules: true}}
	cmd := &cobra.Command{
		Use:   "explain ARN",
		Short: "Say why an IAM identity is or is not let in, and as whom",
		Long: `Say why an IAM identity is or is not let in, and as whom.

The ARN is that of a user, of a role, or of a role's session as
"aws sts get-caller-identity" prints it. Without files the live cluster and the
live AWS account are read; nothing is changed. With --cluster-name the access
entries of EKS count, too, as the cluster's authentication mode has it.`,
		Example: `  aws-auth-refresher explain arn:aws:iam::123456789012:user/vault/alice-1
  aws-auth-refresher explain --cluster-name prod arn:aws:iam::123456789012:user/vault/alice-1
  aws-auth-refresher explain --aws-auth aws-auth.yaml "$(aws sts get-caller-identity --query Arn --output text)"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return fmt.Errorf("explain takes one ARN and was given %d, as in: %s arn:aws:iam::123456789012:user/alice", len(args), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.sources.BindFlags(cmd.Flags())
	o.Policy.BindFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.detailedExitCode, "detailed-exitcode", false, "exit with 2 if the identity does not get in")
	return cmd
}

func (o *explainOptions) run(cmd *cobra.Command, identity string) error {
	settings, err := o.Settings()
	if err != nil {
		return err
	}
	options := o.Options()
	o.identity = identity
	in, err := o.read(cmd, options)
	if err != nil {
		return err
	}
	in.data.Options, in.data.Removal, in.data.Adopt, in.data.Now = options, settings, o.Adopt, time.Now()
	x, err := controllers.Explain(cmd.Context(), in.data, identity)
	if err != nil {
		return err
	}
	noteUnlisted(cmd.ErrOrStderr(), in.data.Unlisted)
	if err := printExplanation(cmd.OutOrStdout(), x); err != nil {
		return err
	}
	if o.detailedExitCode && !x.LetIn() {
		return &ExitError{Code: exitNotLetIn}
	}
	return nil
}

// printExplanation writes one line for each thing that is known; the last one
// is the answer.
func printExplanation(w io.Writer, x controllers.Explanation) error {
	lines := explainIAM(x)
	lines = append(lines, explainRules(x)...)
	lines = append(lines, explainAccess(x)...)
	lines = append(lines, explainEntry(x)...)
	if x.Next != "" {
		lines = append(lines, "next:     "+x.Next)
	}
	lines = append(lines, "", answer(x))
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

func explainIAM(x controllers.Explanation) []string {
	switch p := x.Principal; {
	case x.Listed && !p.CreateDate.IsZero():
		return []string{fmt.Sprintf("IAM:      %s, made %s", p.ARN, p.CreateDate.UTC().Format(time.RFC3339))}
	case x.Listed:
		return []string{"IAM:      " + p.ARN}
	case x.Unlisted != nil:
		return []string{fmt.Sprintf("IAM:      the %ss of account %s are not listed", p.Kind, p.AccountID)}
	case x.Looked:
		return []string{fmt.Sprintf("IAM:      there is no such %s in the listing", p.Kind)}
	}
	return nil
}

func explainRules(x controllers.Explanation) []string {
	var lines []string
	if x.NoRules && x.Looked {
		lines = append(lines, "rules:    none were given, so what they say is not known; --rules reads them")
	}
	if x.Refused != nil {
		if problems, ok := errors.AsType[*rules.Problems](x.Refused); ok {
			return []string{"rules:    refused: " + strings.ReplaceAll(problems.Error(), "\n", "\n          ")}
		}
		return []string{"rules:    " + x.Refused.Error()}
	}
	for _, v := range x.Verdicts {
		text := "matches"
		if !v.Matches {
			text = "does not match: " + strings.Join(v.But, ", and ")
		}
		if v.Near {
			text = "does not match, but nearly: " + v.But[0]
		}
		lines = append(lines, fmt.Sprintf("rules:    %s rule %d %s", v.Kind.DataKey(), v.Rule+1, text))
	}
	for _, l := range x.LeftOut {
		lines = append(lines, fmt.Sprintf("rules:    %s rule %d leaves it out: %s", l.Kind.DataKey(), l.Rule+1, l.Reason))
	}
	return lines
}

func explainEntry(x controllers.Explanation) []string {
	switch e := x.Entry; {
	case e != nil && x.Ours:
		return []string{fmt.Sprintf("aws-auth: %s has an entry of the refresher's for %s", e.Kind.DataKey(), e.ARN)}
	case e != nil:
		return []string{fmt.Sprintf("aws-auth: %s has somebody else's entry for %s", e.Kind.DataKey(), e.ARN)}
	case x.Account:
		return []string{"aws-auth: no entry, but mapAccounts has the account " + x.Principal.AccountID}
	}
	lines := []string{"aws-auth: no entry for " + x.Canonical}
	for _, unread := range x.Unread {
		lines = append(lines, "aws-auth: "+unread)
	}
	for _, near := range x.Near {
		lines = append(lines, "aws-auth: "+near)
	}
	return lines
}

func answer(x controllers.Explanation) string {
	switch e := x.Entry; {
	case x.Access.Counts():
		return filledIn(x, "Let in as "+strings.Join(accessGives(*x.Access.Entry), ", ")+".")
	case !x.LetIn():
		return "Not let in."
	case e != nil:
		return filledIn(x, "Let in as "+strings.Join(gives(*e), ", ")+".")
	}
	return "Let in as " + x.Canonical + ", without groups."
}

// filledIn replaces the templates whose values the identity tells.
func filledIn(x controllers.Explanation, text string) string {
	values := []string{"{{AccountID}}", x.Principal.AccountID}
	if x.Session != "" || x.Principal.Kind == rules.User {
		values = append(values, "{{SessionName}}", strings.ReplaceAll(x.Session, "@", "-"), "{{SessionNameRaw}}", x.Session)
	}
	return strings.NewReplacer(values...).Replace(text)
}

func gives(e awsauth.Entry) []string {
	name := e.Username
	if name == "" {
		name = "nobody: the entry has no username"
	}
	if len(e.Groups) == 0 {
		return []string{name, "without groups"}
	}
	return []string{name, "with the groups " + strings.Join(e.Groups, ", ")}
}
