package app

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
)

// Lint is the command that lists the mistakes in an aws-auth.
func Lint() *cobra.Command {
	var target Target
	cmd := &cobra.Command{
		Use:   "lint [FILE]",
		Short: "List the mistakes in aws-auth, and what EKS makes of each",
		Long: `List the mistakes in aws-auth, and what EKS makes of each.

It reads a manifest, - for standard input, or without one the cluster's, as EKS
does. Lines count within the value of the data key. The exit code is 1 if there
is an error: something that keeps somebody out or lets them in otherwise than it
says. Nothing is changed.`,
		Example: `  aws-auth-refresher lint
  kubectl -n kube-system get configmap aws-auth -o yaml | aws-auth-refresher lint -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cm, err := readAWSAuth(cmd, &target, args)
			if err != nil {
				return err
			}
			return printFindings(cmd.OutOrStdout(), awsauth.Lint(cm.Data))
		},
	}
	target.BindFlags(cmd.Flags())
	return cmd
}

// readAWSAuth reads aws-auth from the file that is named, or from the cluster.
func readAWSAuth(cmd *cobra.Command, target *Target, args []string) (*corev1.ConfigMap, error) {
	if len(args) > 0 {
		files := &inputs{stdin: cmd.InOrStdin()}
		cm, err := files.configMap("FILE", args[0])
		if err == nil && cm.Name != target.AWSAuth {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: the manifest is named %q and is read as if it were %q\n", cm.Name, target.AWSAuth)
		}
		return cm, err
	}
	core, err := target.client()
	if err != nil {
		return nil, err
	}
	cm, err := core.ConfigMaps(target.Namespace).Get(cmd.Context(), target.AWSAuth, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s/%s: %w", target.Namespace, target.AWSAuth, err)
	}
	return cm, nil
}

func printFindings(w io.Writer, findings []awsauth.Finding) error {
	count := map[awsauth.Severity]int{}
	for _, f := range findings {
		count[f.Severity]++
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	if len(findings) == 0 {
		_, err := fmt.Fprintln(w, "No mistakes: EKS reads every entry as it is written.")
		return err
	}
	errors, warnings := count[awsauth.SeverityError], count[awsauth.SeverityWarning]
	if _, err := fmt.Fprintf(w, "\n%s, %s.\n", plural(errors, "error"), plural(warnings, "warning")); err != nil {
		return err
	}
	if errors > 0 {
		return &ExitError{Code: 1}
	}
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
