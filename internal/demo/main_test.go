package demo_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/demo"
)

// programEnv makes the test binary the program itself, so that tests run the
// demo as people do: as a process, with arguments and signals.
const programEnv = "DEMO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(app.Main(os.Args[1:], app.Token(), demo.Command()))
	}
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// process is a demo that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string // its --dir
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// start runs the command demo with the arguments, on free ports.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: filepath.Join(t.TempDir(), "it's .demo"), done: make(chan struct{})}
	args = append([]string{"demo", "--emulator-address", "127.0.0.1:0", "--login-proxy-address", "127.0.0.1:0", "--dir", p.dir}, args...)
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), exe, args...)
	p.cmd.Env = append(os.Environ(), programEnv+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the code is read from ProcessState
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(p.dir, "controller.log"))
			t.Logf("the demo printed:\n%s\nits controller logged:\n%s", p.output(), log)
		}
	})
	return p
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// exit waits for the end and returns the exit code, -1 after a signal.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(3 * time.Minute):
		p.t.Fatal("the demo does not end")
		return 0
	}
}

// says waits until the demo has printed the text.
func (p *process) says(text string) {
	p.t.Helper()
	poll(p.t, "the demo says "+text, func() bool {
		select {
		case <-p.done:
			if !strings.Contains(p.output(), text) {
				p.t.Fatalf("the demo ended with code %d and never said %q", p.cmd.ProcessState.ExitCode(), text)
			}
		default:
		}
		return strings.Contains(p.output(), text)
	})
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// after returns the last word of the line behind the text that the demo printed.
func (p *process) after(text string) string {
	p.t.Helper()
	rest, _, _ := strings.Cut(p.since(text), "\n")
	words := strings.Fields(rest)
	return words[len(words)-1]
}

// dashboard is where to log in to it, provider where the provider is.
func (p *process) dashboard() string {
	p.t.Helper()
	return strings.TrimSuffix(strings.Fields(p.since("\n  login proxy "))[0], ",")
}

func (p *process) provider() string {
	p.t.Helper()
	return strings.TrimSuffix(strings.Fields(p.since("OpenID provider at "))[0], ";")
}

// since is what the demo printed after the text.
func (p *process) since(text string) string {
	p.t.Helper()
	_, rest, found := strings.Cut(p.output(), text)
	if !found {
		p.t.Fatalf("the demo did not say %q", text)
	}
	return rest
}

// leavesNothing checks that none of the demo's servers answers any longer.
func (p *process) leavesNothing() {
	p.t.Helper()
	webhook, err := clientcmd.LoadFromFile(filepath.Join(p.dir, "authenticator", "webhook.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	for name, address := range map[string]string{
		"the emulator":      p.after("of account 123456789012 at "),
		"the API server":    p.after("and etcd: starting\n"),
		"the authenticator": webhook.Clusters["aws-iam-authenticator"].Server,
		"the login proxy":   p.dashboard(),
		"the provider":      p.provider(),
	} {
		u, err := url.Parse(address)
		if err != nil {
			p.t.Fatal(err)
		}
		var dialer net.Dialer
		if c, err := dialer.DialContext(p.t.Context(), "tcp", u.Host); err == nil {
			_ = c.Close()
			p.t.Errorf("%s still listens at %s", name, u.Host)
		}
	}
}

// coreOf gives a client for the cluster of a kubeconfig file.
func coreOf(t *testing.T, kubeconfig string) corev1client.CoreV1Interface {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	core, err := corev1client.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return core
}
