package config_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// find decodes the one object of a kind and name into a T, with its labels.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
	if i < 0 {
		t.Fatalf("no %s %s", kind, name)
	}
	found := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[i].Object, found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestChartValuesArrive: what is written in testdata/chart-values.yaml.
func TestChartValuesArrive(t *testing.T) {
	objects := newHelm(t).render(t, "--values", fullValues)

	account := find[corev1.ServiceAccount](t, objects, "ServiceAccount", name)
	wantAccount := map[string]string{
		"eks.amazonaws.com/role-arn":         "arn:aws-cn:iam::123456789012:role/path/aws-auth-refresher",
		"eks.amazonaws.com/token-expiration": "3600",
	}
	if diff := cmp.Diff(wantAccount, account.Annotations); diff != "" {
		t.Errorf("annotations of the ServiceAccount (-want +got):\n%s", diff)
	}

	container := find[appsv1.Deployment](t, objects, "Deployment", name).Spec.Template.Spec.Containers[0]
	wantArgs := []string{"controller", "--adopt=true", "--log-format=console", "--max-removals=20,50%", "--refresh-interval=30s", "--webhook-bind-address=:9443"}
	if diff := cmp.Diff(wantArgs, container.Args); diff != "" {
		t.Errorf("args: a list is repeated, null is left out (-want +got):\n%s", diff)
	}
	wantImage := "registry.example.com/aws-auth-refresher@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if container.Image != wantImage {
		t.Errorf("image %q, want %q", container.Image, wantImage)
	}
	for _, variable := range []string{"GOMEMLIMIT", "AWS_REGION", "HTTPS_PROXY"} {
		if !hasEnv(container, variable) {
			t.Errorf("no %s", variable)
		}
	}

	wantRules := map[string]string{
		"mapUsers": "- arnRegex: ^arn:aws:iam::123456789012:user/vault-dev-.*$\n  groups:\n  - developers\n  maxMatches: 200\n  username: developer\n",
		"mapRoles": "[]\n",
	}
	if diff := cmp.Diff(wantRules, find[corev1.ConfigMap](t, objects, "ConfigMap", name).Data); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// TestChartTakesAnIssuer: then the chart makes none.
func TestChartTakesAnIssuer(t *testing.T) {
	objects := newHelm(t).render(t, "--values", certManagerValues)
	if slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Issuer" }) {
		t.Error("there is an Issuer of the chart's")
	}
	certificate := *find[struct {
		Spec map[string]any `json:"spec"`
	}](t, objects, "Certificate", name+"-webhook")
	want := map[string]any{
		"secretName": name + "-webhook-tls", "dnsNames": []any{name + "-webhook.kube-system.svc"},
		"issuerRef": map[string]any{"group": "awspca.cert-manager.io", "kind": "AWSPCAClusterIssuer", "name": "internal"},
		"duration":  "2160h", "renewBefore": "360h",
	}
	if diff := cmp.Diff(want, certificate.Spec); diff != "" {
		t.Errorf("the Certificate (-want +got):\n%s", diff)
	}
}

func TestChartMonitoring(t *testing.T) {
	objects := newHelm(t).render(t, "--values", fullValues)

	type alert struct {
		Alert  string            `json:"alert"`
		Labels map[string]string `json:"labels"`
	}
	rules := find[struct {
		Spec struct {
			Groups []struct {
				Rules []alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}](t, objects, "PrometheusRule", name)
	if len(rules.Spec.Groups) != 1 || len(rules.Spec.Groups[0].Rules) < 5 {
		t.Fatalf("%+v are not the alerts", rules)
	}
	for _, r := range rules.Spec.Groups[0].Rules {
		if r.Alert == "AWSAuthPrincipalsLeftOut" || r.Labels["team"] != "platform" || r.Labels["severity"] == "" {
			t.Errorf("%+v is to be left out, or has not both its labels and those of the values", r)
		}
	}

	dashboard := find[corev1.ConfigMap](t, objects, "ConfigMap", name+"-dashboard")
	if dashboard.Labels["grafana_dashboard"] != "1" || dashboard.Annotations["grafana_folder"] != "EKS" {
		t.Errorf("Grafana's sidecar does not find %v %v", dashboard.Labels, dashboard.Annotations)
	}
	want, got := decodeJSON(t, readFile(t, chart+"/files/dashboard.json")), decodeJSON(t, dashboard.Data[name+".json"])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the dashboard is changed on its way (-want +got):\n%s", diff)
	}
}

func decodeJSON(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
