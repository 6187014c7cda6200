package config_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	chart      = "../deploy/chart"
	fullValues = "testdata/chart-values.yaml" // sets what one would set
	// certManagerValues has the webhook's certificate made by an issuer of one's own.
	certManagerValues = "testdata/chart-values-cert-manager.yaml"
)

// helm is the pinned one. It is given a home of its own and reads no other.
type helm struct {
	path string
	env  []string
}

func newHelm(t *testing.T) helm {
	t.Helper()
	// The test cache takes note of the files that this process opens, not of
	// those that helm does.
	err := filepath.WalkDir(chart, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../hack/tools/go.mod", "-n", "helm").Output()
	if err != nil {
		t.Fatalf("building helm: %v", err)
	}
	return helm{
		path: strings.TrimSpace(string(output)),
		env:  append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=/dev/null", "HELM_DEBUG=false"),
	}
}

func (h helm) run(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.path, args...)
	cmd.Env = h.env
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// render is helm template, in a namespace that is not kube-system.
func (h helm) render(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	output, err := h.run(t, append([]string{"template", "release", chart, "--namespace", "elsewhere"}, args...)...)
	if err != nil {
		t.Fatalf("helm template %q: %v\n%s", args, err, output)
	}
	return parse(t, output)
}

func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		var content map[string]any
		if err := yaml.UnmarshalStrict([]byte(document+"\n"), &content); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if content != nil {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
	return objects
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// byName has the objects under their kinds, namespaces and names, without the
// labels that only a release has.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]any {
	t.Helper()
	named := map[string]any{}
	for _, o := range objects {
		labels := o.GetLabels()
		for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"} {
			delete(labels, label)
		}
		o.SetLabels(labels)
		key := o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
		if named[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		named[key] = o.Object
	}
	return named
}

func TestChartPassesLint(t *testing.T) {
	h := newHelm(t)
	for _, args := range [][]string{nil, {"--values", fullValues}} {
		if output, err := h.run(t, append([]string{"lint", "--strict", chart}, args...)...); err != nil {
			t.Errorf("helm lint %q: %v\n%s", args, err, output)
		}
	}
}

func TestChartInstallsWhatTheManifestsInstall(t *testing.T) {
	got := byName(t, newHelm(t).render(t))
	want := byName(t, append(parse(t, readFile(t, common)), parse(t, readFile(t, deployment))...))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a change in config/common: make manifests; "+
			"after one in config/manager: the same in deploy/chart, too (-deploy/ +chart):\n%s", diff)
	}
}

