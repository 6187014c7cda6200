package app

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

// beginning is how long an API server that is starting may refuse what it will
// allow.
const beginning = 5 * time.Second

// canBeElected refuses a namespace that is not there, or in which the Lease may
// not be used: waiting for it would never end. An API server that is starting
// allows nothing for a moment, so that is refused only if it lasts for as long
// as beginning. All other trouble is for later, and no error.
func canBeElected(ctx context.Context, cluster *rest.Config, namespace string) error {
	client, err := coordinationclient.NewForConfig(cluster)
	if err != nil {
		return fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	leases := client.Leases(namespace)
	began := time.Now()
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		err = tryLease(ctx, leases)
		return !apierrors.IsForbidden(err) || time.Since(began) >= beginning, nil
	})
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("--namespace is %q, where the Lease %s may not be used; name the namespace that the rights are in, kube-system unless you moved them: %w",
			namespace, leaseName, err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("--namespace is %q, and there is no such namespace; name that of aws-auth, which is kube-system on EKS", namespace)
	}
	return nil
}

// tryLease asks for the Lease, and where there is none, whether it could be
// made.
func tryLease(ctx context.Context, leases coordinationclient.LeaseInterface) error {
	_, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}}
	_, err = leases.Create(ctx, lease, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
