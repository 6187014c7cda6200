package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestSamplesAreAccepted: the examples that people begin with are rules that
// the controller takes.
func TestSamplesAreAccepted(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cm corev1.ConfigMap
		if err := yaml.UnmarshalStrict(text, &cm); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if cm.Kind != "ConfigMap" {
			continue
		}
		set, err := rules.Parse(cm.Data, rules.Options{})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if needs := set.Needs(); !needs.Users && !needs.Roles {
			t.Errorf("%s has no rules", file)
		}
	}
}

// TestDocumentedSelectorsAreAccepted: the page's example is one that the
// controller takes.
func TestDocumentedSelectorsAreAccepted(t *testing.T) {
	text, err := os.ReadFile("../../docs/selectors.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("there is no example")
	}
	for _, block := range blocks {
		var cm corev1.ConfigMap
		if err := yaml.UnmarshalStrict(block[1], &cm); err != nil {
			t.Fatal(err)
		}
		set, err := rules.Parse(cm.Data, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if needs := set.Needs(); !needs.UserDetails || !set.AppliesMaxAge() {
			t.Errorf("the example shows too little: %+v", needs)
		}
	}
}
