package config_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	webhook            = "../deploy/webhook/webhook.yaml"
	webhookCertManager = "../deploy/webhook/cert-manager/webhook.yaml"
)

// TestWebhookRights: besides those of deploy/ two objects, by name.
func TestWebhookRights(t *testing.T) {
	const added = name + "-webhook"
	objects := parse(t, readFile(t, webhook))
	got := map[string][]string{}
	for _, rules := range [][]rbacv1.PolicyRule{
		find[rbacv1.Role](t, objects, "Role", added).Rules, find[rbacv1.ClusterRole](t, objects, "ClusterRole", added).Rules,
	} {
		for _, rule := range rules {
			for _, object := range grantedObjects(rule) {
				got[object] = append(got[object], rule.Verbs...)
			}
		}
	}
	want := map[string][]string{
		"/secrets aws-auth-refresher-webhook":                                             {"get", "update"},
		"admissionregistration.k8s.io/validatingwebhookconfigurations aws-auth-refresher": {"get", "update"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: namespace}}
	for _, subjects := range [][]rbacv1.Subject{
		find[rbacv1.RoleBinding](t, objects, "RoleBinding", added).Subjects,
		find[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding", added).Subjects,
	} {
		if diff := cmp.Diff(subject, subjects); diff != "" {
			t.Errorf("subjects (-want +got):\n%s", diff)
		}
	}
}

// TestWebhookStandsInNobodysWay: it looks at one ConfigMap, and its end lets
// every edit through.
func TestWebhookStandsInNobodysWay(t *testing.T) {
	for _, path := range []string{webhook, webhookCertManager} {
		objects := parse(t, readFile(t, path))
		hooks := find[admissionv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration", name).Webhooks
		if len(hooks) != 1 {
			t.Fatalf("%s: %d webhooks, want one", path, len(hooks))
		}
		hook := hooks[0]
		switch {
		case *hook.FailurePolicy != admissionv1.Ignore:
			t.Errorf("%s: it fails closed", path)
		case *hook.TimeoutSeconds > 5:
			t.Errorf("%s: an edit waits %d s for a webhook that is gone", path, *hook.TimeoutSeconds)
		case *hook.SideEffects != admissionv1.SideEffectClassNone:
			t.Errorf("%s: a dry run is not checked", path)
		}
		if diff := cmp.Diff([]admissionv1.MatchCondition{{Name: "rules", Expression: "object.metadata.name == '" + name + "'"}}, hook.MatchConditions); diff != "" {
			t.Errorf("%s: which ConfigMap (-want +got):\n%s", path, diff)
		}
		if diff := cmp.Diff(map[string]string{"kubernetes.io/metadata.name": namespace}, hook.NamespaceSelector.MatchLabels); diff != "" {
			t.Errorf("%s: which namespace (-want +got):\n%s", path, diff)
		}
		service := find[corev1.Service](t, objects, "Service", hook.ClientConfig.Service.Name)
		pod := find[appsv1.Deployment](t, objects, "Deployment", name).Spec.Template.Spec
		if !slices.ContainsFunc(pod.Containers[0].Ports, func(p corev1.ContainerPort) bool {
			return p.Name == service.Spec.Ports[0].TargetPort.StrVal && p.ContainerPort == 9443
		}) ||
			!slices.Contains(pod.Containers[0].Args, "--webhook-bind-address=:9443") {
			t.Errorf("%s: the Service leads to no port that is served", path)
		}
	}
}

// TestWebhookOfCertManagerHasNoFurtherRights: there nobody but cert-manager
// touches the Secret.
func TestWebhookOfCertManagerHasNoFurtherRights(t *testing.T) {
	objects := parse(t, readFile(t, webhookCertManager))
	if slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
		return slices.Contains([]string{"Secret", "ClusterRole", "ClusterRoleBinding"}, o.GetKind()) || o.GetKind() == "Role" && o.GetName() == name+"-webhook"
	}) {
		t.Error("there is a right to a Secret, or a Secret that is not cert-manager's")
	}
	pod := find[appsv1.Deployment](t, objects, "Deployment", name).Spec.Template.Spec
	mount, source := pod.Containers[0].VolumeMounts[0], pod.Volumes[0].Secret
	certificate := objects[slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Certificate" })]
	made, _, _ := unstructured.NestedString(certificate.Object, "spec", "secretName")
	if source.SecretName != made || !*source.Optional || !slices.Contains(pod.Containers[0].Args, "--webhook-cert-dir="+mount.MountPath) {
		t.Errorf("the certificate %q does not arrive: %+v %+v", made, mount, source)
	}
}
