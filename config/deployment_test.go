package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func readDeployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	found := only[*appsv1.Deployment](readObjects(t, deployment))
	if len(found) != 1 || len(found[0].Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%d Deployments, want one with one container", len(found))
	}
	return found[0]
}

func TestDeploymentRollsOverWithoutAGap(t *testing.T) {
	spec := readDeployment(t).Spec
	if spec.Replicas == nil || *spec.Replicas != 1 {
		t.Errorf("replicas %v, want 1", spec.Replicas)
	}
	want := appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge:       new(intstr.FromInt32(1)),
			MaxUnavailable: new(intstr.FromInt32(0)),
		},
	}
	if diff := cmp.Diff(want, spec.Strategy); diff != "" {
		t.Errorf("strategy (-want +got):\n%s", diff)
	}
	selector := map[string]string{"app": name}
	if diff := cmp.Diff(selector, spec.Selector.MatchLabels); diff != "" {
		t.Errorf("a selector cannot be changed by a later apply (-want +got):\n%s", diff)
	}
	if app := spec.Template.Labels["app"]; app != name {
		t.Errorf("pod label app is %q, want %q", app, name)
	}
}

func TestPodCanDoNoHarm(t *testing.T) {
	pod := readDeployment(t).Spec.Template.Spec
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot:   new(true),
		RunAsUser:      new(int64(65532)),
		RunAsGroup:     new(int64(65532)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if diff := cmp.Diff(wantPod, pod.SecurityContext); diff != "" {
		t.Errorf("pod security context (-want +got):\n%s", diff)
	}
	wantContainer := &corev1.SecurityContext{
		RunAsNonRoot:             new(true),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if diff := cmp.Diff(wantContainer, pod.Containers[0].SecurityContext); diff != "" {
		t.Errorf("container security context (-want +got):\n%s", diff)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || len(pod.Volumes) != 0 {
		t.Error("the pod shares something with its node")
	}
}

func TestPodRunsTheController(t *testing.T) {
	pod := readDeployment(t).Spec.Template.Spec
	container := pod.Containers[0]
	if pod.ServiceAccountName != name || pod.AutomountServiceAccountToken == nil || !*pod.AutomountServiceAccountToken {
		t.Errorf("the pod must run as ServiceAccount %s, with its token", name)
	}
	if pod.PriorityClassName != "system-cluster-critical" {
		t.Errorf("priority class %q: people get into the cluster through this pod", pod.PriorityClassName)
	}
	if diff := cmp.Diff([]string{"controller"}, container.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
	image, tag, _ := strings.Cut(container.Image, ":")
	if image != "ghcr.io/aws-auth-refresher/aws-auth-refresher" || tag == "" || tag == "latest" {
		t.Errorf("image %q is not ours at a fixed version", container.Image)
	}
	const grace = 30 // seconds that controller-runtime takes by default to end what is under way
	if s := pod.TerminationGracePeriodSeconds; s == nil || *s <= grace {
		t.Errorf("the pod is killed before it has given the Lease back, which may take %d s", grace)
	}
	for variable, reason := range map[string]string{
		"GOMEMLIMIT": "collect garbage before the memory limit is reached",
	} {
		if !hasEnv(container, variable) {
			t.Errorf("no %s: %s", variable, reason)
		}
	}
}

func hasEnv(c corev1.Container, variable string) bool {
	for _, e := range c.Env {
		if e.Name == variable && (e.Value != "" || e.ValueFrom != nil) {
			return true
		}
	}
	return false
}

func TestPodIsProbedAndLimited(t *testing.T) {
	container := readDeployment(t).Spec.Template.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if diff := cmp.Diff(map[string]int32{"metrics": 8080, "health": 8081}, ports); diff != "" {
		t.Errorf("the controller's default addresses (-want +got):\n%s", diff)
	}
	for path, probe := range map[string]*corev1.Probe{
		"/healthz": container.LivenessProbe,
		"/readyz":  container.ReadinessProbe,
	} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != "health" {
			t.Errorf("%s is not probed on the health port: %+v", path, probe)
		}
	}
	got := map[string]string{}
	for resource, quantity := range container.Resources.Requests {
		got["request "+string(resource)] = quantity.String()
	}
	for resource, quantity := range container.Resources.Limits {
		got["limit "+string(resource)] = quantity.String()
	}
	want := map[string]string{"request cpu": "10m", "request memory": "64Mi", "limit memory": "256Mi"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources; a CPU limit would only delay a refresh (-want +got):\n%s", diff)
	}
}
