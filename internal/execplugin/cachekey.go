package execplugin

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cacheKey digests everything that decides what token comes out: the options,
// the AWS_ variables, and what stands in the files that the SDK would read. A
// file that is there but cannot be read is an error.
func cacheKey(o Options) (string, error) {
	d := digest{sha256.New()}
	d.add("token 1", o.ClusterID, o.Region, o.RoleARN, o.ExternalID, o.SessionName, o.Profile)
	if o.ForwardSessionName {
		d.add("forward-session-name")
	}
	files := sharedFiles()
	environment := slices.Sorted(slices.Values(os.Environ()))
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "AWS_") {
			continue
		}
		d.add(name, value)
		// Web identities, tokens for the containers' endpoint.
		if strings.HasSuffix(name, "_FILE") {
			files = append(files, value)
		}
	}
	for _, pattern := range sessionCaches() {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if err := d.addFile(file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(d.Sum(nil)), nil
}

// sharedFiles are the two files that hold profiles.
func sharedFiles() []string {
	return []string{
		cmp.Or(os.Getenv("AWS_CONFIG_FILE"), inHome(".aws", "config")),
		cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), inHome(".aws", "credentials")),
	}
}

// sessionCaches are where `aws sso login` and `aws login` leave sessions.
func sessionCaches() []string {
	logins := cmp.Or(os.Getenv("AWS_LOGIN_CACHE_DIRECTORY"), inHome(".aws", "login", "cache"))
	return []string{inHome(".aws", "sso", "cache", "*.json"), filepath.Join(logins, "*.json")}
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

func (d digest) addFile(name string) error {
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		d.add(name, "is missing")
		return nil
	}
	if err != nil {
		return err
	}
	d.add(name, "holds", string(content))
	return nil
}
