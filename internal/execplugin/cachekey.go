package execplugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// maxFile is the largest file that counts, in bytes: SDKs read whole
// configurations, which are a few kilobytes.
const maxFile = 1 << 20

// cacheKey digests everything that decides what token comes out: the options,
// the AWS_ variables, and what stands in the files that the SDK would read. A
// file that is there but cannot be read, or only once, as a pipe, is an error.
func cacheKey(ctx context.Context, o Options) (string, error) {
	d := digest{sha256.New()}
	d.add("token 1", o.ClusterID, o.Region, o.RoleARN, o.ExternalID, o.SessionName, o.Profile)
	if o.ForwardSessionName {
		d.add("forward-session-name")
	}
	files := sharedFiles()
	for _, v := range awsVariables(os.Environ(), runtime.GOOS == "windows") {
		d.add(v.name, v.value)
		// Web identities, tokens for the containers' endpoint.
		if strings.HasSuffix(v.name, "_FILE") {
			files = append(files, v.value)
		}
	}
	for _, dir := range sessionCaches() {
		found, err := sessionsIn(dir)
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := d.addFile(file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(d.Sum(nil)), nil
}

type variable struct{ name, value string }

// awsVariables are the AWS_ variables of an environment (NAME=value) by name. On
// Windows fold is true: case does not tell two variables apart there.
func awsVariables(environment []string, fold bool) []variable {
	var found []variable
	for _, text := range environment {
		name, value, _ := strings.Cut(text, "=")
		if fold {
			name = strings.ToUpper(name)
		}
		if strings.HasPrefix(name, "AWS_") {
			found = append(found, variable{name, value})
		}
	}
	slices.SortFunc(found, func(a, b variable) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value)) })
	return found
}

// sharedFiles are the two files that hold profiles.
func sharedFiles() []string {
	return []string{
		cmp.Or(os.Getenv("AWS_CONFIG_FILE"), inHome(".aws", "config")),
		cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), inHome(".aws", "credentials")),
	}
}

// sessionCaches are the folders where `aws sso login` and `aws login` leave
// sessions.
func sessionCaches() []string {
	return []string{
		inHome(".aws", "sso", "cache"),
		cmp.Or(os.Getenv("AWS_LOGIN_CACHE_DIRECTORY"), inHome(".aws", "login", "cache")),
	}
}

// sessionsIn are the sessions in a folder, if there is one.
func sessionsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".json" {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, nil
}

func inHome(parts ...string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // as the SDK does
	}
	return filepath.Join(append([]string{home}, parts...)...)
}

// digest adds strings such that no two lists of them look alike.
type digest struct{ hash.Hash }

func (d digest) add(parts ...string) {
	for _, part := range parts {
		d.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash returns no error
		d.Write([]byte(part))
	}
}

// addFile reads no file that reading changes: a pipe's content would be missing
// to the SDK, and may never come.
func (d digest) addFile(name string) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		d.add(name, "is missing")
		return nil
	}
	if err != nil {
		return err
	}
	if nothing, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, nothing) {
		d.add(name, "holds", "")
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return err
	}
	if len(content) > maxFile {
		return fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	d.add(name, "holds", string(content))
	return nil
}
