package serve

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

const (
	certFile = "cert.pem"
	keyFile  = "key.pem"

	// lifetime is that of a certificate made here.
	lifetime = 10 * 365 * 24 * time.Hour
	// clockSkew is by how much clocks may differ.
	clockSkew = time.Hour
	// longestAway is how long after its end a certificate is still made again.
	// After that a clock that is far ahead is more likely than a server that
	// nobody could use for so long.
	longestAway = 2 * 365 * 24 * time.Hour
	// earliest is the start of 2026, in seconds since 1970: no clock that is
	// right says less.
	earliest = 1767225600
	// lookEvery is how often the files are looked at, at most.
	lookEvery = time.Second
)

// Certificates are the certificate and key in a folder, cert.pem and key.pem.
type Certificates struct {
	// Dir is the folder. It is made with the files if they are missing.
	Dir string
	// Names are the host names and addresses that clients call the server by.
	Names []string
	// Also are further names that a new certificate is for; one that is there
	// need not be.
	Also []string
	// Keep says that clients were told beforehand to trust the certificate that
	// is there: it is never made again. Default: false, they are told after
	// Ensure.
	Keep bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Log takes what is wrong with the files. Default: none.
	Log logr.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	looked  time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// CertPath is where the certificate stands.
func (c *Certificates) CertPath() string { return filepath.Join(c.Dir, certFile) }

// KeyPath is where the key stands.
func (c *Certificates) KeyPath() string { return filepath.Join(c.Dir, keyFile) }

func (c *Certificates) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Ensure reads the certificate and the key, and makes what is missing: both, or
// the certificate of a key that stands alone, as an end between the two writes
// leaves it. A certificate that has expired or is not for Names is made again
// with the same key if it was made here, for its old names and times as well, so
// that clients who trust it go on. One of anybody else, one to Keep, and one that
// only a wrong clock finds fault with are left as they are, and the log says what
// is wrong with them. made tells whether a certificate was made.
func (c *Certificates) Ensure() (made bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.checkKeyMode()
	_, err = os.Stat(c.CertPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := c.make(nil); err != nil {
			return false, fmt.Errorf("making a certificate: %w", err)
		}
		if c.Keep {
			c.Log.Info("there was no certificate, one was made; unless the webhook kubeconfig trusts its key, run init and start the API server again",
				"file", c.CertPath())
		}
		return true, c.load()
	case err != nil:
		return false, fmt.Errorf("reading the certificate: %w", err)
	}
	if err := c.load(); err != nil {
		return false, err
	}
	faults, cure := c.faults(c.current.Leaf)
	if len(faults) == 0 {
		return false, nil
	}
	if cure != makeAgain {
		c.Log.Error(errUnfit, string(cure), "file", c.CertPath(), "faults", faults)
		return false, nil
	}
	if err := c.make(c.current.Leaf); err != nil {
		c.Log.Error(err, "the certificate cannot be made again; the old one stays", "file", c.CertPath(), "faults", faults)
		return false, nil
	}
	c.Log.Info("the certificate was made again, with the same key; start the API server again once the webhook kubeconfig is written",
		"file", c.CertPath(), "faults", faults)
	return true, c.load()
}

// PEM is the certificate as in its file, without the rest of a chain.
func (c *Certificates) PEM() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.current.Certificate[0]})
}

// Get gives the certificate for a handshake. It reads the files again when they
// have changed; while they cannot be read or do not fit together the last good
// pair stays.
func (c *Certificates) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery || now.Before(c.looked) {
		c.looked = now
		if stamp, err := c.stamps(); err == nil && stamp != c.stamp {
			if err := c.load(); err != nil {
				c.Log.Error(err, "the new certificate cannot be used; the old one stays")
			} else {
				c.Log.Info("certificate read", "file", c.CertPath())
			}
		}
	}
	return c.current, nil
}

func (c *Certificates) stamps() (s [2]fileStamp, err error) {
	for i, path := range []string{c.CertPath(), c.KeyPath()} {
		info, err := os.Stat(path)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

func (c *Certificates) load() error {
	stamp, err := c.stamps()
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.CertPath(), c.KeyPath())
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

// WriteFile writes a file whole or not at all: whoever reads it meanwhile sees
// the old or the new content.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
