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

	ensuring sync.Mutex
	once     sync.Once
	files    Pair // see pair
}

// CertPath is where the certificate stands.
func (c *Certificates) CertPath() string { return filepath.Join(c.Dir, certFile) }

// KeyPath is where the key stands.
func (c *Certificates) KeyPath() string { return filepath.Join(c.Dir, keyFile) }

// pair is what reads the files.
func (c *Certificates) pair() *Pair {
	c.once.Do(func() {
		c.files.CertFile, c.files.KeyFile, c.files.Now, c.files.Log = c.CertPath(), c.KeyPath(), c.now, c.Log
	})
	return &c.files
}

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
	c.ensuring.Lock()
	defer c.ensuring.Unlock()
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
		return true, c.pair().Load()
	case err != nil:
		return false, fmt.Errorf("reading the certificate: %w", err)
	}
	if err := c.pair().Load(); err != nil {
		return false, err
	}
	leaf := c.pair().last().Leaf
	faults, cure := c.faults(leaf)
	if len(faults) == 0 {
		return false, nil
	}
	if cure != makeAgain {
		c.Log.Error(errUnfit, string(cure), "file", c.CertPath(), "faults", faults)
		return false, nil
	}
	if err := c.make(leaf); err != nil {
		c.Log.Error(err, "the certificate cannot be made again; the old one stays", "file", c.CertPath(), "faults", faults)
		return false, nil
	}
	c.Log.Info("the certificate was made again, with the same key; start the API server again once the webhook kubeconfig is written",
		"file", c.CertPath(), "faults", faults)
	return true, c.pair().Load()
}

// PEM is the certificate as in its file, without the rest of a chain.
func (c *Certificates) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.pair().last().Certificate[0]})
}

// Get gives the certificate for a handshake, as Pair.Get does.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.pair().Get(hello)
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
