package serve

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// Pair is a certificate and its key in two files, as a Kubernetes Secret or
// certbot puts them somewhere. The zero value with both paths is ready after
// Load.
type Pair struct {
	CertFile, KeyFile string
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

// Load reads the files.
func (p *Pair) Load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.load()
}

// Get gives the certificate for a handshake. It reads the files again when they
// have changed; while they cannot be read or do not fit together the last good
// pair stays.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	if t := now(); t.Sub(p.looked) >= lookEvery || t.Before(p.looked) {
		p.looked = t
		if stamp, err := p.stamps(); err == nil && stamp != p.stamp {
			if err := p.load(); err != nil {
				p.Log.Error(err, "the new certificate cannot be used; the old one stays")
			} else {
				p.Log.Info("certificate read", "file", p.CertFile)
			}
		}
	}
	return p.current, nil
}

// last is the last good certificate, as Get or Load read it.
func (p *Pair) last() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

func (p *Pair) load() error {
	stamp, err := p.stamps()
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	p.current, p.stamp = &pair, stamp
	return nil
}

func (p *Pair) stamps() (s [2]fileStamp, err error) {
	for i, path := range []string{p.CertFile, p.KeyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}
