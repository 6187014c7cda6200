package config_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

// TestAPIServerTakesWhatIsInstalled applies everything to a real API server, by
// server-side apply without leaving anything: what kubectl apply -f deploy/ reads,
// and the chart with little and with everything set.
func TestAPIServerTakesWhatIsInstalled(t *testing.T) {
	h := newHelm(t)
	plane, err := controlplane.Start(t.Context(), controlplane.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	}()
	options := envtest.CRDInstallOptions{Paths: []string{"testdata/monitoring-crds.yaml", "testdata/cert-manager-crds.yaml"}, ErrorIfPathMissing: true}
	if _, err := envtest.InstallCRDs(plane.RESTConfig(), options); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(plane.RESTConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	webhookKinds := []string{"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret", "Service", "ValidatingWebhookConfiguration"}
	certManagerKinds := []string{"Service", "ValidatingWebhookConfiguration", "Certificate", "Issuer"}
	for _, installed := range []struct {
		way     string
		objects []*unstructured.Unstructured
		kinds   []string // besides those of the folder
	}{
		{way: "deploy/", objects: append(parse(t, readFile(t, common)), parse(t, readFile(t, deployment))...)},
		{way: "deploy/webhook/", objects: parse(t, readFile(t, webhook)), kinds: webhookKinds},
		{way: "deploy/webhook/cert-manager/", objects: parse(t, readFile(t, webhookCertManager)), kinds: certManagerKinds},
		{way: "chart", objects: h.render(t)},
		{
			way: "chart with cert-manager", objects: h.render(t, "--set", "webhook.enabled=true,webhook.certManager.enabled=true"),
			kinds: certManagerKinds,
		},
		{
			way: "chart with an issuer for cert-manager", objects: h.render(t, "--values", certManagerValues),
			kinds: []string{"Service", "ValidatingWebhookConfiguration", "Certificate"},
		},
		{
			way: "chart with everything", objects: h.render(t, "--values", fullValues),
			kinds: append([]string{"PodDisruptionBudget", "ConfigMap", "ConfigMap", "PodMonitor", "PrometheusRule"}, webhookKinds...),
		},
	} {
		t.Run(installed.way, func(t *testing.T) {
			var kinds []string
			for _, o := range installed.objects {
				kinds = append(kinds, o.GetKind())
				err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o.DeepCopy()),
					client.DryRunAll, client.FieldOwner("test"), client.ForceOwnership)
				if err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
			want := append([]string{"ServiceAccount", "Role", "Role", "Role", "RoleBinding", "RoleBinding", "RoleBinding", "Deployment"}, installed.kinds...)
			slices.Sort(want)
			slices.Sort(kinds)
			if !slices.Equal(want, kinds) {
				t.Errorf("applied %q, want %q", kinds, want)
			}
		})
	}
	t.Run("a misspelled field", func(t *testing.T) {
		for _, o := range append(h.render(t, "--values", fullValues), h.render(t, "--values", certManagerValues)...) {
			if err := unstructured.SetNestedField(o.Object, "x", misspelled(o.GetKind())...); err != nil {
				t.Fatal(err)
			}
			err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o),
				client.DryRunAll, client.FieldOwner("test"), client.ForceOwnership)
			if err == nil {
				t.Errorf("the API server of this test takes everything in a %s", o.GetKind())
			}
		}
	})
}

func misspelled(kind string) []string {
	switch kind {
	case "Deployment", "Service", "PodDisruptionBudget", "PodMonitor", "PrometheusRule", "Certificate":
		return []string{"spec", "replica"}
	default:
		return []string{"daat"}
	}
}
