package app

import (
	"bufio"
	"context"
	"encoding/json"
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
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func authenticatorVerify() *cobra.Command {
	var flags authnFlags
	var token, output string
	var regions []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say who made a token, or why it is refused",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output is %q; use json or leave it out", output)
			}
			file, err := flags.resolve(cmd.Flags())
			if err != nil {
				return err
			}
			if token == "-" {
				text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1<<20))
				if err != nil {
					return fmt.Errorf("--token: %w", err)
				}
				token = strings.TrimSpace(string(text))
			}
			account, err := ownAWSConfig(cmd.Context())
			if err != nil {
				return err
			}
			verifier, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{
				ClusterID: file.ClusterID, Partition: file.Server.Partition, Region: account.Region, STSRegions: regions,
			})
			if err != nil {
				return err
			}
			id, err := verifier.Verify(cmd.Context(), token)
			if err != nil {
				return err
			}
			return printIdentity(cmd.OutOrStdout(), id, output == "json")
		},
	}
	flags.bindCluster(cmd.Flags())
	cmd.Flags().StringVarP(&token, "token", "t", "", "the `token`; - reads it from standard input")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or nothing for text")
	cmd.Flags().StringSliceVar(&regions, "sts-region", nil, "further `regions` whose STS the token may come from")
	_ = cmd.MarkFlagRequired("token")
	return cmd
}

func printIdentity(w io.Writer, id ekstoken.Identity, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(id)
	}
	_, err := fmt.Fprintf(w, "ARN:          %s\nCanonicalARN: %s\nAccountID:    %s\nUserID:       %s\nSessionName:  %s\nAccessKeyID:  %s\n",
		id.ARN, id.CanonicalARN, id.AccountID, id.UserID, id.SessionName, id.AccessKeyID)
	return err
}

// addOptions configure authenticator add.
type addOptions struct {
	kubeconfig, context, master string
	prompt                      bool
	entry                       awsauth.Entry
}

func authenticatorAdd() *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add an entry to aws-auth, and change nothing else in it",
		Args:  cobra.NoArgs,
	}
	flags := cmd.PersistentFlags()
	flags.BoolVar(&o.prompt, "prompt", true, "ask before writing")
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
	_ = cmd.MarkFlagRequired(flag)
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
		fmt.Fprintf(cmd.OutOrStdout(), "Add %s as %s with the groups %s? [y/N]: ", o.entry.ARN, o.entry.Username, strings.Join(o.entry.Groups, ", "))
		answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if word := strings.ToLower(strings.TrimSpace(answer)); word != "y" && word != "yes" {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "Nothing was added.")
			return nil
		}
	}
	cm, err := addEntry(cmd.Context(), core.ConfigMaps("kube-system"), o.entry)
	if err != nil {
		return err
	}
	return printManifest(cmd.OutOrStdout(), cm, false)
}

// addEntry puts one entry into aws-auth, which is made if it is missing. An
// ARN that has an entry already is refused.
func addEntry(ctx context.Context, configMaps corev1client.ConfigMapInterface, entry awsauth.Entry) (*corev1.ConfigMap, error) {
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
		if err := withEntry(cm, entry); err != nil {
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

func withEntry(cm *corev1.ConfigMap, entry awsauth.Entry) error {
	var reader awsauth.Reader
	binary := 0
	for key, value := range cm.BinaryData {
		binary += len(key) + len(value)
	}
	doc := reader.Read(cm.Data, binary)
	if there, ok := doc.Lookup(entry.ARN); ok {
		return fmt.Errorf("%s has an entry already, as %s", there.ARN, there.Username)
	}
	result := doc.Merge(awsauth.Edit{Owned: func(awsauth.Entry) bool { return false }, Want: []awsauth.Entry{entry}})
	switch {
	case result.Problems[entry.Kind.DataKey()] != nil:
		return result.Problems[entry.Kind.DataKey()]
	case len(result.Overflow) > 0:
		return errors.New("there is no room left in it")
	}
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	value := result.Document.Values()[entry.Kind.DataKey()]
	cm.Data[entry.Kind.DataKey()] = value
	return nil
}
