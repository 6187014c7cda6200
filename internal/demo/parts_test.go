package demo

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestBadFlags(t *testing.T) {
	good := Options{EmulatorAddress: "127.0.0.1:4566", LoginProxyAddress: "127.0.0.1:3001", RefreshInterval: time.Second, Dir: ".demo"}
	for _, tt := range []struct {
		reason string
		change func(*Options)
		want   string // "": fine
	}{
		{"the defaults", func(*Options) {}, ""},
		{"any free port", func(o *Options) { o.EmulatorAddress = "localhost:0" }, ""},
		{"IPv6", func(o *Options) { o.EmulatorAddress = "[::1]:4566" }, ""},
		{"no port", func(o *Options) { o.EmulatorAddress = "127.0.0.1" }, "write HOST:PORT"},
		{"a URL", func(o *Options) { o.EmulatorAddress = "http://127.0.0.1:4566" }, "write HOST:PORT"},
		{"a port that is none", func(o *Options) { o.EmulatorAddress = "127.0.0.1:99999" }, "the port must be a number up to 65535"},
		{"the open network", func(o *Options) { o.EmulatorAddress = "0.0.0.0:4566" }, "not made for the open network"},
		{"every interface", func(o *Options) { o.EmulatorAddress = ":4566" }, "not made for the open network"},
		{"a login for everybody", func(o *Options) { o.LoginProxyAddress = "0.0.0.0:3001" }, "--login-proxy-address is"},
		{"too quick", func(o *Options) { o.RefreshInterval = 0 }, "must be at least 1s"},
		{"a contradiction", func(o *Options) { o.Once, o.NoScenario = true, true }, "give one of them"},
		{"no folder", func(o *Options) { o.Dir = "" }, "--dir is empty"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			o := good
			tt.change(&o)
			err := o.check()
			if tt.want == "" && err == nil {
				return
			}
			if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestEmulatorAddressTaken(t *testing.T) {
	var config net.ListenConfig
	taken, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	address := taken.Addr().String()

	if _, err := startEmulator(t.Context(), address, false); err == nil || !strings.Contains(err.Error(), address+" is taken") {
		t.Errorf("an address that somebody gave is used or refused: got %v", err)
	}
	e, err := startEmulator(t.Context(), address, true)
	if err != nil {
		t.Fatal(err)
	}
	if e.movedFrom != address || strings.HasSuffix(e.url, address) {
		t.Errorf("another port is taken, and said: got %s, moved from %q", e.url, e.movedFrom)
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}

func TestEnvIsReadByAShell(t *testing.T) {
	e := &emulator{url: "http://127.0.0.1:4566", keyID: "AKIAEXAMPLE", secret: "a/b+c"}
	path := filepath.Join(t.TempDir(), "env")
	if err := writePrivate(path, []byte(envText(e, "/it's here/$HOME/kubeconfig"))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", `. "$0"; env -u PWD -u SHLVL -u _ -u OLDPWD`, path)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "AWS_PROFILE=work", "AWS_SESSION_TOKEN=stale"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if name != "PATH" {
			got[name] = value
		}
	}
	want := map[string]string{
		"AWS_ENDPOINT_URL_IAM": e.url, "AWS_ENDPOINT_URL_EKS": e.url, "AWS_ENDPOINT_URL_SQS": e.url, "AWS_ACCESS_KEY_ID": e.keyID, "AWS_SECRET_ACCESS_KEY": e.secret,
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"KUBECONFIG": "/it's here/$HOME/kubeconfig",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestItemOf(t *testing.T) {
	const one, two = "- userarn: a\n  username: x\n  groups:\n  - g\n", "- userarn: ab\n  username: y\n"
	for _, tt := range []struct {
		reason              string
		text, arn           string
		before, item, after string
	}{
		{"the first, with its groups", one + two, "a", "", one, two},
		{"the last", one + two, "ab", one, two, ""},
		{"a comment ends it", one + "# why\n" + two, "a", "", one, "# why\n" + two},
		{"a blank line ends it", one + "\n" + two, "a", "", one, "\n" + two},
		{"no final newline", one + strings.TrimSuffix(two, "\n"), "ab", one, strings.TrimSuffix(two, "\n"), ""},
		{"not there", one, "ab", one, "", ""},
		{"nothing there", "", "a", "", "", ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			before, item, after := itemOf(tt.text, tt.arn)
			if diff := cmp.Diff([]string{tt.before, tt.item, tt.after}, []string{before, item, after}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRulesAreGood(t *testing.T) {
	cm, err := readConfigMap(rulesManifest)
	if err != nil {
		t.Fatal(err)
	}
	shorter := withoutLastRule(cm.Data)
	if strings.Contains(shorter["mapUsers"], "tmp-bar") || !strings.Contains(cm.Data["mapUsers"], "tmp-bar") {
		t.Errorf("the last rule is the one of tmp-bar:\n%s", shorter["mapUsers"])
	}
	for _, data := range []map[string]string{cm.Data, shorter} {
		if _, err := rules.Parse(data, rules.Options{}); err != nil {
			t.Error(err)
		}
	}
}

func TestColor(t *testing.T) {
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for _, tt := range []struct {
		reason string
		out    *os.File
		env    map[string]string
		want   bool
	}{
		{"a terminal", terminal, nil, true},
		{"a file", file, nil, false},
		{"https://no-color.org", terminal, map[string]string{"NO_COLOR": "1"}, false},
		{"a terminal that cannot", terminal, map[string]string{"TERM": "dumb"}, false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if got := newScreen(tt.out, func(name string) string { return tt.env[name] }).color; got != tt.want {
				t.Errorf("color: got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestEKSIsRefused(t *testing.T) {
	text, err := controlplane.Kubeconfig(&rest.Config{Host: "https://0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCluster(path); err == nil || !strings.Contains(err.Error(), "is an EKS cluster") {
		t.Errorf("got %v", err)
	}
	if _, err := openCluster(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
}

// TestFolderInUse: a second demo would point the first one's files at its own
// cluster, which is gone when it ends.
func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	note := filepath.Join(dir, "pid")
	living := strconv.Itoa(os.Getppid())
	if err := os.WriteFile(note, []byte(living+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(dir); err == nil || !strings.Contains(err.Error(), "the demo with process id "+living+" uses "+dir) {
		t.Errorf("a folder in use: got %v", err)
	}
	if err := os.WriteFile(note, []byte("no process\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	release, err := claim(dir)
	if err != nil {
		t.Fatalf("a folder of a demo that is gone: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
