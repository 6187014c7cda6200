package app

import (
	"context"
	"errors"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// sources say where the commands that change nothing read: files, or the live
// cluster and account.
type sources struct {
	Target
	Accounts
	Stores
	listings
	rules, awsAuth, state string
	// noRules: files without rules will do.
	noRules bool
	// identity is whose access entry is read; empty: nobody's.
	identity string
}

// BindFlags adds the flags with their defaults.
func (s *sources) BindFlags(flags *pflag.FlagSet) {
	s.Target.BindFlags(flags)
	s.Accounts.BindFlags(flags)
	s.Stores.BindFlags(flags)
	flags.StringVar(&s.rules, "rules", "", "rules ConfigMap manifest, YAML or JSON; - is standard input")
	s.listings.BindFlags(flags)
	flags.StringArrayVar(&s.detailFiles, "details", nil,
		"what \"aws iam get-account-authorization-details\" prints, a file; in place of --users and --roles; once for each account")
	flags.StringVar(&s.awsAuth, "aws-auth", "", "aws-auth ConfigMap manifest; default with files: an empty one")
	flags.StringVar(&s.state, "state", "", "state ConfigMap manifest, which says what is ours; default with files: nothing is")
}

// planInput is what a plan is made from, wherever it was read.
type planInput struct {
	rulesFrom string // names the source in messages
	data      controllers.PlanData
}

// needs reports whether there are rules of this kind.
func (in planInput) needs(kind rules.Kind) bool {
	return strings.TrimSpace(in.data.Rules.Data[kind.DataKey()]) != ""
}

// fromFiles reports whether neither cluster nor account are read.
func (s *sources) fromFiles() bool {
	return len(s.files()) > 0 || s.awsAuth != "" || s.state != ""
}

// read reads everything. Options say how rules are read.
func (s *sources) read(cmd *cobra.Command, options rules.Options) (planInput, error) {
	files := &inputs{stdin: cmd.InOrStdin()}
	if err := s.Stores.Validate(); err != nil {
		return planInput{}, err
	}
	if err := onceStdin(append(s.files(), s.rules, s.awsAuth, s.state)...); err != nil {
		return planInput{}, err
	}
	if !s.fromFiles() {
		return s.readLive(cmd.Context(), files, options)
	}
	if s.ClusterName != "" {
		return planInput{}, errors.New("--cluster-name is for the live cluster, whose access entries are read from EKS; drop it, or all files but --rules")
	}
	if s.rules == "" && !s.noRules {
		return planInput{}, errors.New("--rules is missing; give the rules ConfigMap's manifest, or no file at all for the live cluster")
	}
	in, err := s.readFiles(files)
	if err != nil {
		return in, err
	}
	return in, enough(in.data, options)
}

func (s *sources) readFiles(files *inputs) (planInput, error) {
	in := planInput{rulesFrom: fileName(s.rules)}
	var err error
	if s.rules != "" {
		if in.data.Rules, err = files.configMap("--rules", s.rules); err != nil {
			return in, err
		}
	}
	in.data.AWSAuth = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.AWSAuth, Namespace: s.Namespace}}
	if s.awsAuth != "" {
		if in.data.AWSAuth, err = files.configMap("--aws-auth", s.awsAuth); err != nil {
			return in, err
		}
	}
	if s.state != "" {
		if in.data.State, err = files.configMap("--state", s.state); err != nil {
			return in, err
		}
	}
	return in, s.listings.read(files, &in.data)
}

// readLive reads the cluster and the account; rules may come from a file.
func (s *sources) readLive(ctx context.Context, files *inputs, options rules.Options) (planInput, error) {
	in := planInput{rulesFrom: "ConfigMap " + s.Namespace + "/" + s.Rules}
	cluster, err := s.RESTConfig()
	if err != nil {
		return in, err
	}
	account, err := AWSConfig(ctx, logr.Discard())
	if err != nil {
		return in, err
	}
	lister, err := NewLister(account, s.Accounts)
	if err != nil {
		return in, err
	}
	var written *corev1.ConfigMap
	if s.rules != "" {
		in.rulesFrom = fileName(s.rules)
		if written, err = files.configMap("--rules", s.rules); err != nil {
			return in, err
		}
	}
	config := controllers.LiveConfig{
		Cluster: cluster, Namespace: s.Namespace, Names: s.Names(), Lister: lister,
		Rules: written, Options: options,
		Target: controllers.Target(s.Stores.Target), EKSCluster: s.ClusterName, Identity: s.identity,
	}
	if entries := s.Stores.cluster(account, s.Target); entries != nil {
		config.EKS = entries
	}
	live, err := controllers.ReadLive(ctx, config)
	in.data = live
	return in, err
}
