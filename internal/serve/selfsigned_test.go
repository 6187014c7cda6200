package serve_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// state is a folder with certificate and key, the clock, and what was logged.
type state struct {
	*serve.Certificates
	now    time.Time
	logged strings.Builder
}

func newState(t *testing.T, names ...string) *state {
	t.Helper()
	s := &state{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s.Certificates = &serve.Certificates{Dir: t.TempDir(), Names: names, Now: func() time.Time { return s.now },
		Log: funcr.New(func(_, line string) { fmt.Fprintln(&s.logged, line) }, funcr.Options{})}
	return s
}

// ensure gives what Ensure says it made, and the files after it.
func (s *state) ensure(t *testing.T) (made bool, cert, key []byte) {
	t.Helper()
	made, err := s.Ensure()
	if err != nil {
		t.Fatal(err)
	}
	return made, read(t, s.CertPath()), read(t, s.KeyPath())
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestKeyWithoutCertificate is what an end between the two writes leaves.
func TestKeyWithoutCertificate(t *testing.T) {
	s := newState(t, "localhost")
	_, _, key := s.ensure(t)
	if err := os.Remove(s.CertPath()); err != nil {
		t.Fatal(err)
	}
	made, _, after := s.ensure(t)
	if !made || !bytes.Equal(key, after) {
		t.Errorf("made %t, the same key %t; want a certificate for the key that is there", made, bytes.Equal(key, after))
	}
	if err := os.WriteFile(s.KeyPath(), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.CertPath()); err != nil {
		t.Fatal(err)
	}
	if made, err := s.Ensure(); err == nil || made || string(read(t, s.KeyPath())) != "no key" {
		t.Errorf("what is no key was written over: %t %v", made, err)
	}
}

func TestCertificateWithoutKey(t *testing.T) {
	s := newState(t, "localhost")
	_, cert, _ := s.ensure(t)
	if err := os.Remove(s.KeyPath()); err != nil {
		t.Fatal(err)
	}
	if made, err := s.Ensure(); err == nil || made || !bytes.Equal(cert, read(t, s.CertPath())) {
		t.Errorf("a certificate without key was written over: %t %v", made, err)
	}
}

// TestUnfitCertificate: what clients would refuse is made again where it was
// made here and that helps, and named everywhere.
func TestUnfitCertificate(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*testing.T, *state)
		want   string // in the log; empty: nothing is done
		again  bool   // one that was made here is made again
	}{
		{"nothing changed", func(*testing.T, *state) {}, "", false},
		{"another hostname", func(_ *testing.T, s *state) { s.Names = []string{"authenticator"} }, "it is not for authenticator", true},
		{"another IP address", func(_ *testing.T, s *state) { s.Names = []string{"10.0.0.1"} }, "it is not for 10.0.0.1", true},
		{"another address to listen on, which nobody asks for", func(_ *testing.T, s *state) { s.Also = []string{"10.0.0.1"} }, "", false},
		{"all addresses, which nobody asks for", func(_ *testing.T, s *state) { s.Names = []string{"localhost", "0.0.0.0"} }, "", false},
		{"fewer names", func(_ *testing.T, s *state) { s.Names, s.Also = []string{"localhost", ""}, nil }, "", false},
		{"it expired", func(_ *testing.T, s *state) { s.now = s.now.AddDate(11, 0, 0) }, "it expired at 2035-12-31 03:04:05Z", true},
		{"a clock that is far ahead", func(_ *testing.T, s *state) { s.now = s.now.AddDate(25, 0, 0) }, "set the clock", false},
		{"a clock that is behind what it signed", func(t *testing.T, s *state) {
			t.Helper()
			later := s.now.AddDate(12, 0, 0)
			if err := os.Chtimes(s.KeyPath(), later, later); err != nil {
				t.Fatal(err)
			}
			s.now = s.now.AddDate(11, 0, 0)
		}, "set the clock", false},
		{"a clock that begins in 1970", func(_ *testing.T, s *state) { s.now = time.Unix(0, 0) }, "it is not valid before", false},
		{"one that cannot be made", func(_ *testing.T, s *state) { s.Names = []string{"\u00e4"} }, "it is not for \u00e4", false},
	} {
		for _, kind := range []string{"made here", "foreign", "trusted beforehand"} {
			s := newState(t, "localhost")
			s.Also = []string{"127.0.0.1"}
			_, cert, key := s.ensure(t)
			if kind == "foreign" {
				cert = s.replaceByForeign(t)
				key = read(t, s.KeyPath())
			}
			s.Keep = kind == "trusted beforehand"
			row.change(t, s)
			made, newCert, newKey := s.ensure(t)
			want := row.again && kind == "made here"
			if made != want || bytes.Equal(cert, newCert) == want || !bytes.Equal(key, newKey) {
				t.Errorf("%s (%s): made %t, another certificate %t, another key %t", row.reason, kind, made, !bytes.Equal(cert, newCert), !bytes.Equal(key, newKey))
			}
			log := s.logged.String()
			logged := row.want
			if kind != "made here" && logged == "set the clock" {
				logged = "it expired"
			}
			if !strings.Contains(log, logged) || logged == "" && log != "" {
				t.Errorf("%s (%s): logged %q, want %q", row.reason, kind, log, logged)
			}
			if s.Keep && row.want != "" && (!strings.Contains(log, "init") || strings.Contains(log, "was made")) {
				t.Errorf("%s (%s): logged %q, which does not say what to do", row.reason, kind, log)
			}
			if again, err := s.Ensure(); again || err != nil {
				t.Errorf("%s (%s): made once more: %t %v", row.reason, kind, again, err)
			}
		}
	}
}

