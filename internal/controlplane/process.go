package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// configure lays out the folder and fills in both servers, without starting
// them:
//
//	bin/             wrappers that note the process id, then become the server
//	certs/ etcd/     what the servers keep
//	*.log            what they print
//	audit.jsonl      write requests, with Config.Audit
func (c *ControlPlane) configure(assets string, cfg Config) error {
	assets, err := filepath.Abs(assets)
	if err != nil {
		return err
	}
	for _, sub := range []string{"bin", "certs", "etcd"} {
		if err := os.MkdirAll(c.path(sub), 0o700); err != nil {
			return err
		}
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := c.writeWrapper(assets, name); err != nil {
			return err
		}
	}
	etcdLog, err := c.openLog("etcd")
	if err != nil {
		return err
	}
	apiLog, err := c.openLog("kube-apiserver")
	if err != nil {
		return err
	}
	api := &envtest.APIServer{
		Path:         c.path("bin", "kube-apiserver"),
		CertDir:      c.path("certs"),
		Out:          apiLog,
		Err:          apiLog,
		StartTimeout: serverTimeout,
		StopTimeout:  serverTimeout,
	}
	for name, values := range cfg.APIServerArgs {
		api.Configure().Set(name, values...)
	}
	if err := c.configureAudit(api, cfg); err != nil {
		return err
	}
	c.plane = &envtest.ControlPlane{
		APIServer: api,
		Etcd: &envtest.Etcd{
			Path:         c.path("bin", "etcd"),
			DataDir:      c.path("etcd"),
			Out:          etcdLog,
			Err:          etcdLog,
			StartTimeout: serverTimeout,
			StopTimeout:  serverTimeout,
		},
	}
	c.guard, err = startGuard(c.dir, c.temporary)
	return err
}

func (c *ControlPlane) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// openLog opens the file that a server's output is appended to. The file is
// closed by the end of this program: envtest may start a server more than once.
func (c *ControlPlane) openLog(name string) (io.Writer, error) {
	return os.OpenFile(c.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// writeWrapper writes a script that notes its process id and then becomes the
// server. envtest tells nobody the id, and the guard and KillAPIServer need it.
func (c *ControlPlane) writeWrapper(assets, name string) error {
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s\nexec %s \"$@\"\n",
		shellQuote(c.path(name+".pid")), shellQuote(filepath.Join(assets, name)))
	return os.WriteFile(c.path("bin", name), []byte(script), 0o700) //nolint:gosec // a script is there to be executed
}

func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// KillAPIServer ends the API server at once, as a crash would: requests are cut
// off, etcd goes on. StartAPIServer brings it back.
func (c *ControlPlane) KillAPIServer() error {
	note := c.path("kube-apiserver.pid")
	text, err := os.ReadFile(note)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	return errors.Join(os.Remove(note), c.plane.APIServer.Stop())
}

// StartAPIServer starts the API server again after KillAPIServer: with the same
// address, certificates and data, so that clients made before go on.
func (c *ControlPlane) StartAPIServer() error {
	return c.plane.APIServer.Start()
}

// lastWords returns the ends of the servers' logs, for the error of a start that
// went wrong.
func (c *ControlPlane) lastWords() string {
	const size = 2000
	var words strings.Builder
	for _, name := range []string{"etcd", "kube-apiserver"} {
		text, err := os.ReadFile(c.path(name + ".log"))
		if err != nil || len(text) == 0 {
			continue
		}
		if len(text) > size {
			text = text[len(text)-size:]
		}
		fmt.Fprintf(&words, "\nthe end of %s's log:\n%s", name, text)
	}
	return words.String()
}

// guard is a process that outlives this one by a moment, to end the servers in
// case that this one ends without Stop: killed, panicked, or stopped by the test
// runner's timeout. It reads from a pipe whose other end only we hold.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// guardScript ends when it is told so by a line, and otherwise, when the pipe
// breaks, ends the servers. $1 is the folder, $2 whether it goes too.
const guardScript = `read -r dismissed && exit 0
for file in "$1"/*.pid; do
  [ -f "$file" ] && kill -9 "$(cat "$file")"
done
[ "$2" = remove ] && rm -rf "$1"`

func startGuard(dir string, remove bool) (*guard, error) {
	what := "keep"
	if remove {
		what = "remove"
	}
	//nolint:gosec,noctx // the folder is data to the script; the guard must outlive every context
	cmd := exec.Command("/bin/sh", "-c", guardScript, "controlplane-guard", dir, what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// dismiss ends the guard without its doing anything.
func (g *guard) dismiss() error {
	_, err := io.WriteString(g.pipe, "dismissed\n")
	return errors.Join(err, g.pipe.Close(), g.cmd.Wait())
}
