package execplugin

import (
	"context"
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
	// keyLength is that of a key, a SHA-256 digest in hexadecimal.
	keyLength = 64
)

// cache is the place of one token in the cache, a file that only its owner can
// read. A file holds a secret for at most a quarter of an hour.
type cache struct{ dir, key string }

// suffix ends the names of tokens, temporary those of tokens that are being
// written; before it stands the key, and in a temporary one a number.
const (
	suffix    = ".json"
	temporary = ".new"
)

func (c cache) file() string { return filepath.Join(c.dir, c.key+suffix) }

// entry is what the file holds, as JSON.
type entry struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Long    bool      `json:"long,omitempty"`
}

// openCache finds the place for the token that o asks for: eks-auth/tokens in the
// user's cache directory ($XDG_CACHE_HOME, ~/.cache, ~/Library/Caches or
// %LocalAppData%). Nothing is made before put.
func openCache(ctx context.Context, o Options) (cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return cache{}, err
	}
	key, err := cacheKey(ctx, o)
	if err != nil {
		return cache{}, err
	}
	return cache{dir: filepath.Join(dir, "eks-auth", "tokens"), key: key}, nil
}

// get returns the token if it is there, nobody else could have read it, and it
// is good for a while.
func (c cache) get(now time.Time) (ekstoken.Token, bool) {
	info, err := os.Lstat(c.file())
	if err != nil || !info.Mode().IsRegular() || shared(info) {
		return ekstoken.Token{}, false
	}
	content, err := os.ReadFile(c.file())
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
	if err := c.write(content); err != nil {
		return err
	}
	return c.sweep(now)
}

// write puts a whole file in place at once, readable by its owner alone.
func (c cache) write(content []byte) error {
	file, err := os.CreateTemp(c.dir, c.key+".*"+temporary) // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), c.file())
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// sweep removes every file of ours that is older than any token lives.
func (c cache) sweep(now time.Time) error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if !file.Type().IsRegular() || !isOurs(file.Name()) {
			continue
		}
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

// isOurs tells whether a file of this name is one that write makes.
func isOurs(name string) bool {
	if len(name) < keyLength {
		return false
	}
	key, rest := name[:keyLength], name[keyLength:]
	return strings.Trim(key, "0123456789abcdef") == "" && (rest == suffix || strings.HasPrefix(rest, ".") && strings.HasSuffix(rest, temporary))
}
