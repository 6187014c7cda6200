package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestPlanShowsWhatWouldBeHeld: rules that would take too many out at once are
// a change, although nothing happens at once; the digest approves them.
func TestPlanShowsWhatWouldBeHeld(t *testing.T) {
	dir := t.TempDir()
	record := rules.Record{Seen: true}
	var text, users strings.Builder
	for i := range 12 {
		arn := fmt.Sprintf("arn:aws:iam::123456789012:user/tmp-%02d", i)
		record.Entries = append(record.Entries, rules.Owned{Kind: rules.User, ARN: arn, Digest: rules.ContentDigest("foo", []string{"dev"})})
		fmt.Fprintf(&text, "- userarn: %s\n  username: foo\n  groups:\n  - dev\n", arn)
		fmt.Fprintf(&users, `,{"Arn":%q,"UserName":"tmp-%02d","Path":"/"}`, arn, i)
	}
	encoded, err := record.Encode()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, cm corev1.ConfigMap) string {
		cm.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		manifest, err := yaml.Marshal(cm)
		if err != nil {
			t.Fatal(err)
		}
		return writeFile(t, filepath.Join(dir, name), string(manifest))
	}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	none := map[string]string{"mapUsers": ""}
	args := []string{
		"plan", "--detailed-exitcode",
		"--rules", write("rules.yaml", corev1.ConfigMap{ObjectMeta: named("aws-auth-refresher"), Data: none}),
		"--aws-auth", write("aws-auth.yaml", corev1.ConfigMap{ObjectMeta: named("aws-auth"), Data: map[string]string{"mapUsers": text.String()}}),
		"--state", write("state.yaml", corev1.ConfigMap{ObjectMeta: named("state"), BinaryData: map[string][]byte{"record.json.gz": encoded}}),
		"--users", writeFile(t, filepath.Join(dir, "users.json"), `{"Users":[`+users.String()[1:]+`]}`),
	}
	var out, notes bytes.Buffer
	root := app.Root(app.Plan())
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&notes)
	exit, ok := errors.AsType[*app.ExitError](root.ExecuteContext(t.Context()))
	if !ok || exit.Code != 2 {
		t.Errorf("exit code is that of no changes: %v", exit)
	}
	if !strings.Contains(out.String(), "12 more to remove after being held for 10m0s") {
		t.Errorf("the plan says %q", out.String())
	}
	if !strings.Contains(notes.String(), rules.DataDigest(none)) || !strings.Contains(notes.String(), "user/tmp-11 would be held") {
		t.Errorf("the notes say %q", notes.String())
	}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
