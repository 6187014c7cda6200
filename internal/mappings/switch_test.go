package mappings

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

// slow is a backend that is read when the test says so, and tells who is running.
type slow struct {
	name string
	w    *switched
}

func (b *slow) Name() string { return b.name }

func (b *slow) Run(ctx context.Context) error {
	b.w.count(b.name, 1)
	defer b.w.count(b.name, -1)
	<-ctx.Done()
	return nil
}

func (b *slow) Content() Content {
	if b.w.unread[b.name] {
		return nil
	}
	return newTable(authnconfig.Mappings{Roles: []authnconfig.Role{role("X", b.name)}}, false)
}

// switched is a switch with a file, and what it did.
type switched struct {
	*Switch
	path    string
	unread  map[string]bool
	errors  int
	changed []string

	mu      sync.Mutex
	running map[string]int // how many backends of a name
}

func (w *switched) count(name string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[name] += n
}

// runs are the names of the backends that are running, once all have begun or
// ended that are about to.
func (w *switched) runs() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name, n := range w.running {
		names = append(names, slices.Repeat([]string{name}, n)...)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func newSwitched(t *testing.T) *switched {
	t.Helper()
	w := &switched{path: filepath.Join(t.TempDir(), "modes.json"), unread: map[string]bool{}, running: map[string]int{}}
	w.Switch = NewSwitch(SwitchConfig{
		Modes: []string{"a"}, Path: w.path,
		Make: func(modes []string) (*Chain, error) {
			chain := &Chain{}
			for _, mode := range modes {
				if mode == "impossible" {
					return nil, errors.New("there is no such mode")
				}
				chain.Backends = append(chain.Backends, &slow{mode, w})
			}
			return chain, nil
		},
		Changed: func(modes []string, updated time.Time) {
			w.changed = append(w.changed, fmt.Sprint(strings.Join(modes, " "), " ", max(updated.Unix(), 0)))
		},
		Log: funcr.New(func(_, line string) {
			if strings.Contains(line, "cannot be used") {
				w.errors++
			}
		}, funcr.Options{}),
	})
	return w
}

func (w *switched) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *switched) user(t *testing.T) string {
	t.Helper()
	user, err := w.Map(t.Context(), identity(account+"role/X"))
	if err != nil {
		return err.Error()
	}
	return user.Username
}

func TestSwitch(t *testing.T) { synctest.Test(t, testSwitch) }

func testSwitch(t *testing.T) {
	t.Helper()
	w := newSwitched(t)
	if w.Ready() == nil {
		t.Error("it is ready before its start")
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := w.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		reason, text string
		unread       string
		want         string
		changed      string // the last modes that took effect
		errors       int
		runs         string
	}{
		{"without a file", "", "", "a", "a 0", 0, "a"},
		{"others, which have not been read", `{"backendMode": "b c", "LastUpdatedDateTime": "5"}`, "c", "a", "a 0", 0, "a b c"},
		{"still not", `{"backendMode": "b c", "LastUpdatedDateTime": "5"}`, "c", "a", "a 0", 0, "a b c"},
		{"now they have been", `{"backendMode": "b c", "LastUpdatedDateTime": "5"}`, "", "b", "b c 5", 0, "b c"},
		{"the same in another order", `{"backendMode": "c b"}`, "", "c", "c b 0", 0, "b c"},
		{"half written", "\n", "", "c", "c b 0", 1, "b c"},
		{"broken", "{", "", "c", "c b 0", 2, "b c"},
		{"broken in the same way", "{", "", "c", "c b 0", 2, "b c"},
		{"what cannot be made", `{"backendMode": "impossible"}`, "", "c", "c b 0", 3, "b c"},
		{"others that are withdrawn before they were read", `{"backendMode": "d"}`, "d", "c", "c b 0", 3, "b c d"},
		{"withdrawn", `{"backendMode": "c b"}`, "d", "c", "c b 0", 3, "b c"},
		{"the file is gone", "", "", "a", "a 0", 3, "a"},
	} {
		w.unread = map[string]bool{row.unread: true}
		if row.text == "" {
			_ = os.Remove(w.path)
		} else {
			w.write(t, row.text)
		}
		w.Refresh(ctx)
		if got, last := w.user(t), w.changed[len(w.changed)-1]; got != row.want || last != row.changed || w.errors != row.errors {
			t.Errorf("%s: asked %s, in effect %q, %d errors; want %s, %q, %d", row.reason, got, last, w.errors, row.want, row.changed, row.errors)
		}
		if got := w.runs(); got != row.runs {
			t.Errorf("%s: these are running: %s; want %s", row.reason, got, row.runs)
		}
	}
	stop()
	if got := w.runs(); got != "" {
		t.Errorf("at the end these are still running: %s", got)
	}
}

// TestSwitchAtTheStart: the file counts from the beginning; one that is broken
// then keeps nobody out.
func TestSwitchAtTheStart(t *testing.T) {
	for text, want := range map[string]string{`{"backendMode": "b", "LastUpdatedDateTime": "5"}`: "b", "{": "a", `{"backendMode": "impossible"}`: "a"} {
		w := newSwitched(t)
		w.write(t, text)
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.user(t); got != want || w.changed[0] != want+" 0" {
			t.Errorf("%s: asked %s, in effect %s, want %s", text, got, w.changed, want)
		}
	}
	w := newSwitched(t)
	w.config.Path, w.config.Modes = "", []string{"impossible"}
	if err := w.Start(t.Context()); err == nil {
		t.Error("it starts without backends")
	}
}

// TestDynamicFileTellsOfChanges: not of what was there at the start.
func TestDynamicFileTellsOfChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var told []int64
	f := NewDynamicFile(FileConfig{Path: path, Changed: func(at time.Time) { told = append(told, at.Unix()) }}, false)
	for _, text := range []string{`{"LastUpdatedDateTime": "5"}`, `{"LastUpdatedDateTime": "6"}`, `{"LastUpdatedDateTime": "6"}`, `{"Version": "1"}`, "{", `{"LastUpdatedDateTime": "7"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.Refresh()
	}
	if fmt.Sprint(told) != "[6 7]" {
		t.Errorf("told of %v, want 6 and 7", told)
	}
}
