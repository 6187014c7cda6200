package demo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks"
	"k8s.io/apimachinery/pkg/util/wait"
)

// fillAccessEntries has the rules say who gets in by access entries, too, and
// then by aws-auth alone again.
func fillAccessEntries(ctx context.Context, w *world) error {
	begun := time.Now()
	if err := w.refresher.restart("--target", "both", "--cluster-name", eksCluster); err != nil {
		return err
	}
	w.note("the controller runs with --target both --cluster-name %s", eksCluster)
	if err := w.awaitAccessEntries(ctx, w.made); err != nil {
		return err
	}
	w.note("%s later EKS has an access entry for each of our %d entries in aws-auth:", brief(time.Since(begun)), len(w.made))
	for _, arn := range w.made {
		if err := w.quoteAccessEntry(ctx, arn); err != nil {
			return err
		}
	}
	if err := w.stillIn(ctx, w.made...); err != nil {
		return err
	}
	if err := w.refresher.restart("--target", "configmap", "--cluster-name", eksCluster); err != nil {
		return err
	}
	w.note("back to --target configmap: everybody is in aws-auth still, and the access\nentries go once they have been there for a minute without a change")
	return w.stillIn(ctx, w.made...)
}

func (w *world) accessEntries(ctx context.Context) ([]string, error) {
	name := eksCluster
	listed, err := w.eks.ListAccessEntries(ctx, &eks.ListAccessEntriesInput{ClusterName: &name})
	if err != nil {
		return nil, err
	}
	return listed.AccessEntries, nil
}

// awaitAccessEntries waits until there are those of the principals and no others.
func (w *world) awaitAccessEntries(ctx context.Context, arns []string) error {
	wanted := slices.Sorted(slices.Values(arns))
	var found []string
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, w.patience, true, func(ctx context.Context) (bool, error) {
		var err error
		found, err = w.accessEntries(ctx)
		slices.Sort(found)
		return slices.Equal(found, wanted), err
	})
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("EKS has the access entries %q and not %q after %s", found, wanted, w.patience)
	}
	return fmt.Errorf("listing access entries: %w", err)
}

// quoteAccessEntry shows one in a few lines.
func (w *world) quoteAccessEntry(ctx context.Context, arn string) error {
	name := eksCluster
	described, err := w.eks.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: &name, PrincipalArn: &arn})
	if err != nil {
		return err
	}
	policies, err := w.eks.ListAssociatedAccessPolicies(ctx, &eks.ListAssociatedAccessPoliciesInput{ClusterName: &name, PrincipalArn: &arn})
	if err != nil {
		return err
	}
	e := described.AccessEntry
	means := []string{*e.Username}
	if len(e.KubernetesGroups) > 0 {
		means = append(means, "groups "+strings.Join(e.KubernetesGroups, ", "))
	}
	for _, p := range policies.AssociatedAccessPolicies {
		means = append(means, "policy "+path.Base(*p.PolicyArn))
	}
	w.quote(arn + ": " + strings.Join(means, ", "))
	return nil
}
