package config_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// TestChartFitsIntoAPlatform: what testdata/chart-values.yaml says about labels,
// disruptions, the network and files arrives.
func TestChartFitsIntoAPlatform(t *testing.T) {
	objects := newHelm(t).render(t, "--values", fullValues)
	for _, o := range objects {
		if o.GetLabels()["cost-center"] != "42" {
			t.Errorf("%s %s has not the labels that everything gets: %v", o.GetKind(), o.GetName(), o.GetLabels())
		}
	}
	d := find[appsv1.Deployment](t, objects, "Deployment", name)
	if d.Annotations["example.com/wave"] != "2" {
		t.Errorf("annotations of the Deployment: %v", d.Annotations)
	}
	pod := d.Spec.Template
	if pod.Labels["cost-center"] != "42" || pod.Labels["team"] != "platform" || pod.Labels["app"] != name {
		t.Errorf("labels of the pod: %v", pod.Labels)
	}
	if diff := cmp.Diff(map[string]string{"app": name}, d.Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("a selector cannot be changed by an upgrade (-want +got):\n%s", diff)
	}
	if !pod.Spec.HostNetwork || pod.Spec.DNSPolicy != corev1.DNSClusterFirstWithHostNet {
		t.Errorf("host network %t, DNS %s", pod.Spec.HostNetwork, pod.Spec.DNSPolicy)
	}
	if len(pod.Spec.Volumes) != 1 || pod.Spec.Volumes[0].ConfigMap.Name != "proxy-ca" ||
		len(pod.Spec.Containers[0].VolumeMounts) != 1 || pod.Spec.Containers[0].VolumeMounts[0].MountPath != "/etc/proxy" {
		t.Errorf("volumes %+v, mounts %+v", pod.Spec.Volumes, pod.Spec.Containers[0].VolumeMounts)
	}

	budget := find[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget", name).Spec
	if budget.MaxUnavailable.String() != "1" || budget.MinAvailable != nil || budget.Selector.MatchLabels["app"] != name {
		t.Errorf("disruption budget %+v", budget)
	}
}

// TestChartMountsBoth: files of one's own beside cert-manager's certificate.
func TestChartMountsBoth(t *testing.T) {
	objects := newHelm(t).render(t, "--values", fullValues, "--set", "webhook.certManager.enabled=true")
	pod := find[appsv1.Deployment](t, objects, "Deployment", name).Spec.Template.Spec
	var volumes, mounts []string
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		mounts = append(mounts, m.Name)
	}
	want := []string{"webhook", "proxy-ca"}
	if !slices.Equal(volumes, want) || !slices.Equal(mounts, want) {
		t.Errorf("volumes %q, mounts %q, want %q", volumes, mounts, want)
	}
}
