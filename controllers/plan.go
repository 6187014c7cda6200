package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// PlanData is what a plan is made from: manifests and listings, from files or
// live.
type PlanData struct {
	// Rules is required; AWSAuth and State may be nil.
	Rules, AWSAuth, State *corev1.ConfigMap
	// Principals are those of the kinds in Listed, all of them.
	Principals []rules.Principal
	Listed     []rules.Kind
	// Accounts are whose principals were listed; none if only they tell.
	Accounts []string
	Options  rules.Options
	Removal  removal.Settings
	Adopt    bool
	Now      time.Time
	// Entries is about access entries; the zero value: there is nothing to do
	// with them. Standing are those of one identity, for Explain.
	Entries  EntrySituation
	Standing []accessentry.Existing
}

// ruleOptions say how the rules are read.
func (d *PlanData) ruleOptions() rules.Options {
	options := d.Options
	options.AccessEntries = d.Entries.Selected
	return options
}

// NewPlan computes what the controller would come to with this data, by the
// very code that it runs. Principals that are missing from the listings count
// as confirmed to be gone, which takes the controller a second look, and what
// stands in a new target as old enough to count. Rules that are refused are a
// *rules.Problems.
func NewPlan(d PlanData) (Outcome, error) {
	if len(d.Rules.BinaryData) > 0 {
		return Outcome{}, errRulesBinary
	}
	set, err := rules.Parse(d.Rules.Data, d.ruleOptions())
	if err != nil {
		return Outcome{}, err
	}
	s := Situation{
		Now: d.Now, Rules: set, Principals: d.Principals, Ledger: &removal.Ledger{}, Removal: d.Removal, Adopt: d.Adopt,
		Approved: d.Rules.Annotations[ApproveAnnotation] == rules.DataDigest(d.Rules.Data), Entries: d.Entries,
	}
	s.Entries.View.Changed, s.Entries.InDocumentSince = time.Time{}, d.Now.Add(-accessentry.SettleTime)
	if d.State != nil {
		if s.Record, err = rules.DecodeRecord(d.State.BinaryData[recordKey]); err != nil {
			return Outcome{}, fmt.Errorf("state ConfigMap %s, binaryData %s: %w", d.State.Name, recordKey, err)
		}
	}
	s.Accounts = d.accounts()
	var reader awsauth.Reader
	s.Missing = d.AWSAuth == nil
	if s.Missing {
		s.Document = reader.Read(nil, 0)
	} else {
		s.Document = reader.Read(d.AWSAuth.Data, binaryBytes(d.AWSAuth))
	}
	Compute(s) // the ledger takes evidence only about those whom it was asked about
	confirmGone(s.Ledger, d, recordedARNs(s))
	out := Compute(s)
	out.Paused = isPaused(d.Rules)
	return out, nil
}

// accounts are those that were listed, by their numbers or their principals.
func (d PlanData) accounts() []string {
	accounts := slices.Clone(d.Accounts)
	for _, p := range d.Principals {
		accounts = append(accounts, p.AccountID)
	}
	slices.Sort(accounts)
	return slices.Compact(accounts)
}

// confirmGone gives the ledger the evidence that the controller would gather
// in time.
func confirmGone(ledger *removal.Ledger, d PlanData, recorded map[string]rules.Kind) {
	there := map[string]bool{}
	for _, p := range d.Principals {
		there[arn.Fold(p.ARN)] = true
	}
	for _, account := range d.accounts() {
		for _, ago := range []time.Duration{2 * time.Minute, time.Minute} {
			for _, kind := range d.Listed {
				ledger.Observe(removal.Observation{
					AccountID: account, Kind: kind, PathPrefix: "/", Complete: true, Begun: d.Now.Add(-ago),
					Has: func(foldedARN string) bool { return there[foldedARN] },
				})
			}
		}
	}
	for principal, kind := range recorded {
		if !there[arn.Fold(principal)] && slices.Contains(d.Listed, kind) {
			ledger.Confirm(principal, d.Now.Add(-time.Second), false)
		}
	}
}

// recordedARNs are the principals of all entries on record.
func recordedARNs(s Situation) map[string]rules.Kind {
	recorded := map[string]rules.Kind{}
	for _, o := range s.Record.Entries {
		recorded[o.ARN] = o.Kind
	}
	for _, o := range s.Entries.Record.Entries {
		recorded[o.ARN] = o.Kind
	}
	return recorded
}

// LiveConfig says where ReadLive reads.
type LiveConfig struct {
	Cluster   *rest.Config
	Namespace string
	Names     Names
	Lister    Lister
	// Rules replace those in the cluster; nil reads those.
	Rules   *corev1.ConfigMap
	Options rules.Options
	// Target and EKSCluster, the cluster's name in EKS, are what the controller
	// has; EKS reads the access entries, nil without the name.
	Target     Target
	EKSCluster string
	EKS        EntryReader
	// Identity is whose access entries are read for Explain; empty: nobody's.
	Identity string
}

// EntryReader reads access entries. The methods are those of
// *accessentry.Cluster.
type EntryReader interface {
	Mode(ctx context.Context) (accessentry.Mode, error)
	Look(ctx context.Context, record accessentry.Record, ids map[string]string) accessentry.View
	Find(ctx context.Context, match func(principalARN string) bool) ([]accessentry.Existing, error)
}

// ReadLive reads the data for a plan from the cluster and from IAM.
func ReadLive(ctx context.Context, c LiveConfig) (PlanData, error) {
	core, err := corev1client.NewForConfig(c.Cluster)
	if err != nil {
		return PlanData{}, fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	s := store{configMaps: core.ConfigMaps(c.Namespace), names: c.Names}
	d := PlanData{Rules: c.Rules}
	for name, to := range map[string]**corev1.ConfigMap{c.Names.Rules: &d.Rules, c.Names.AWSAuth: &d.AWSAuth, c.Names.State: &d.State} {
		if *to != nil {
			continue
		}
		if *to, err = s.get(ctx, name); err != nil {
			return PlanData{}, err
		}
	}
	if d.Rules == nil {
		return PlanData{}, fmt.Errorf("%w %s/%s; give rules with --rules", errRulesMissing, c.Namespace, c.Names.Rules)
	}
	if d.AWSAuth == nil {
		d.AWSAuth = &corev1.ConfigMap{}
		d.AWSAuth.Namespace, d.AWSAuth.Name = c.Namespace, c.Names.AWSAuth
	}
	targets, err := c.chooseTargets(ctx, &d)
	if err != nil {
		return PlanData{}, err
	}
	options := c.Options
	options.AccessEntries = targets.selected
	set, err := rules.Parse(d.Rules.Data, options)
	if err != nil {
		return d, nil //nolint:nilerr // NewPlan says so, with the place
	}
	listing := c.Lister.List(ctx, set.Needs())
	if err := d.TakeListing(listing); err != nil {
		return d, err
	}
	err = c.look(ctx, &d)
	return d, err
}

// TakeListing adds what was listed. A listing that is not complete is an error.
func (d *PlanData) TakeListing(l principals.Listing) error {
	for _, one := range append([]principals.Listing{l}, l.Others...) {
		if kind, err := failure(one); err != nil {
			return fmt.Errorf("listing IAM %ss of account %s: %w", kind, cmp.Or(one.AccountID, "unknown"), err)
		}
		d.Principals = append(d.Principals, one.Principals...)
		if one.AccountID != "" {
			d.Accounts = append(d.Accounts, one.AccountID)
		}
	}
	for kind, scope := range scopes(l) {
		if scope.Asked {
			d.Listed = append(d.Listed, kind)
		}
	}
	return nil
}
