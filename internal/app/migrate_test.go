package app_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestMigrate makes access entries from a live aws-auth.
func TestMigrate(t *testing.T) {
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	server := httptest.NewServer(emulator)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIAADMIN", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_REGION": "eu-central-1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"ann", "bob"} {
		mustCreateUser(t, emulator, name)
	}
	if _, err := emulator.CreateRole("/team/", "ops", ""); err != nil {
		t.Fatal(err)
	}
	if err := emulator.AddCluster("prod", fakeaws.ModeConfigMap); err != nil {
		t.Fatal(err)
	}
	args := []string{"migrate", "--cluster-name", "prod", "--kubeconfig", awsAuthOf(t, "migrated"), "--namespace", "migrated"}

	out, notes, err := run(args...)
	if err != nil || strings.Count(out, "create-access-entry") != 2 || !strings.Contains(notes, "authenticationMode=API_AND_CONFIG_MAP") {
		t.Errorf("before the mode is changed: got %v\n%s%s", err, out, notes)
	}
	if _, _, err = run(append(args, "--apply")...); err == nil || !strings.Contains(err.Error(), "update-cluster-config --name prod") {
		t.Errorf("no entries can be made, and the way out is told: got %v", err)
	}
	if err := emulator.SetAuthenticationMode("prod", fakeaws.ModeAPIConfigMap); err != nil {
		t.Fatal(err)
	}
	emulator.Inject(fakeaws.Fault{Action: "AssociateAccessPolicy", Effect: fakeaws.Denied, Times: 1})
	out, notes, err = run(append(args, "--apply")...)
	if err == nil || !strings.Contains(out, "user/ann: made\n") || !strings.Contains(out, "without its access policy") || !strings.Contains(notes, "user/gone is left out") {
		t.Errorf("one does not succeed: got %v\n%s%s", err, out, notes)
	}
	var got []string
	for _, e := range emulator.AccessEntries("prod") {
		got = append(got, e.PrincipalARN+" "+e.Username+" "+strings.Join(e.Groups, ","))
		if len(e.Tags) != 0 {
			t.Errorf("they belong to nobody but the caller: got %+v", e)
		}
	}
	want := []string{"arn:aws:iam::123456789012:role/team/ops ops:{{SessionName}} ", "arn:aws:iam::123456789012:user/ann ann devs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access entries: -want +got\n%s", diff)
	}
	out, notes, err = run(args...)
	if err != nil || strings.Contains(out, "create-access-entry") || strings.Count(notes, "has an access entry already") != 2 {
		t.Errorf("nothing is made twice: got %v\n%s%s", err, out, notes)
	}
}

// awsAuthOf makes an aws-auth in a new namespace and returns a kubeconfig.
func awsAuthOf(t *testing.T, namespace string) (kubeconfig string) {
	t.Helper()
	core := coreClient(t, bed)
	if _, err := core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := core.ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"},
		Data: map[string]string{
			"mapRoles": "- rolearn: arn:aws:iam::123456789012:role/ops\n  username: ops:{{SessionName}}\n  groups: [system:masters]\n",
			"mapUsers": "- userarn: arn:aws:iam::123456789012:user/ann\n  username: ann\n  groups: [devs]\n" +
				"- userarn: arn:aws:iam::123456789012:user/gone\n  username: gone\n",
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := controlplane.Kubeconfig(bed.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// run runs one command line.
func run(args ...string) (out, errs string, err error) {
	var stdout, stderr bytes.Buffer
	root := app.Root(app.Migrate())
	root.SetArgs(args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	err = root.Execute()
	return stdout.String(), stderr.String(), err
}

func TestTargetsNeedACluster(t *testing.T) {
	for target, ok := range map[string]bool{"configmap": true, "": true, "both": false, "auto": false, "access-entries": false, "other": false} {
		s := app.Stores{Target: target}
		if err := s.Validate(); (err == nil) != ok {
			t.Errorf("--target %q without --cluster-name: got %v", target, err)
		}
		s.ClusterName = "prod"
		if err := s.Validate(); (err == nil) != (target != "other") {
			t.Errorf("--target %q with --cluster-name: got %v", target, err)
		}
	}
}
