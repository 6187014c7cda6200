package execplugin

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// machine is a computer with nothing of AWS on it, except for one user's keys
// in the environment.
type machine struct {
	t    *testing.T
	home string
	now  time.Time
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "AWS_") || name == clusterEnv || name == roleEnv || name == "KUBERNETES_EXEC_INFO" {
			t.Setenv(name, "") // to put it back
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := &machine{t: t, home: t.TempDir(), now: start}
	t.Setenv("HOME", m.home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(m.home, ".cache"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	return m
}

// write writes a file under the home directory and returns its path.
func (m *machine) write(name, content string) string {
	m.t.Helper()
	path := filepath.Join(m.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

type result struct {
	out, warnings string
	err           error
}

func (m *machine) run(o Options, stdin string) result {
	m.t.Helper()
	var out, warnings bytes.Buffer
	err := Token(m.t.Context(), Config{Options: o, In: strings.NewReader(stdin), Out: &out, Err: &warnings, Now: func() time.Time { return m.now }})
	return result{out.String(), warnings.String(), err}
}

// query is what the bare token that was printed asks STS.
func (r result) query(t *testing.T) url.Values {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	presigned, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(r.out), "k8s-aws-v1."))
	if err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(string(presigned))
	if err != nil {
		t.Fatal(err)
	}
	return link.Query()
}

func (m *machine) cached() []string {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.home, ".cache", "eks-auth", "tokens", "*"))
	if err != nil {
		m.t.Fatal(err)
	}
	return files
}
