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
// made here, and named where it was not.
func TestUnfitCertificate(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*state)
		want   string // in the log; empty: nothing is done
	}{
		{"nothing changed", func(*state) {}, ""},
		{"another hostname", func(s *state) { s.Names = []string{"authenticator", "127.0.0.1"} }, "it is not for authenticator"},
		{"another address", func(s *state) { s.Names = []string{"localhost", "10.0.0.1"} }, "it is not for 10.0.0.1"},
		{"all addresses, which nobody asks for", func(s *state) { s.Names = []string{"localhost", "0.0.0.0"} }, ""},
		{"fewer names", func(s *state) { s.Names = []string{"localhost", ""} }, ""},
		{"it expired", func(s *state) { s.now = s.now.AddDate(11, 0, 0) }, "it expired at 2035-12-31 03:04:05Z"},
		{"it is not valid yet", func(s *state) { s.now = s.now.AddDate(-1, 0, 0) }, "it is not valid before"},
	} {
		for _, foreign := range []bool{false, true} {
			s := newState(t, "localhost", "127.0.0.1")
			_, cert, key := s.ensure(t)
			if foreign {
				cert = s.replaceByForeign(t)
				key = read(t, s.KeyPath())
			}
			row.change(s)
			made, newCert, newKey := s.ensure(t)
			want := row.want != "" && !foreign
			if made != want || bytes.Equal(cert, newCert) == want || !bytes.Equal(key, newKey) {
				t.Errorf("%s (foreign %t): made %t, another certificate %t, another key %t", row.reason, foreign, made, !bytes.Equal(cert, newCert), !bytes.Equal(key, newKey))
			}
			if log := s.logged.String(); !strings.Contains(log, row.want) || row.want == "" && log != "" {
				t.Errorf("%s (foreign %t): logged %q, want %q", row.reason, foreign, log, row.want)
			}
			if again, err := s.Ensure(); again || err != nil {
				t.Errorf("%s (foreign %t): made once more: %t %v", row.reason, foreign, again, err)
			}
		}
	}
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
