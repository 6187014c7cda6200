package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCachedTokenNeedsNoAWSPackage counts which statements of the AWS packages
// are executed: with a cached token none beyond those before main, which no
// command can do without. There is nothing else to see it by, because reading
// the configuration leaves no trace.
func TestCachedTokenNeedsNoAWSPackage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "eks-auth")
	build := exec.CommandContext(t.Context(), "go", "build", "-cover", "-coverpkg=.,github.com/aws/...", "-o", program, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	home := t.TempDir()
	config := filepath.Join(home, "config")
	if err := os.WriteFile(config, []byte("[profile alice]\naws_access_key_id = "+aliceKey+"\naws_secret_access_key = "+aliceSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{"HOME=" + home, "AWS_CONFIG_FILE=" + config, "AWS_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true"}
	run := func(arguments ...string) map[string]bool {
		t.Helper()
		return executed(t, environment, append([]string{program}, arguments...))
	}

	before := run("version")
	token := []string{"token", "-i", "prod", "--profile", "alice", "--cache"}
	if minting := beyond(run(token...), before); len(minting) < 100 {
		t.Errorf("making a token took only %d statements of the AWS packages: the count is wrong", len(minting))
	}
	if more := beyond(run(token...), before); len(more) > 0 {
		t.Errorf("with a cached token these were executed:\n%s", strings.Join(more, "\n"))
	}
}

// executed runs a command and tells which statements of the AWS packages ran, as
// lines of a profile of go tool cover.
func executed(t *testing.T, environment, command []string) map[string]bool {
	t.Helper()
	counts, profile := t.TempDir(), filepath.Join(t.TempDir(), "profile")
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(slices.Clone(environment), "GOCOVERDIR="+counts)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if output, err := exec.CommandContext(t.Context(), "go", "tool", "covdata", "textfmt", "-i="+counts, "-o="+profile).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	content, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	statements := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "github.com/aws/") && !strings.HasSuffix(line, " 0") {
			statements[line] = true
		}
	}
	return statements
}

// beyond lists, sorted, what is in all and not in known.
func beyond(all, known map[string]bool) []string {
	maps.DeleteFunc(all, func(line string, _ bool) bool { return known[line] })
	return slices.Sorted(maps.Keys(all))
}