func TestChartInstallsTheWebhookOfTheManifests(t *testing.T) {
	got := byName(t, newHelm(t).render(t, "--set", "webhook.enabled=true"))
	want := byName(t, parse(t, readFile(t, webhook)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the same in config/webhook and in deploy/chart (-deploy/webhook/ +chart):\n%s", diff)
	}
}

func TestChartInstallsTheWebhookOfCertManagerOfTheManifests(t *testing.T) {
	got := byName(t, newHelm(t).render(t, "--set", "webhook.enabled=true,webhook.certManager.enabled=true"))
	want := byName(t, parse(t, readFile(t, webhookCertManager)))
	for _, objects := range []map[string]any{got, want} {
		for key, object := range objects {
			// What only the chart says has labels of its own.
			if content, _ := object.(map[string]any); strings.Contains(key, "Issuer") || strings.HasPrefix(key, "Certificate ") {
				unstructured.RemoveNestedField(content, "metadata", "labels")
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the same in config/webhook/cert-manager and in deploy/chart (-deploy/webhook/ +chart):\n%s", diff)
	}
}

func TestChartRefusesMistakesInValues(t *testing.T) {
	h := newHelm(t)
	for _, c := range []struct{ set, at, reason string }{
		{`{"replica": 2}`, "''", "misspelled"},
		{`{"image": {"Tag": "v1"}}`, "'/image'", "misspelled further down"},
		{`{"replicas": "two"}`, "'/replicas'", "not a number"},
		{`{"webhook": {"certManager": {"issuerRef": {"kind": "ClusterIssuers"}}}}`, "'/webhook/certManager/issuerRef/kind'", "no such kind of issuer"},
		{`{"podDisruptionBudget": {"maxUnavailable": 0}}`, "'/podDisruptionBudget/maxUnavailable'", "no node could ever be drained"},
		{`{"volumeMounts": [{"name": "x", "mountPath": "/etc/webhook"}]}`, "'/volumeMounts/0/mountPath'", "that is where cert-manager's certificate is"},
		{`{"env": [{"name": "GOMEMLIMIT", "value": "1"}]}`, "'/env/0/name'", "there is a value for it"},
		{`{"aws": {"roleARN": "aws-auth-refresher"}}`, "'/aws/roleARN'", "a name is not an ARN"},
		{`{"rules": {"mapUser": []}}`, "'/rules'", "no such list"},
		{`{"rules": {"mapUsers": "- username: x"}}`, "'/rules/mapUsers'", "lists, not text"},
		{`{"rules": {"mapUsers": [{"username": "x", "pathPrefix": "/x/"}, {"username": "x", "arnRegexp": "^x$"}]}}`,
			"'/rules/mapUsers/1': additional properties 'arnRegexp'", "a misspelled field of a rule"},
		{`{"rules": {"mapRoles": [{"username": 1}]}}`, "'/rules/mapRoles/0/username'", "not text"},
		{`{"rules": {"mapUsers": [{"username": "x", "tags": {"team": 1}}]}}`, "'/rules/mapUsers/0/tags/team'", "not text, further down"},
		{`{"rules": {"mapUsers": [{"pathPrefix": "/x/"}]}}`, "'/rules/mapUsers/0': missing property 'username'", "nobody to be"},
		{`{"prometheusRule": {"without": ["AWSAuthRefresherGone"]}}`, "'/prometheusRule/without/0': value must be one of 'AWSAuthRefresherAbsent'",
			"no such alert"},
	} {
		values := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(values, []byte(c.set), 0o600); err != nil {
			t.Fatal(err)
		}
		output, err := h.run(t, "template", "release", chart, "--values", values)
		if err == nil || !strings.Contains(output, "values don't meet the specifications of the schema") || !strings.Contains(output, "at "+c.at) {
			t.Errorf("%s is not refused at %s (%s): %v\n%s", c.set, c.at, c.reason, err, output)
		}
	}
}

// TestChartSaysWhatContradictsItself: what a schema cannot say in words that help.
func TestChartSaysWhatContradictsItself(t *testing.T) {
	h := newHelm(t)
	for set, want := range map[string]string{
		"flags.target=both":                "flags.target both needs flags.cluster-name",
		"webhook.certManager.enabled=true": "webhook.certManager.enabled does nothing without webhook.enabled: true",
		"webhook.enabled=true,webhook.certManager.enabled=true,webhook.certManager.issuerRef.kind=ClusterIssuer": "webhook.certManager.issuerRef needs the name of the ClusterIssuer",
	} {
		if output, err := h.run(t, "template", "release", chart, "--set", set); err == nil || !strings.Contains(output, want) {
			t.Errorf("%s: %v, want %q\n%s", set, err, want, output)
		}
	}
}

// TestChartExplainsEveryValue: values.yaml has all that the schema allows, and
// nothing else.
func TestChartExplainsEveryValue(t *testing.T) {
	type node struct {
		Properties map[string]node `json:"properties"`
	}
	var schema node
	var defaults map[string]any
	for path, into := range map[string]any{chart + "/values.schema.json": &schema, chart + "/values.yaml": &defaults} {
		if err := yaml.Unmarshal([]byte(readFile(t, path)), into); err != nil {
			t.Fatal(err)
		}
	}
	delete(schema.Properties, "global")
	var check func(path string, n node, defaults map[string]any)
	check = func(path string, n node, defaults map[string]any) {
		for key, child := range n.Properties {
			inner, isMap := defaults[key].(map[string]any)
			if defaults[key] == nil {
				t.Errorf("%s%s is not in values.yaml", path, key)
			}
			if isMap && len(inner) > 0 && len(child.Properties) > 0 {
				check(path+key+".", child, inner)
			}
		}
		for key := range defaults {
			if _, known := n.Properties[key]; !known {
				t.Errorf("%s%s is in values.yaml and not in the schema", path, key)
			}
		}
	}
	check("", schema, defaults)
}
