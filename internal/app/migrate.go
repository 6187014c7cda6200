package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// migrateOptions configure the command migrate.
type migrateOptions struct {
	Target
	Accounts
	listings
	clusterName    string
	awsAuth, state string
	output         string
	apply          bool
}

// Migrate is the command that turns an aws-auth into access entries.
func Migrate() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Print, or make, the access entries that today's aws-auth amounts to",
		Long: `Print, or make, the access entries that today's aws-auth amounts to.

Entries are read as EKS reads them; those that let nobody in, those of nodes and
those that no access entry can say are left out, each with the reason. So are the
refresher's own: with --target access-entries it makes them itself. The access
entries belong to you, and aws-auth is not changed.

Without files the cluster, IAM and EKS are read. With --aws-auth and the listings
nothing but files is, unless --apply is given.`,
		Example: `  # What would it be?
  aws-auth-refresher migrate --cluster-name prod

  # Make them.
  aws-auth-refresher migrate --cluster-name prod --apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	o.Target.BindFlags(flags)
	o.Accounts.BindFlags(flags)
	flags.StringVar(&o.clusterName, "cluster-name", "", "name of the cluster in EKS; required")
	flags.StringVar(&o.awsAuth, "aws-auth", "", "aws-auth ConfigMap manifest; - is standard input; default: the cluster's")
	flags.StringVar(&o.state, "state", "", "state ConfigMap manifest, which says what is the refresher's; default: the cluster's, and nothing with --aws-auth")
	o.listings.BindFlags(flags)
	flags.StringVarP(&o.output, "output", "o", "commands", "what to print: commands for a shell, or json")
	flags.BoolVar(&o.apply, "apply", false, "make the access entries; those that are there stay as they are")
	return cmd
}

func (o *migrateOptions) run(cmd *cobra.Command) error {
	switch {
	case o.clusterName == "":
		return errors.New("--cluster-name is missing: the cluster's name in EKS")
	case o.output != "commands" && o.output != "json":
		return fmt.Errorf("-o is %q; use commands or json", o.output)
	}
	d, err := o.read(cmd)
	if err != nil {
		return err
	}
	var cluster *accessentry.Cluster
	var there accessentry.View
	if o.awsAuth == "" || o.apply {
		account, err := AWSConfig(cmd.Context(), logr.Discard())
		if err != nil {
			return err
		}
		cluster = accessentry.New(accessentry.Config{EKS: eks.NewFromConfig(account), Name: o.clusterName, Now: time.Now})
		if there = cluster.Look(cmd.Context(), accessentry.Record{}, nil); there.Err != nil && (o.apply || there.Mode.ReadsEntries() || there.Mode == "") {
			return there.Err
		}
	}
	m, err := controllers.Migrate(d)
	if err != nil {
		return err
	}
	m = withoutExisting(m, there)
	o.notes(cmd.ErrOrStderr(), m, there)
	if o.apply {
		return makeAll(cmd.Context(), cmd.OutOrStdout(), cluster, m.Entries)
	}
	if o.output == "json" {
		return printJSON(cmd.OutOrStdout(), m.Entries)
	}
	return o.printCommands(cmd.OutOrStdout(), m.Entries)
}

// read reads aws-auth, the record and the listings.
func (o *migrateOptions) read(cmd *cobra.Command) (controllers.PlanData, error) {
	d := controllers.PlanData{Now: time.Now()}
	if err := onceStdin(append(o.files(), o.awsAuth, o.state)...); err != nil {
		return d, err
	}
	files := &inputs{stdin: cmd.InOrStdin()}
	var err error
	if o.awsAuth != "" {
		d.AWSAuth, err = files.configMap("--aws-auth", o.awsAuth)
	} else {
		d.AWSAuth, d.State, err = o.readCluster(cmd.Context())
	}
	if err == nil && o.state != "" {
		d.State, err = files.configMap("--state", o.state)
	}
	if err != nil {
		return d, err
	}
	if err := o.listings.read(files, &d); err != nil {
		return d, err
	}
	live := o.awsAuth == "" || o.apply
	needs := rules.Needs{
		Users: live && len(o.userFiles) == 0, UserPathPrefix: "/",
		Roles: live && len(o.roleFiles) == 0, RolePathPrefix: "/",
	}
	if !needs.Users && !needs.Roles {
		return d, nil
	}
	err = list(cmd.Context(), o.Accounts, needs, &d)
	return d, err
}

func list(ctx context.Context, accounts Accounts, needs rules.Needs, d *controllers.PlanData) error {
	account, err := AWSConfig(ctx, logr.Discard())
	if err != nil {
		return err
	}
	lister, err := NewLister(account, accounts)
	if err != nil {
		return err
	}
	if err := d.TakeListing(lister.List(ctx, needs)); err != nil {
		return err
	}
	// Here nothing would be left as it is: who is not listed would get no entry.
	for _, u := range d.Unlisted {
		if !errors.Is(u.Err, errNoFile) {
			return fmt.Errorf("listing the %s: %w", unlistedName(u), u.Err)
		}
	}
	return nil
}

// readCluster reads the two ConfigMaps; the state may be missing.
func (o *migrateOptions) readCluster(ctx context.Context) (awsAuth, state *corev1.ConfigMap, err error) {
	core, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	configMaps := core.ConfigMaps(o.Namespace)
	if awsAuth, err = configMaps.Get(ctx, o.AWSAuth, metav1.GetOptions{}); err != nil {
		return nil, nil, fmt.Errorf("reading ConfigMap %s/%s: %w", o.Namespace, o.AWSAuth, err)
	}
	state, err = configMaps.Get(ctx, o.Names().State, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return awsAuth, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading ConfigMap %s/%s: %w", o.Namespace, o.Names().State, err)
	}
	return awsAuth, state, nil
}

// withoutExisting leaves out what has an access entry already.
func withoutExisting(m controllers.Migration, there accessentry.View) controllers.Migration {
	var left []controllers.MigratedEntry
	for _, e := range m.Entries {
		if there.Listed[arn.Fold(e.ARN)] {
			m.Skipped = append(m.Skipped, controllers.SkippedEntry{What: e.ARN, Reason: "it has an access entry already, which overrides aws-auth"})
			continue
		}
		left = append(left, e)
	}
	m.Entries = left
	return m
}

func (o *migrateOptions) notes(w io.Writer, m controllers.Migration, there accessentry.View) {
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(w, "note: "+format+"\n", args...) }
	if there.Err != nil {
		note("%s", there.Err)
	}
	for _, s := range m.Skipped {
		note("%s is left out: %s", s.What, s.Reason)
	}
	for _, e := range m.Entries {
		if e.Note != "" {
			note("%s: %s", e.ARN, e.Note)
		}
	}
	if n := len(m.Entries) + len(there.Listed); n > accessentry.Limit {
		note("a cluster has at most %d access entries; these would make %d", accessentry.Limit, n)
	}
}

func (o *migrateOptions) printCommands(w io.Writer, entries []controllers.MigratedEntry) error {
	var b strings.Builder
	cluster := quoteWord(o.clusterName)
	for _, e := range entries {
		fmt.Fprintf(&b, "aws eks create-access-entry --cluster-name %s --type STANDARD \\\n  --principal-arn %s --username %s", cluster, quoteWord(e.ARN), quoteWord(e.Username))
		if len(e.Groups) > 0 {
			b.WriteString(" \\\n  --kubernetes-groups")
			for _, g := range e.Groups {
				b.WriteString(" " + quoteWord(g))
			}
		}
		b.WriteString("\n")
		if e.Admin {
			fmt.Fprintf(&b, "aws eks associate-access-policy --cluster-name %s --access-scope type=cluster \\\n  --principal-arn %s --policy-arn %s\n",
				cluster, quoteWord(e.ARN), e.PolicyARN())
		}
	}
	if len(entries) == 0 {
		b.WriteString("# There is nothing to migrate.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quoteWord writes one word for a shell.
func quoteWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-+=:,./@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func printJSON(w io.Writer, entries []controllers.MigratedEntry) error {
	type entryJSON struct {
		PrincipalARN     string   `json:"principalArn"`
		Type             string   `json:"type"`
		Username         string   `json:"username"`
		KubernetesGroups []string `json:"kubernetesGroups"`
		PolicyARNs       []string `json:"policyArns,omitempty"`
	}
	list := make([]entryJSON, 0, len(entries))
	for _, e := range entries {
		j := entryJSON{e.ARN, "STANDARD", e.Username, append([]string{}, e.Groups...), nil}
		if e.Admin {
			j.PolicyARNs = []string{e.PolicyARN()}
		}
		list = append(list, j)
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", text)
	}
	return err
}

// makeAll goes on after a refusal, which concerns one entry, and tells at the
// end.
func makeAll(ctx context.Context, w io.Writer, cluster *accessentry.Cluster, entries []controllers.MigratedEntry) error {
	bad := 0
	for _, e := range entries {
		made, err := cluster.Make(ctx, e.Entry)
		says := "made"
		switch {
		case err != nil:
			says, bad = err.Error(), bad+1
		case !made:
			says = "is there already"
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", e.ARN, says); err != nil {
			return err
		}
	}
	if bad > 0 {
		return &ExitError{Code: 1, Message: fmt.Sprintf("%d of %d access entries are not made as they should be", bad, len(entries))}
	}
	return nil
}
