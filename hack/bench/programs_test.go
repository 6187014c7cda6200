package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are built once, into a folder that goes when the tests have run.
var programs struct {
	once   sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.folder != "" {
		if err := os.RemoveAll(programs.folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

const (
	ourClient = "eks-auth"
	ourServer = "aws-auth-refresher"
	reference = "aws-iam-authenticator"
)

// program gives the path of one of them, all built in the same way: stripped,
// ours from its own module, the reference at the version that go.mod requires.
func program(tb testing.TB, name string) string {
	tb.Helper()
	programs.once.Do(func() { programs.folder, programs.err = build() })
	if programs.err != nil {
		tb.Fatal(programs.err)
	}
	return filepath.Join(programs.folder, name)
}

func build() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "bench"); err != nil {
		return "", err
	}
	for _, p := range []struct{ name, module, path string }{
		{ourClient, "../..", "./cmd/eks-auth"},
		{ourServer, "../..", "."},
		{reference, ".", "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator"},
	} {
		// No context: it has to end by itself, for whoever comes second.
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(folder, p.name), p.path) //nolint:noctx // see above
		cmd.Dir = p.module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			return folder, fmt.Errorf("building %s: %w\n%s", p.name, err, output)
		}
	}
	return folder, nil
}
