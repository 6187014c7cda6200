package app

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

const loginProxyManifests = "../../deploy/login-proxy/"

// readManifest decodes a manifest as strictly as the API server can.
func readManifest(t *testing.T, path string) []runtime.Object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var objects []runtime.Object
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", path, err, document)
		}
		objects = append(objects, object)
	}
}

func pick[T runtime.Object](objects []runtime.Object, name func(T) bool) (found T) {
	for _, o := range objects {
		if typed, ok := o.(T); ok && name(typed) {
			return typed
		}
	}
	return found
}

// TestLoginProxyManifests: what is shipped starts with what it says, once
// placeholders are filled and the Secret is there.
func TestLoginProxyManifests(t *testing.T) {
	for _, file := range []string{"login-proxy.yaml", "replicas/login-proxy.yaml"} {
		objects := readManifest(t, loginProxyManifests+file)
		deployment := pick(objects, func(d *appsv1.Deployment) bool { return d.Name == "login-proxy" })
		config := pick(objects, func(c *corev1.ConfigMap) bool { return c.Name == "login-proxy" })
		if deployment == nil || config == nil {
			t.Fatalf("%s: no Deployment or no ConfigMap", file)
		}
		container := deployment.Spec.Template.Spec.Containers[0]
		secrets := map[string]string{"cookie-secret": strings.Repeat("s", minSecret), "client-secret": "secret", "session-store": "redis://:password@login-proxy-redis:6379/0"}
		dir := t.TempDir()
		for name, value := range secrets {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var environ []string
		for name, value := range config.Data {
			environ = append(environ, name+"="+value)
		}
		for _, e := range container.Env {
			environ = append(environ, e.Name+"="+strings.Replace(e.Value, "/etc/login-proxy", dir, 1))
		}
		var o LoginProxyOptions
		flags := pflag.NewFlagSet(file, pflag.ContinueOnError)
		o.BindFlags(flags)
		unknown, err := fillFromEnv(flags, environ)
		if err != nil || len(unknown) > 0 {
			t.Errorf("%s: %v, unknown variables %q", file, err, unknown)
		}
		_, f := o.settings()
		if len(f.problems)+len(f.notes) > 0 {
			t.Errorf("%s: problems %q, notes %q", file, f.problems, f.notes)
		}
		redis := strings.HasPrefix(file, "replicas/")
		if got := *deployment.Spec.Replicas > 1; got != redis || redis == (deployment.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType) {
			t.Errorf("%s: %d replicas, strategy %s: sessions in memory are for one pod", file, *deployment.Spec.Replicas, deployment.Spec.Strategy.Type)
		}
		checkLoginProxyPod(t, file, deployment.Spec.Template.Spec)
	}
}

func checkLoginProxyPod(t *testing.T, file string, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	s := c.SecurityContext
	if !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("%s: the container may do more than it needs", file)
	}
	if *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks || pod.HostNetwork {
		t.Errorf("%s: the pod gets a token, service links or the node's network", file)
	}
	if !slices.Equal(c.Args, []string{"login-proxy"}) || len(c.Command) > 0 {
		t.Errorf("%s: it runs %q %q", file, c.Command, c.Args)
	}
	if grace := *pod.TerminationGracePeriodSeconds; grace <= c.Lifecycle.PreStop.Sleep.Seconds+20 {
		t.Errorf("%s: the pod is killed after %d s, before requests under way may end", file, grace)
	}
}

// TestLoginProxyExamples: each example can be read, and speaks of the Service
// and the namespaces that are shipped.
func TestLoginProxyExamples(t *testing.T) {
	files, err := filepath.Glob(loginProxyManifests + "examples/*.yaml")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	headlamp := readManifest(t, loginProxyManifests+"examples/headlamp.yaml")
	policy := pick(headlamp, func(*networkingv1.NetworkPolicy) bool { return true })
	if policy == nil || len(policy.Spec.Ingress) != 1 || policy.Spec.Ingress[0].From[0].PodSelector.MatchLabels["app"] != "login-proxy" {
		t.Error("others than the login proxy reach Headlamp")
	}
	for _, file := range files {
		for _, o := range readManifest(t, file) {
			ingress, ok := o.(*networkingv1.Ingress)
			if !ok {
				continue
			}
			for _, rule := range ingress.Spec.Rules {
				for _, p := range rule.HTTP.Paths {
					if name := p.Backend.Service.Name; name != ingress.Namespace {
						t.Errorf("%s leads to the Service %s/%s", file, ingress.Namespace, name)
					}
				}
			}
		}
	}
}

// TestLoginProxyDocs: the page has a row for every flag, and no other.
func TestLoginProxyDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/login-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`--.*?) \\|").FindAllSubmatch(text, -1) {
		for _, flag := range regexp.MustCompile("`--([a-z-]+)`").FindAllSubmatch(row[1], -1) {
			documented[string(flag[1])] = true
		}
	}
	var o LoginProxyOptions
	for _, g := range o.groups() {
		g.flags.VisitAll(func(f *pflag.Flag) {
			if !documented[f.Name] {
				t.Errorf("--%s is not documented", f.Name)
			}
			delete(documented, f.Name)
		})
	}
	for alias := range loginProxyAliases() {
		delete(documented, alias)
	}
	delete(documented, "check-config")
	for flag := range documented {
		t.Errorf("--%s is documented, and there is no such flag", flag)
	}
	if bytes.Contains(text, []byte("TODO")) {
		t.Error("the page is not finished")
	}
}
