package controlplane_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

// place puts stand-ins for both servers into dir.
func place(t *testing.T, dir string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindAssetsTakesTheEnvironmentFirst(t *testing.T) {
	want := place(t, t.TempDir(), 0o755)
	t.Setenv("KUBEBUILDER_ASSETS", want)
	if got, err := controlplane.FindAssets(); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestFindAssetsSearchesUpward(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := place(t, filepath.Join(root, "bin", "controlplane", controlplane.Version), 0o755)
	below := filepath.Join(root, "internal", "deep")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBEBUILDER_ASSETS", "")
	t.Chdir(below)
	if got, err := controlplane.FindAssets(); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestFindAssetsNamesTheWayOut(t *testing.T) {
	notExecutable := place(t, t.TempDir(), 0o644)
	empty := t.TempDir()
	for _, tt := range []struct {
		reason string
		env    string
		want   string
	}{
		{"nowhere to be found", "", "run `make controlplane`"},
		{"the named folder is empty", empty, "KUBEBUILDER_ASSETS: " + empty + " lacks etcd: run `make controlplane`"},
		{"the named files cannot be executed", notExecutable, "not an executable file"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Setenv("KUBEBUILDER_ASSETS", tt.env)
			t.Chdir(empty)
			_, err := controlplane.FindAssets()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestVersionIsTheOneThatIsBuilt(t *testing.T) {
	text, err := os.ReadFile("../../hack/controlplane/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "k8s.io/kubernetes v" + controlplane.Version + "\n"; !strings.Contains(string(text), want) {
		t.Errorf("hack/controlplane/go.mod does not require %q", want)
	}
}
