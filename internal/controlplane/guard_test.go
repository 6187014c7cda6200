package controlplane_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

// abandonEnv turns this test program into one that starts a control plane in the
// folder that it names and is then killed.
const abandonEnv = "CONTROLPLANE_TEST_ABANDON"

func abandon(dir string) {
	if _, err := controlplane.Start(context.Background(), controlplane.Config{Dir: dir}); err != nil {
		panic(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {}
}

func TestServersEndWithWhoeverStartedThem(t *testing.T) {
	ctx, dir := soon(t), t.TempDir()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), abandonEnv+"="+dir)
	output, err := child.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != -1 { // ended by a signal
		t.Fatalf("the child ended with %v, want a kill by its own hand:\n%s", err, output)
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		for alive(pid) {
			select {
			case <-ctx.Done():
				t.Fatalf("%s (process %d) outlives the program that started it", name, pid)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// alive tells whether the process still runs. One that has ended but that nobody
// has asked about, as happens below a process 1 that reaps nothing, does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err == nil && strings.Contains(string(stat), ") Z ") {
		return false
	}
	return syscall.Kill(pid, 0) == nil
}
