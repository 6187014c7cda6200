package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

const (
	certFile = "cert.pem"
	keyFile  = "key.pem"

	// lifetime is that of a certificate made here.
	lifetime = 10 * 365 * 24 * time.Hour
	// lookEvery is how often the files are looked at, at most.
	lookEvery = time.Second
)

// Certificates are the certificate and key in a folder, cert.pem and key.pem.
type Certificates struct {
	// Dir is the folder. It is made with the files if they are missing.
	Dir string
	// Names are the host names and addresses that a new certificate is for.
	Names []string
	// Now is the clock. Default time.Now.
	Now func() time.Time
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

// Ensure makes a certificate that signs itself if neither file is there, and
// reads what is there. made tells which of the two it was.
func (c *Certificates) Ensure() (made bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, certErr := os.Stat(c.CertPath())
	_, keyErr := os.Stat(c.KeyPath())
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		if err := c.make(); err != nil {
			return false, fmt.Errorf("making a certificate: %w", err)
		}
		made = true
	}
	return made, c.load()
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

// make writes a new key and certificate, the key first, so that there is never
// a certificate without key.
func (c *Certificates) make() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return err
	}
	now := c.now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "aws-iam-authenticator"},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// The API server takes it for its own authority.
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(c.Names))) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	if err := WriteFile(c.KeyPath(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return WriteFile(c.CertPath(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}), 0o644)
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
