// Package redisbed gives tests a Redis server of their own: a real one, on a
// free port of this machine, which ends with the test and can be stopped,
// frozen and started again meanwhile.
package redisbed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// attempts are for ports that somebody takes between finding and using them.
	attempts     = 5
	startTimeout = 20 * time.Second
)

// Server is a running redis-server. It keeps nothing when it stops. Its methods
// are for the goroutine of the test.
type Server struct {
	t      testing.TB
	path   string
	args   []string
	dir    string
	port   int
	server *exec.Cmd // nil: stopped
	guard  *exec.Cmd
	hold   io.Closer // keeps the guard waiting
}

// Start starts a server with further arguments of redis-server, such as
// "--requirepass", "secret", and stops it when the test ends. Where there is no
// redis-server, the test is skipped.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIPPED: NO redis-server IN THE PATH, so nothing here was tried with Redis (Debian: apt-get install redis-server)")
	}
	s := &Server{t: t, path: path, args: args, dir: t.TempDir()}
	t.Cleanup(s.Stop)
	for range attempts {
		s.port = freePort(t)
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// Addr is 127.0.0.1 and the port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server's, without a password.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Stop kills the server, as a crash would. Nothing it held comes back.
func (s *Server) Stop() {
	if s.server == nil {
		return
	}
	// The guard first, so that it never kills a process id that was used again.
	kill(s.guard)
	_ = s.hold.Close()
	kill(s.server)
	s.server, s.guard, s.hold = nil, nil, nil
}

// Restart starts the server again after Stop: at the same address, empty.
func (s *Server) Restart() {
	s.t.Helper()
	if s.server != nil {
		s.t.Fatal("the Redis server is still running")
	}
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
}

// Freeze makes the server stand still: connections stay open and nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.server == nil {
		s.t.Fatal("the Redis server is not running")
	}
	if err := s.server.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the server and waits until it takes connections.
func (s *Server) run() error {
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir,
	}, s.args...)
	// It outlives the test's context: cleanups may still need it.
	server := exec.CommandContext(context.WithoutCancel(s.t.Context()), s.path, args...) //nolint:gosec // a test's own arguments
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	said := &words{ready: make(chan bool, 1)}
	go said.read(stdout)
	select {
	case ready := <-said.ready:
		if ready {
			return s.keep(server)
		}
	case <-time.After(startTimeout):
	}
	kill(server)
	return fmt.Errorf("redis-server does not take connections:\n%s", said)
}

// keep has a guard kill the server when this program dies without doing so.
func (s *Server) keep(server *exec.Cmd) error {
	guard := exec.CommandContext(context.WithoutCancel(s.t.Context()), //nolint:gosec // the id is a number
		"sh", "-c", fmt.Sprintf("read _; kill -9 %d", server.Process.Pid))
	hold, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		kill(server)
		return fmt.Errorf("start the guard of redis-server: %w", err)
	}
	s.server, s.guard, s.hold = server, guard, hold
	return nil
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// words collects what the server says and notes when it is ready or has ended.
type words struct {
	ready chan bool

	mu   sync.Mutex
	text strings.Builder
}

func (w *words) read(stdout io.Reader) {
	ready := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		w.mu.Lock()
		w.text.WriteString(lines.Text() + "\n")
		w.mu.Unlock()
		if !ready && strings.Contains(lines.Text(), "eady to accept connections") {
			ready = true
			w.ready <- true
		}
	}
	if !ready {
		w.ready <- false
	}
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func freePort(t testing.TB) int {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()                     //nolint:errcheck // only its number was wanted
	return l.Addr().(*net.TCPAddr).Port //nolint:errcheck // a TCP listener has a TCP address
}
