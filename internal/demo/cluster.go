package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

const (
	namespace = "kube-system"
	// serviceAccount is who the controller is in a cluster: the ServiceAccount
	// of deploy/common.yaml, as the API server names it.
	serviceAccount = "system:serviceaccount:kube-system:aws-auth-refresher"
)

// serviceAccountGroups are the groups of every ServiceAccount in kube-system
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/).
func serviceAccountGroups() []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
}

// cluster is the Kubernetes that the demo works in.
type cluster struct {
	admin      *rest.Config
	controller *rest.Config // with the rights of the ServiceAccount and no others
	kubeconfig string       // absolute path of a file for kubectl
	given      bool
	// authenticator is what the API server asks about tokens; nil if given.
	authenticator *authenticator
	stop          func() error // nil: it is not ours to stop
}

// startCluster starts a control plane of the demo's own and writes its kubeconfig.
// Its API server asks the authenticator, which is to be started afterwards.
func startCluster(ctx context.Context, dir string, a *authenticator) (*cluster, error) {
	plane, err := controlplane.Start(ctx, controlplane.Config{APIServerArgs: a.apiServerArgs()})
	if err != nil {
		return nil, err
	}
	c := &cluster{admin: plane.RESTConfig(), kubeconfig: filepath.Join(dir, "kubeconfig"), authenticator: a, stop: plane.Stop}
	if c.controller, err = plane.User(serviceAccount, serviceAccountGroups()...); err != nil {
		return nil, errors.Join(err, plane.Stop())
	}
	text, err := controlplane.Kubeconfig(c.admin)
	if err == nil {
		err = writePrivate(c.kubeconfig, text)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the kubeconfig: %w", err), plane.Stop())
	}
	return c, nil
}

// openCluster uses the cluster of the file's current context. The controller is
// impersonated there.
func openCluster(file string) (*cluster, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	admin, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	if strings.Contains(admin.Host, ".eks.amazonaws.com") {
		return nil, fmt.Errorf("--kubeconfig %s: %s is an EKS cluster, and the demo would let users of an invented "+
			"AWS account in; use kind or minikube, or leave out --kubeconfig", file, admin.Host)
	}
	admin.QPS = -1
	c := &cluster{admin: admin, controller: rest.CopyConfig(admin), kubeconfig: path, given: true}
	c.controller.Impersonate = rest.ImpersonationConfig{UserName: serviceAccount, Groups: serviceAccountGroups()}
	return c, nil
}

// awaitRights waits until the API server has taken notice of the controller's
// rights, which takes it a moment.
func (c *cluster) awaitRights(ctx context.Context) error {
	core, err := corev1client.NewForConfig(c.controller)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 15*time.Second, true, func(ctx context.Context) (bool, error) {
		_, last = core.ConfigMaps(namespace).Get(ctx, awsAuthName, metav1.GetOptions{})
		if apierrors.IsForbidden(last) {
			return false, nil
		}
		return true, last
	})
	if err != nil && last != nil {
		err = last
	}
	if err != nil {
		return fmt.Errorf("reading %s as %s: %w", awsAuthName, serviceAccount, err)
	}
	return nil
}
