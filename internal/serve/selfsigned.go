package serve

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"runtime"
	"slices"
	"time"
)

// maker is in the subject of certificates made here, beside the common name
// that those of aws-iam-authenticator have, too.
const maker = "aws-auth-refresher"

// errUnfit says that a certificate does not do.
var errUnfit = errors.New("the certificate does not fit")

// madeHere tells whether this program made a certificate: its name stands in
// it, and its own key signed it.
func madeHere(cert *x509.Certificate) bool {
	return slices.Contains(cert.Subject.Organization, maker) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// cure is what helps a certificate that has faults, as a message.
type cure string

const (
	makeAgain cure = "make it again"
	setClock  cure = "the clock and the certificate do not agree; set the clock or, if it is right, remove the certificate and start this server and the API server again"
	replace   cure = "the API server will refuse the certificate; replace it, it is not one that this program made"
	tellAgain cure = "the certificate stays, because the API server was told of it beforehand; if it refuses it, run init and start it and this server again"
)

// faults are why a client that asks for one of the names would refuse the
// certificate. Nobody asks for the address that stands for all.
func (c *Certificates) faults(cert *x509.Certificate) ([]string, cure) {
	const format = "2006-01-02 15:04:05Z"
	var faults []string
	now, wrongClock := c.now(), false
	if now.After(cert.NotAfter) {
		faults = append(faults, "it expired at "+cert.NotAfter.UTC().Format(format))
		wrongClock = now.Sub(cert.NotAfter) > longestAway || c.keyIsYounger(now)
	}
	if now.Before(cert.NotBefore) {
		faults = append(faults, "it is not valid before "+cert.NotBefore.UTC().Format(format))
		wrongClock = true
	}
	misnamed := false
	for _, name := range c.Names {
		if ip := net.ParseIP(name); name == "" || ip != nil && ip.IsUnspecified() {
			continue
		}
		if cert.VerifyHostname(name) != nil {
			faults = append(faults, "it is not for "+name)
			misnamed = true
		}
	}
	switch {
	case c.Keep:
		return faults, tellAgain
	case !madeHere(cert):
		return faults, replace
	case wrongClock && !misnamed:
		return faults, setClock
	}
	return faults, makeAgain
}

// keyIsYounger tells whether the key was written after a time: a clock that says
// that time is behind.
func (c *Certificates) keyIsYounger(than time.Time) bool {
	info, err := os.Stat(c.KeyPath())
	return err == nil && info.ModTime().After(than)
}

// names are those of a new certificate, with those of the old one if there is
// one.
func (c *Certificates) names(old *x509.Certificate) []string {
	names := slices.Concat(c.Names, c.Also)
	if old != nil {
		names = append(names, old.DNSNames...)
		for _, ip := range old.IPAddresses {
			names = append(names, ip.String())
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// times are from when until when a new certificate is good: ten years from now
// and when the old one was, and also when the clock is right again if now it is
// not.
func (c *Certificates) times(old *x509.Certificate) (from, to time.Time) {
	from, to = c.now(), c.now()
	if first := time.Unix(earliest, 0); first.Before(from) {
		from = first
	} else {
		to = first
	}
	from, to = from.Add(-clockSkew), to.Add(lifetime)
	if old != nil && old.NotBefore.Before(from) {
		from = old.NotBefore
	}
	if old != nil && old.NotAfter.After(to) {
		to = old.NotAfter
	}
	return from, to
}

// checkKeyMode warns of a key that others than its owner can reach. Windows
// keeps that elsewhere.
func (c *Certificates) checkKeyMode() {
	info, err := os.Stat(c.KeyPath())
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		c.Log.Info("warning: others than its owner can read or write the key; chmod 0600 keeps them from answering in this server's place",
			"file", c.KeyPath(), "mode", info.Mode().Perm().String())
	}
}

// make writes a new certificate, and its key first where there is none, so that
// there is never a certificate without key. What the old certificate is good for,
// the new one is, too; nil if there is none.
func (c *Certificates) make(old *x509.Certificate) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	key, err := c.key()
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return err
	}
	from, to := c.times(old)
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "aws-iam-authenticator", Organization: []string{maker}},
		NotBefore:    from,
		NotAfter:     to,
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// The API server takes it for its own authority.
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	for _, name := range c.names(old) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return WriteFile(c.CertPath(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}), 0o644)
}

// key reads the key, or makes and writes one if there is none.
func (c *Certificates) key() (crypto.Signer, error) {
	text, err := os.ReadFile(c.KeyPath())
	if err == nil {
		return parseKey(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, WriteFile(c.KeyPath(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
}

// parseKey reads a private key in any form that tls.LoadX509KeyPair takes.
func parseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("there is no private key in " + keyFile)
}
