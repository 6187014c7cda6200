package execplugin

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestOnlyLastingCredentialsAreCached: what an endpoint, a process or the
// instance hands out may be another's a moment later, under the same key.
func TestOnlyLastingCredentialsAreCached(t *testing.T) {
	for source, want := range map[aws.CredentialSource]bool{
		aws.CredentialSourceHTTP: false, aws.CredentialSourceIMDS: false, aws.CredentialSourceProcess: false,
		aws.CredentialSourceProfile: true, aws.CredentialSourceSSO: true,
	} {
		if got := (signer{sources: []aws.CredentialSource{source}}).lasting(); got != want {
			t.Errorf("source %d: cached %t, want %t", source, got, want)
		}
	}
}

// TestCacheKey: everything that could lead to another token leads to another key.
func TestCacheKey(t *testing.T) {
	m := newMachine(t)
	base := Options{ClusterID: "prod"}
	m.write("identity", "one")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(m.home, "identity"))
	m.write(".aws/config", "")
	key := func(o Options) string {
		t.Helper()
		k, err := cacheKey(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seen := map[string]string{key(base): "nothing"}
	for _, tt := range []struct {
		reason string
		change func(*Options)
	}{
		{"the cluster", func(o *Options) { o.ClusterID = "test" }},
		{"the region", func(o *Options) { o.Region = "x" }},
		{"the role", func(o *Options) { o.RoleARN = "x" }},
		{"the external id", func(o *Options) { o.ExternalID = "x" }},
		{"the session name", func(o *Options) { o.SessionName = "x" }},
		{"another session name", func(o *Options) { o.ForwardSessionName = true }},
		{"the profile", func(o *Options) { o.Profile = "x" }},
		{"where one option ends", func(o *Options) { o.Region, o.RoleARN = "xx", "" }},
		{"a variable", func(*Options) { t.Setenv("AWS_PROFILE", "x") }},
		{"another value", func(*Options) { t.Setenv("AWS_PROFILE", "y") }},
		{"the config file", func(*Options) { m.write(".aws/config", "[default]") }},
		{"the credentials file, though empty", func(*Options) { m.write(".aws/credentials", "") }},
		{"the credentials file", func(*Options) { m.write(".aws/credentials", "[default]") }},
		{"a file of another name", func(*Options) { t.Setenv("AWS_CONFIG_FILE", m.write("config", "[default]")) }},
		{"an SSO session", func(*Options) { m.write(".aws/sso/cache/1.json", "{}") }},
		{"another", func(*Options) { m.write(".aws/sso/cache/2.json", "{}") }},
		{"a login", func(*Options) { m.write(".aws/login/cache/1.json", "{}") }},
		{"a login elsewhere", func(*Options) {
			m.write("logins/1.json", "{ }")
			t.Setenv("AWS_LOGIN_CACHE_DIRECTORY", filepath.Join(m.home, "logins"))
		}},
		{"a web identity", func(*Options) { m.write("identity", "two") }},
	} {
		o := base
		tt.change(&o)
		got := key(o)
		if other, ok := seen[got]; ok {
			t.Errorf("%s changes nothing against %s", tt.reason, other)
		}
		seen[got] = tt.reason
	}
	before := key(base)
	t.Setenv("KUBERNETES_EXEC_INFO", "{}")
	if key(Options{ClusterID: "prod", TokenOnly: true, Cache: true}) != before {
		t.Error("the form of the output changes the key")
	}
	if err := os.Mkdir(filepath.Join(m.home, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for reason, path := range map[string]string{
		"a folder":          filepath.Join(m.home, "folder"),
		"a device":          "/dev/zero",
		"a file too large":  m.write("large", strings.Repeat("#", maxFile+1)),
		"below what is one": filepath.Join(m.home, "identity", "x"),
	} {
		t.Setenv("AWS_CONFIG_FILE", path)
		if _, err := cacheKey(t.Context(), base); err == nil {
			t.Errorf("%s is passed over", reason)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	if _, err := cacheKey(t.Context(), base); err != nil {
		t.Errorf("no configuration on purpose: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := cacheKey(ended, base); !errors.Is(err, context.Canceled) {
		t.Errorf("it reads on when it should end: %v", err)
	}
}

// TestCacheTimes: a token is used again while it is good for a minute or more.
func TestCacheTimes(t *testing.T) {
	m := newMachine(t)
	o := Options{ClusterID: "prod", TokenOnly: true, Cache: true}
	first := m.run(o, "").out
	for _, tt := range []struct {
		reason string
		after  time.Duration
		same   bool
	}{
		{"at once", time.Second, true},
		{"with a minute left", 13 * time.Minute, true},
		{"with less", 13*time.Minute + time.Second, false},
	} {
		m.now = start.Add(tt.after)
		r := m.run(o, "")
		if r.err != nil || r.warnings != "" || (r.out == first) != tt.same {
			t.Errorf("%s: %v, %q, the same token: %t", tt.reason, r.err, r.warnings, r.out == first)
		}
	}
	second := m.run(o, "").out
	m.now = start.Add(-time.Hour)
	if m.run(o, "").out == second {
		t.Error("a token from a clock that was ahead is used")
	}
}

// TestCacheNeverOutlivesCredentials: the token of a session that ends soon is
// not used after its end.
func TestCacheNeverOutlivesCredentials(t *testing.T) {
	m := newMachine(t)
	t.Setenv("AWS_SESSION_TOKEN", "session")
	t.Setenv("AWS_CREDENTIAL_EXPIRATION", start.Add(5*time.Minute).Format(time.RFC3339))
	o := Options{ClusterID: "prod", TokenOnly: true, Cache: true}
	first := m.run(o, "")
	m.now = start.Add(3 * time.Minute)
	if again := m.run(o, ""); again.out != first.out || again.err != nil {
		t.Errorf("it is not used before: %v", again.err)
	}
	m.now = start.Add(6 * time.Minute)
	if late := m.run(o, ""); late.err == nil || !strings.Contains(late.err.Error(), "expired") {
		t.Errorf("after the end: %q, %v", late.out, late.err)
	}
}

// TestCacheFiles: what is not exactly a token that only we can read is passed
// over and replaced.
func TestCacheFiles(t *testing.T) {
	for _, tt := range []struct {
		reason string
		spoil  func(path string) error
	}{
		{"readable by the group", func(path string) error { return os.Chmod(path, 0o640) }},
		{"writable by all", func(path string) error { return os.Chmod(path, 0o602) }},
		{"cut off", func(path string) error { return os.Truncate(path, 20) }},
		{"empty", func(path string) error { return os.Truncate(path, 0) }},
		{"another token", func(path string) error {
			return os.WriteFile(path, []byte(`{"token":"abc","expires":"`+start.Add(10*time.Minute).Format(time.RFC3339)+`"}`), 0o600)
		}},
		{"a link", func(path string) error {
			return os.Symlink(path+".elsewhere", path)
		}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m := newMachine(t)
			o := Options{ClusterID: "prod", TokenOnly: true, Cache: true}
			first := m.run(o, "").out
			path := m.cached()[0]
			if tt.reason == "a link" {
				if err := os.Rename(path, path+".elsewhere"); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.spoil(path); err != nil {
				t.Fatal(err)
			}
			m.now = start.Add(time.Minute)
			second := m.run(o, "")
			if second.err != nil || second.out == first || !strings.HasPrefix(second.out, "k8s-aws-v1.") {
				t.Fatalf("got %q, %v", second.out, second.err)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("it was not replaced: %v, %v", info.Mode(), err)
			}
			m.now = start.Add(2 * time.Minute)
			if m.run(o, "").out != second.out {
				t.Error("what replaced it is not used")
			}
		})
	}
}

// TestCacheSweep: tokens that nobody asks for again do not pile up.
func TestCacheSweep(t *testing.T) {
	m := newMachine(t)
	m.now = time.Now()
	for _, name := range []string{"a", "b", "c"} {
		m.run(Options{ClusterID: name, Cache: true}, "")
	}
	old := m.cached()[0]
	if err := os.Chtimes(old, time.Time{}, m.now.Add(-16*time.Minute)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(old)
	key := strings.TrimSuffix(filepath.Base(old), ".json")
	foreign := []string{"notes.json", key + "0.json", strings.ToUpper("f"+key[1:]) + ".json", "x.new"}
	ours := []string{key + ".123.new"}
	for _, name := range append(ours, foreign...) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, m.now.Add(-16*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	m.run(Options{ClusterID: "d", Cache: true}, "")
	for _, name := range foreign {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Errorf("a file of somebody else was removed: %v", err)
		}
	}
	files := m.cached()
	if len(files) != 3 {
		t.Errorf("files: %v", files)
	}
	for _, file := range files {
		if file == old {
			t.Error("the old one is still there")
		}
	}
}

// TestCacheInAnyHome: characters that mean something in patterns are nothing
// special in a path.
func TestCacheInAnyHome(t *testing.T) {
	for _, name := range []string{"plain", "[a-z]", "[", "a*b", "back\\slash"} {
		m := newMachine(t)
		m.home = filepath.Join(m.home, name)
		t.Setenv("HOME", m.home)
		m.write(".aws/sso/cache/1.json", "{}")
		before, err := cacheKey(t.Context(), Options{ClusterID: "prod"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m.write(".aws/sso/cache/1.json", "{ }")
		if after, err := cacheKey(t.Context(), Options{ClusterID: "prod"}); err != nil || after == before {
			t.Errorf("%s: another session changes nothing (%v)", name, err)
		}
	}
}

// TestCacheKeyOnWindows: AWS_Profile and AWS_PROFILE are one variable there.
func TestCacheKeyOnWindows(t *testing.T) {
	environment := []string{"aws_b=2", "PATH=x", "AWS_A=1", "Aws_c=3", "=C:=x"}
	if got := awsVariables(environment, true); !slices.Equal(got, []variable{{"AWS_A", "1"}, {"AWS_B", "2"}, {"AWS_C", "3"}}) {
		t.Errorf("folded: %v", got)
	}
	if got := awsVariables(environment, false); !slices.Equal(got, []variable{{"AWS_A", "1"}}) {
		t.Errorf("exact: %v", got)
	}
}

// TestCacheOfWhatWasRead: a token is not kept if what it may have been made from
// changed while it was made.
func TestCacheOfWhatWasRead(t *testing.T) {
	for _, changes := range []bool{false, true} {
		m := newMachine(t)
		t.Setenv("AWS_REGION", "eu-west-1")
		c := Config{Options: Options{ClusterID: "prod", TokenOnly: true, Cache: true}, In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
		asked := 0
		c.Now = func() time.Time {
			if asked++; asked == 2 && changes { // minting asks after the first look into the cache
				m.write(".aws/config", "[default]")
			}
			return start
		}
		if err := Token(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if kept := len(m.cached()) == 1; kept == changes {
			t.Errorf("changed meanwhile: %t, kept: %t", changes, kept)
		}
	}
}
