package mappings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

const (
	// pollEvery is how often files are looked at. Mounted ConfigMaps change by
	// a swap of symbolic links, which notifications of the kernel miss easily.
	pollEvery = time.Second
	maxFile   = 16 << 20
)

// FileConfig says which file a backend reads, and how.
type FileConfig struct {
	Path string
	Log  logr.Logger
	// Clock wakes the backend up. Default: the real one.
	Clock clock.WithTicker
	// Failed is called whenever the file cannot be read or is refused.
	// Default: nothing.
	Failed func()
	// Changed is called when a dynamic file has been read again that says when
	// it was written. Default: nothing.
	Changed func(updated time.Time)
}

// File is a backend that reads a file, and reads it again when it changes.
type File struct {
	config  FileConfig
	name    string
	read    func([]byte) (*table, error)
	last    []byte
	loaded  bool
	trouble string
	content atomic.Pointer[table]
}

// NewMountedFile is the backend MountedFile, the mappings in the server's
// configuration file. Without a path it has no entries.
func NewMountedFile(c FileConfig) *File {
	return newFile(c, authnconfig.MountedFile, func(text []byte) (*table, error) {
		file := authnconfig.Default()
		if err := authnconfig.Decode(text, &file); err != nil {
			return nil, err
		}
		return newTable(file.Server.Mappings, false), nil
	})
}

// NewDynamicFile is the backend DynamicFile, a file of mappings in JSON that
// may come and go. With byUserID it finds identities by their unique id.
func NewDynamicFile(c FileConfig, byUserID bool) *File {
	return newFile(c, authnconfig.DynamicFile, func(text []byte) (*table, error) {
		m, err := authnconfig.DecodeDynamic(text, byUserID)
		return newTable(m, byUserID), err
	})
}

func newFile(c FileConfig, name string, read func([]byte) (*table, error)) *File {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Failed == nil {
		c.Failed = func() {}
	}
	if c.Changed == nil {
		c.Changed = func(time.Time) {}
	}
	return &File{config: c, name: name, read: read}
}

// Name is the backend's name in configurations.
func (f *File) Name() string { return f.name }

// Content is the content of the file when it was last readable.
func (f *File) Content() Content {
	if t := f.content.Load(); t != nil {
		return t
	}
	return nil
}

// Run looks at the file every second.
func (f *File) Run(ctx context.Context) error {
	ticker := f.config.Clock.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		f.Refresh()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// Refresh looks at the file now. It must not overlap with Run.
func (f *File) Refresh() {
	text, err := f.text()
	if err == nil && f.loaded && bytes.Equal(text, f.last) {
		return
	}
	var t *table
	if err == nil && text != nil && len(bytes.TrimSpace(text)) == 0 {
		err = errors.New("it is empty, as while it is being written; to take all mappings out, write empty lists")
	}
	if err == nil {
		t, err = f.read(text)
	}
	if err != nil {
		f.fail(err)
		return
	}
	f.last, f.loaded, f.trouble = text, true, ""
	// What was there at the start may have been written long before.
	if again := f.content.Swap(t) != nil; again && !t.updated.IsZero() {
		f.config.Changed(t.updated)
	}
	f.config.Log.Info("mappings read", "backend", f.name, "file", f.config.Path, "roles", len(t.roles), "sso", len(t.sso), "users", len(t.users), "accounts", len(t.accounts))
}

// fail reports a trouble once, and again when it becomes another one.
func (f *File) fail(err error) {
	if err.Error() == f.trouble {
		return
	}
	f.trouble, f.loaded = err.Error(), false
	f.config.Failed()
	f.config.Log.Error(err, "mappings cannot be read; what was read before stays", "backend", f.name, "file", f.config.Path)
}

// text is the file's text. A dynamic file that is not there, and a mounted one
// that nobody named, are empty.
func (f *File) text() ([]byte, error) {
	if f.config.Path == "" {
		return nil, nil
	}
	text, err := readFile(f.config.Path)
	if errors.Is(err, fs.ErrNotExist) && f.name == authnconfig.DynamicFile {
		return nil, nil
	}
	return text, err
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than 16 MiB", path)
	}
	return text, err
}