// TestCertificateMadeAgain: whoever trusts the old one and calls the server as
// before goes on.
func TestCertificateMadeAgain(t *testing.T) {
	s := newState(t, "old", "10.0.0.1")
	s.ensure(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.PEM())
	s.Names, s.Also = []string{"new"}, []string{"10.0.0.2"}
	s.now = s.now.AddDate(1, 0, 0)
	s.ensure(t)
	got := s.leaf(t)
	for _, name := range []string{"old", "10.0.0.1", "new", "10.0.0.2"} {
		for _, at := range []time.Time{s.now, s.now.AddDate(-1, 0, 0)} { // also if the clock was ahead
			if _, err := got.Verify(x509.VerifyOptions{DNSName: bracketed(name), Roots: roots, CurrentTime: at}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if years := got.NotAfter.Sub(s.now).Hours() / 24 / 365; years != 10 {
		t.Errorf("it is good for %.1f years, want 10", years)
	}
}

// TestCertificateOfAWrongClock: it is good once the clock is right.
func TestCertificateOfAWrongClock(t *testing.T) {
	right := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, wrong := range []time.Time{time.Unix(0, 0), right.AddDate(20, 0, 0)} {
		s := newState(t, "localhost")
		s.now = wrong
		s.ensure(t)
		for _, at := range []time.Time{wrong, right, right.AddDate(8, 0, 0)} {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(s.PEM())
			if _, err := s.leaf(t).Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, CurrentTime: at}); err != nil {
				t.Errorf("made in %d, used in %d: %v", wrong.Year(), at.Year(), err)
			}
		}
	}
}

// TestMissingBeforehand: a certificate that the API server was told of and that
// is gone is made, and the log says that the API server has to be told.
func TestMissingBeforehand(t *testing.T) {
	s := newState(t, "localhost")
	s.Keep = true
	if made, _, _ := s.ensure(t); !made || !strings.Contains(s.logged.String(), "init") {
		t.Errorf("made %t, logged %q", made, s.logged.String())
	}
}

func (s *state) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(s.PEM())
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// bracketed is a name as x509.VerifyOptions take it.
func bracketed(name string) string {
	if net.ParseIP(name) != nil {
		return "[" + name + "]"
	}
	return name
}

// replaceByForeign writes a certificate like those of aws-iam-authenticator.
func (s *state) replaceByForeign(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.PEM())
	template, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	template.PublicKey, template.RawSubject = key.Public(), nil
	template.Subject, template.SerialNumber = pkix.Name{CommonName: "aws-iam-authenticator"}, big.NewInt(1)
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for path, content := range map[string][]byte{s.CertPath(): text, s.KeyPath(): pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})} {
		if err := serve.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

func TestKeyThatOthersCanRead(t *testing.T) {
	s := newState(t, "localhost")
	if s.ensure(t); s.logged.Len() > 0 {
		t.Errorf("logged %s", s.logged.String())
	}
	if err := os.Chmod(s.KeyPath(), 0o644); err != nil {
		t.Fatal(err)
	}
	if s.ensure(t); !strings.Contains(s.logged.String(), "others than its owner") {
		t.Errorf("logged %q", s.logged.String())
	}
}
