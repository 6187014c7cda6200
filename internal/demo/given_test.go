package demo_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

// TestGivenCluster: what the demo does in a cluster that it did not start. The
// steps build on each other.
func TestGivenCluster(t *testing.T) {
	plane, err := controlplane.Start(t.Context(), controlplane.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	text, err := controlplane.Kubeconfig(plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	configMaps := coreOf(t, kubeconfig).ConfigMaps("kube-system")

	const precious = "- userarn: arn:aws:iam::111122223333:user/boss\n"
	awsAuth := put(t, configMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: map[string]string{"mapUsers": precious}})
	refused(t, kubeconfig, "kube-system/aws-auth has content that the demo did not put there")
	if diff := cmp.Diff(awsAuth, get(t, configMaps, "aws-auth")); diff != "" {
		t.Errorf("somebody's aws-auth is left alone (-want +got):\n%s", diff)
	}

	awsAuth.Data = nil
	put(t, configMaps, awsAuth)
	put(t, configMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth-refresher"}})
	refused(t, kubeconfig, "ConfigMap kube-system/aws-auth-refresher is there already, and the demo did not make it")
	if err := configMaps.Delete(t.Context(), "aws-auth-refresher", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	killed := start(t, "--no-scenario", "--kubeconfig", kubeconfig)
	killed.says("It is up")
	killed.signal(syscall.SIGKILL)
	killed.exit()
	if get(t, configMaps, "aws-auth").Data["mapRoles"] == "" {
		t.Error("an aws-auth that is empty is used")
	}

	refused(t, kubeconfig, "another demo is running in this cluster: end it first (if it was killed, try again in 15s)")
	expireLease(t, plane.RESTConfig())
	again := start(t, "--no-scenario", "--kubeconfig", kubeconfig)
	again.says("It is up")
	if !strings.Contains(again.output(), "what an earlier demo had left in the cluster was removed") {
		t.Error("it does not say that there were leftovers")
	}
	if !strings.Contains(again.output(), "none: this API server does not ask the demo's, so the steps with tokens are left out") {
		t.Error("it does not say that there are no tokens here")
	}
	again.signal(os.Interrupt)
	if code := again.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	left, err := configMaps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, cm := range left.Items {
		if strings.HasPrefix(cm.Name, "aws-auth") && (cm.Name != "aws-auth" || len(cm.Data)+len(cm.Labels) > 0) {
			t.Errorf("left behind: %s %v %v", cm.Name, cm.Labels, cm.Data)
		}
	}
	accounts, err := coreOf(t, kubeconfig).ServiceAccounts("kube-system").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(accounts.Items) > 0 {
		t.Errorf("left behind: %v %v", accounts.Items, err)
	}
}

// expireLease makes the controller's Lease one that its holder has not renewed
// for a long time.
func expireLease(t *testing.T, cfg *rest.Config) {
	t.Helper()
	client, err := coordinationv1client.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	leases := client.Leases("kube-system")
	lease, err := leases.Get(t.Context(), "aws-auth-refresher", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lease.Spec.RenewTime.Time = lease.Spec.RenewTime.Add(-time.Hour)
	if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, kubeconfig, sentence string) {
	t.Helper()
	p := start(t, "--once", "--kubeconfig", kubeconfig)
	if code := p.exit(); code != 1 || !strings.Contains(p.output(), sentence) {
		t.Errorf("exit code %d, want 1 and the sentence %q", code, sentence)
	}
}

func get(t *testing.T, configMaps corev1client.ConfigMapInterface, name string) *corev1.ConfigMap {
	t.Helper()
	cm, err := configMaps.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

func put(t *testing.T, configMaps corev1client.ConfigMapInterface, cm *corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	var err error
	if cm.UID == "" {
		cm, err = configMaps.Create(t.Context(), cm, metav1.CreateOptions{})
	} else {
		cm, err = configMaps.Update(t.Context(), cm, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return cm
}
