package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// addOptions configure authenticator add.
type addOptions struct {
	kubeconfig, context, master string
	prompt                      bool
	entry                       awsauth.Entry
	// set names a permission set instead of the entry's ARN.
	set map[string]string
	sso *authnconfig.SSO
}

func authenticatorAdd() *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add an entry to aws-auth, and change nothing else in it",
		Args:  cobra.NoArgs,
	}
	flags := cmd.PersistentFlags()
	flags.BoolVar(&o.prompt, "prompt", true, "ask before writing; without, nothing is asked")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; default: what kubectl would use")
	flags.StringVar(&o.context, "kubeconfig-context", "", "`context` of the kubeconfig; default: the current one")
	flags.StringVar(&o.master, "master-url", "", "`URL` of the API server, instead of the one in the kubeconfig")
	flags.StringVar(&o.entry.Username, "username", "", "username in Kubernetes")
	flags.StringSliceVar(&o.entry.Groups, "groups", nil, "groups in Kubernetes")
	_ = cmd.MarkPersistentFlagRequired("username")
	_ = cmd.MarkPersistentFlagRequired("groups")
	cmd.AddCommand(o.command(rules.User, arn.TypeUser), o.command(rules.Role, arn.TypeRole))
	return cmd
}

func (o *addOptions) command(kind rules.Kind, resource string) *cobra.Command {
	flag := resource + "arn"
	cmd := &cobra.Command{
		Use:     resource,
		Short:   "Add a " + resource,
		Example: "  aws-auth-refresher authenticator add " + resource + " --" + flag + " arn:aws:iam::123456789012:" + resource + "/alice --username alice --groups developers",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.entry.Kind = kind
			if len(o.set) > 0 {
				sso, err := permissionSet(o.set)
				if err != nil {
					return fmt.Errorf("--sso: %w", err)
				}
				o.sso, o.entry.ARN = &sso, roleOfSet(sso).String()
				return o.run(cmd)
			}
			a, err := arn.Parse(o.entry.ARN)
			switch {
			case err != nil:
				return fmt.Errorf("--%s: %w", flag, err)
			case a.Type != resource:
				return fmt.Errorf("--%s: %s is not a %s", flag, o.entry.ARN, resource)
			case kind == rules.Role:
				o.entry.ARN = a.WithoutPath().String()
			}
			return o.run(cmd)
		},
	}
	cmd.Flags().StringVar(&o.entry.ARN, flag, "", "`ARN` of the "+resource)
	if kind == rules.User {
		_ = cmd.MarkFlagRequired(flag)
		return cmd
	}
	cmd.Flags().StringToStringVar(&o.set, "sso", nil, "a permission set of IAM Identity Center instead of a role: `permissionSetName=NAME,accountID=ID`, and partition=PARTITION if that is not aws")
	cmd.MarkFlagsMutuallyExclusive(flag, "sso")
	cmd.MarkFlagsOneRequired(flag, "sso")
	return cmd
}

func (o *addOptions) run(cmd *cobra.Command) error {
	cluster, err := authenticatorClusterOf(authnconfig.Server{Kubeconfig: o.kubeconfig, Master: o.master}, o.context)
	if err != nil {
		return err
	}
	core, err := corev1client.NewForConfig(cluster)
	if err != nil {
		return fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	if o.prompt {
		what := o.entry.ARN
		if o.sso != nil {
			what = fmt.Sprintf("the permission set %s in the account %s", o.sso.PermissionSetName, o.sso.AccountID)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Add %s as %s with the groups %s? [y/N]: ", what, o.entry.Username, strings.Join(o.entry.Groups, ", "))
		answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if word := strings.ToLower(strings.TrimSpace(answer)); word != "y" && word != "yes" {
			switch {
			case errors.Is(err, io.EOF) && word == "":
				return errors.New("nobody answered, so nothing was added; give --prompt=false where nobody can")
			case err != nil && !errors.Is(err, io.EOF):
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "Nothing was added.")
			return nil
		}
	}
	cm, err := o.add(cmd.Context(), core.ConfigMaps("kube-system"))
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "Added. This is aws-auth now:")
	return printManifest(cmd.OutOrStdout(), cm, false)
}

// add puts the entry into aws-auth, which is made if it is missing. An ARN or a
// permission set that has an entry already is refused.
func (o *addOptions) add(ctx context.Context, configMaps corev1client.ConfigMapInterface) (*corev1.ConfigMap, error) {
	var written *corev1.ConfigMap
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cm, err := configMaps.Get(ctx, "aws-auth", metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if missing {
			cm, err = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: "kube-system"}}, nil
		}
		if err != nil {
			return err
		}
		if err := withEntry(cm, o.entry, o.sso); err != nil {
			return err
		}
		if missing {
			written, err = configMaps.Create(ctx, cm, metav1.CreateOptions{})
		} else {
			written, err = configMaps.Update(ctx, cm, metav1.UpdateOptions{})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("adding to aws-auth: %w", err)
	}
	return written, nil
}

// withEntry puts the entry into the ConfigMap: for a permission set if there is one.
func withEntry(cm *corev1.ConfigMap, entry awsauth.Entry, set *authnconfig.SSO) error {
	var reader awsauth.Reader
	binary := 0
	for key, value := range cm.BinaryData {
		binary += len(key) + len(value)
	}
	doc := reader.Read(cm.Data, binary)
	if set != nil {
		if there, ok := findSet(cm.Data, *set); ok {
			return fmt.Errorf("the permission set %s has an entry already, as %s", set.PermissionSetName, there.Username)
		}
	} else if there, ok := doc.Lookup(entry.ARN); ok {
		return fmt.Errorf("%s has an entry already, as %s", there.ARN, there.Username)
	}
	result := doc.Merge(awsauth.Edit{Owned: func(awsauth.Entry) bool { return false }, Want: []awsauth.Entry{entry}})
	switch {
	case result.Problems[entry.Kind.DataKey()] != nil:
		return result.Problems[entry.Kind.DataKey()]
	case len(result.Overflow) > 0:
		return errors.New("there is no room left in it: a ConfigMap holds 1 MiB; take out entries that nobody needs first")
	}
	values := result.Document.Values()
	if set != nil {
		if err := nameSet(values, entry, *set); err != nil {
			return err
		}
	}
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	cm.Data[entry.Kind.DataKey()] = values[entry.Kind.DataKey()]
	return nil
}
