package app_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	memoryUsers = 5000
	memoryRules = 100
	memoryMiB   = 100
)

// BenchmarkProcessMemory measures the peak resident memory of the real
// program with 5,000 users and 100 rules, which grant to all of them, while
// users come and go. The program is built without the race detector.
func BenchmarkProcessMemory(b *testing.B) {
	core := coreClient(b, bed)
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	for i := range memoryUsers {
		makeUser(b, emulator, i)
	}
	var list strings.Builder
	for i := range memoryRules {
		fmt.Fprintf(&list, "- arnRegex: ^arn:aws:iam::123456789012:user/vault/team-%02d/.*$\n  username: team-%02d\n  groups: [dev]\n", i, i)
	}
	create(b, core, "aws-auth-refresher", map[string]string{"mapUsers": list.String()})

	for b.Loop() {
		process := startProcess(b, emulator)
		waitForUsers(b, core, memoryUsers)
		for i := range 10 { // ten refreshes with a change
			makeUser(b, emulator, memoryUsers+i)
			waitForUsers(b, core, memoryUsers+i+1)
		}
		peak := peakMemory(b, process.Process.Pid)
		b.ReportMetric(peak, "MiB-peak")
		if peak > memoryMiB {
			b.Errorf("the process took %.0f MiB, more than %d", peak, memoryMiB)
		}
	}
}

func makeUser(b *testing.B, emulator *fakeaws.Server, i int) {
	b.Helper()
	path := fmt.Sprintf("/vault/team-%02d/", i%memoryRules)
	if _, err := emulator.CreateUser(path, fmt.Sprintf("vault-token-terraform-%d-abcdefghij", i)); err != nil {
		b.Fatal(err)
	}
}

func startProcess(b *testing.B, emulator *fakeaws.Server) *exec.Cmd {
	b.Helper()
	server := httptest.NewServer(emulator)
	b.Cleanup(server.Close)
	dir := b.TempDir()
	binary, kubeconfig := filepath.Join(dir, "aws-auth-refresher"), filepath.Join(dir, "kubeconfig")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../..")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building: %v\n%s", err, out)
	}
	text, err := controlplane.Kubeconfig(bed.RESTConfig())
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), binary, "controller", "--kubeconfig", kubeconfig, "--refresh-interval", "1s",
		"--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0", "--log-level", "error")
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+server.URL, "AWS_ACCESS_KEY_ID=AKIAADMIN", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_REGION=us-east-1", "GOMEMLIMIT=80MiB")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return cmd
}

func waitForUsers(b *testing.B, core corev1client.CoreV1Interface, n int) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		cm, err := core.ConfigMaps("kube-system").Get(ctx, "aws-auth", metav1.GetOptions{})
		return err == nil && strings.Count(cm.Data["mapUsers"], "userarn:") == n, nil
	})
	if err != nil {
		b.Fatalf("not %d users in aws-auth: %v", n, err)
	}
}

// peakMemory reads VmHWM of proc_pid_status(5), in MiB.
func peakMemory(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("peak memory is read from /proc, which is not here: %v", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
