package config_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func kustomize(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../hack/tools/go.mod", "kustomize", "build", "--load-restrictor=LoadRestrictionsNone", folder)
	var problems strings.Builder
	cmd.Stderr = &problems
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", folder, err, problems.String())
	}
	return parse(t, string(output))
}

// TestBaseIsWhatIsInstalled: an overlay on config/default begins with deploy/.
func TestBaseIsWhatIsInstalled(t *testing.T) {
	sources, err := filepath.Glob("*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		readFile(t, path) // the test cache knows nothing of what kustomize reads
	}
	want := byName(t, append(parse(t, readFile(t, common)), parse(t, readFile(t, deployment))...))
	if diff := cmp.Diff(want, byName(t, kustomize(t, "default"))); diff != "" {
		t.Errorf("make manifests brings deploy/ up to date (-deploy/ +config/default):\n%s", diff)
	}
}

// TestBaseTakesTheOverlayItShows builds the example in the comment of
// config/default.
func TestBaseTakesTheOverlayItShows(t *testing.T) {
	comment := regexp.MustCompile(`(?m)^#   .*$`).FindAllString(readFile(t, "default/kustomization.yaml"), -1)
	for i, line := range comment {
		comment[i] = strings.TrimPrefix(line, "#   ")
	}
	base, err := filepath.Abs("default")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	// Resources are relative, and links are resolved on both sides.
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(folder, base)
	if err != nil {
		t.Fatal(err)
	}
	overlay := regexp.MustCompile(`https://github\.com/\S+`).ReplaceAllString(strings.Join(comment, "\n"), relative)
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	got := byName(t, kustomize(t, folder))
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--refresh-interval=5s", "role/aws-auth-refresher"} {
		if len(got) != 8 || !strings.Contains(string(text), want) {
			t.Errorf("no %s in the %d objects of\n%s", want, len(got), overlay)
		}
	}
}
