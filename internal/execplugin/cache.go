package execplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

const (
	// leastLeft is how long a cached token must still be good for, so that
	// kubectl does not get one that expires under way.
	leastLeft = time.Minute
	// longestLife is how long any token is good for.
	longestLife = 15 * time.Minute
)

// cache is the place of one token in the cache, a file that only its owner can
// read. A file holds a secret for at most a quarter of an hour.
type cache struct{ dir, file string }

// entry is what the file holds, as JSON.
type entry struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Long    bool      `json:"long,omitempty"`
}

// openCache finds the place for the token that o asks for: eks-auth/tokens in the
// user's cache directory ($XDG_CACHE_HOME, ~/.cache, ~/Library/Caches or
// %LocalAppData%). Nothing is made before put.
func openCache(o Options) (cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return cache{}, err
	}
	key, err := cacheKey(o)
	if err != nil {
		return cache{}, err
	}
	dir = filepath.Join(dir, "eks-auth", "tokens")
	return cache{dir: dir, file: filepath.Join(dir, key+".json")}, nil
}

// get returns the token if it is there, nobody else could have read it, and it
// is good for a while.
func (c cache) get(now time.Time) (ekstoken.Token, bool) {
	info, err := os.Lstat(c.file)
	if err != nil || !info.Mode().IsRegular() || shared(info) {
		return ekstoken.Token{}, false
	}
	content, err := os.ReadFile(c.file)
	if err != nil {
		return ekstoken.Token{}, false
	}
	var e entry
	if err := json.Unmarshal(content, &e); err != nil {
		return ekstoken.Token{}, false
	}
	left := e.Expires.Sub(now)
	// More than a token's life: the clock was ahead when it was written.
	if left < leastLeft || left > longestLife || !strings.HasPrefix(e.Token, ekstoken.Prefix) {
		return ekstoken.Token{}, false
	}
	return ekstoken.Token{Value: e.Token, Expires: e.Expires, Long: e.Long}, true
}

// shared tells whether others may read or write the file. Windows keeps that
// elsewhere: in the user's own folder.
func shared(info os.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// put keeps the token and sweeps out those that have expired.
func (c cache) put(t ekstoken.Token, now time.Time) error {
	content, err := json.Marshal(entry{Token: t.Value, Expires: t.Expires, Long: t.Long})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := writeFile(c.file, content); err != nil {
		return err
	}
	return c.sweep(now)
}

// writeFile puts a whole file in place at once, readable by its owner alone.
func writeFile(name string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), "*.new") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// sweep removes every file that is older than any token lives.
func (c cache) sweep(now time.Time) error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || now.Sub(info.ModTime()) < longestLife { // gone already, or young
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, file.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing an expired token: %w", err)
		}
	}
	return nil
}
