package controllers

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestSeedWalk walks the example that the project promises to its users: one
// rules ConfigMap and three situations in IAM, with the text of mapUsers after
// each, byte for byte. Its account number has ten digits, and so has ours here.
func TestSeedWalk(t *testing.T) {
	w := newWorldIn(t, "1234567890")
	w.config.Rules.AllowShortAccounts = true
	w.restart()
	w.apply("aws-auth-refresher", seedFile(t, "rules").Data)

	w.createUsers("tmp-foo-one", "somebody-else")
	w.refresh()
	w.expectMapUsers("only tmp-foo-one exists", seedFile(t, "1").Data["mapUsers"])

	w.createUsers("tmp-bar-two", "tmp-bar-one")
	w.later()
	w.expectMapUsers("tmp-bar-one and tmp-bar-two were created", seedFile(t, "2").Data["mapUsers"])

	w.deleteUsers("tmp-foo-one", "tmp-bar-two")
	w.settle()
	w.expectMapUsers("tmp-foo-one and tmp-bar-two were deleted", seedFile(t, "3").Data["mapUsers"])
}

func seedFile(t *testing.T, name string) *corev1.ConfigMap {
	t.Helper()
	text, err := os.ReadFile("testdata/seed/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict(text, &cm); err != nil {
		t.Fatal(err)
	}
	return &cm
}
