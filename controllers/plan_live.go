package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

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

// Unlisted is what could not be listed.
type Unlisted struct {
	// AccountID is empty for our own account where AWS did not say which one
	// that is.
	AccountID string
	Kinds     []rules.Kind
	Err       error
}

// TakeListing adds what was listed, and notes what could not be. That nothing
// at all could be listed is an error.
func (d *PlanData) TakeListing(l principals.Listing) error {
	listed := false
	for _, one := range append([]principals.Listing{l}, l.Others...) {
		lacking := Unlisted{AccountID: one.AccountID}
		for kind, scope := range scopes(one) {
			switch {
			case !scope.Asked:
			case scope.Complete:
				listed = true
				d.Principals = append(d.Principals, only(kind, one.Principals)...)
			default:
				lacking.Kinds = append(lacking.Kinds, kind)
				if lacking.Err == nil {
					lacking.Err = scope.Err
				}
			}
		}
		if len(lacking.Kinds) > 0 {
			d.Unlisted = append(d.Unlisted, lacking)
		}
		if one.AccountID != "" {
			d.Accounts = append(d.Accounts, one.AccountID)
		}
	}
	if len(d.Unlisted) > 0 && !listed {
		first := d.Unlisted[0]
		whose := "our own account"
		if first.AccountID != "" {
			whose = "account " + first.AccountID
		}
		return fmt.Errorf("listing IAM %ss of %s: %w", first.Kinds[0], whose, first.Err)
	}
	for kind, scope := range scopes(l) {
		if scope.Asked {
			d.Listed = append(d.Listed, kind)
		}
	}
	return nil
}

// unlisted is why a kind of an account could not be listed; nil if it could.
func (d *PlanData) unlisted(kind rules.Kind, account string) error {
	for _, u := range d.Unlisted {
		ownUnknown := u.AccountID == "" && !slices.Contains(d.Accounts, account)
		if slices.Contains(u.Kinds, kind) && (u.AccountID == account || ownUnknown) {
			return u.Err
		}
	}
	return nil
}

// looked tells whether a principal of that kind and account that is missing
// from the listings does not exist.
func (d *PlanData) looked(kind rules.Kind, account string) bool {
	return slices.Contains(d.Listed, kind) && (len(d.Accounts) == 0 || slices.Contains(d.Accounts, account)) && d.unlisted(kind, account) == nil
}
