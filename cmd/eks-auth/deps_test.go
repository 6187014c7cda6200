package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLinksNothingBig: what these modules do before main would take longer than
// everything that the program does.
func TestLinksNothingBig(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(output))
	if len(packages) < 100 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, path := range packages {
		for _, big := range []string{"k8s.io/", "sigs.k8s.io/", "github.com/prometheus/", "github.com/spf13/cobra", "text/template", "html/template"} {
			if strings.HasPrefix(path, big) {
				t.Errorf("eks-auth links %s", path)
			}
		}
	}
}
