//go:build unix

package execplugin

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPipesAreNotCached: what can be read only once is left to the SDK.
func TestPipesAreNotCached(t *testing.T) {
	m := newMachine(t)
	pipe := m.pipe("credentials")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", pipe)
	t.Setenv("AWS_REGION", "eu-west-1")
	// Both ends, so that nobody waits for the other and the content stays.
	file, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // a pipe
	if _, err := file.WriteString("[default]\n"); err != nil {
		t.Fatal(err)
	}
	_, err = cacheKey(t.Context(), Options{ClusterID: "prod"})
	if err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v, want that it is no regular file", err)
	}
	if err := file.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 100)
	if n, err := file.Read(text); err != nil || string(text[:n]) != "[default]\n" {
		t.Errorf("the pipe holds %q afterwards (%v)", text[:n], err)
	}
}

// TestInterruptedWhileReading: a pipe that nobody writes to holds nobody up who
// does not want to wait.
func TestInterruptedWhileReading(t *testing.T) {
	for _, cache := range []bool{false, true} {
		m := newMachine(t)
		t.Setenv("AWS_CONFIG_FILE", m.pipe("config"))
		t.Setenv("AWS_PROFILE", "alice")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		ended := make(chan error, 1)
		go func() {
			ended <- Token(ctx, Config{Options: Options{ClusterID: "prod", TokenOnly: true, Cache: cache}, In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
		}()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cache %t: %v", cache, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("cache %t: it does not end", cache)
		}
	}
}

// pipe makes one under the home directory.
func (m *machine) pipe(name string) string {
	m.t.Helper()
	path := filepath.Join(m.home, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		m.t.Fatal(err)
	}
	// Whoever still reads at the end gets an end.
	m.t.Cleanup(func() {
		if file, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			_ = file.Close()
		}
	})
	return path
}
