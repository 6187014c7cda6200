package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	minSecret = 32
	// extractSalt keeps what is derived here apart from other uses of a secret.
	extractSalt = "aws-auth-refresher login session v1"

	saltSize  = 12
	nonceSize = 12
	tagSize   = 16
	keySize   = 32
)

// Keys seals and opens what leaves the process, and names things by secret
// digests. Every purpose has keys of its own, so that what was sealed for one
// opens for no other. The zero value does not work: use NewKeys.
type Keys struct {
	roots [][]byte // of the current secret first
}

// NewKeys derives keys from secrets of at least 32 random bytes each. The first
// seals; all of them open, so that a secret can be replaced while what the
// previous one sealed is still in use.
func NewKeys(secret []byte, previous ...[]byte) (*Keys, error) {
	k := &Keys{}
	for i, s := range slices.Insert(slices.Clone(previous), 0, secret) {
		if len(s) < minSecret {
			return nil, shortSecret(i, len(s))
		}
		root, err := hkdf.Extract(sha256.New, s, []byte(extractSalt))
		if err != nil {
			return nil, fmt.Errorf("derive the keys: %w", err)
		}
		if !slices.ContainsFunc(k.roots, func(r []byte) bool { return bytes.Equal(r, root) }) {
			k.roots = append(k.roots, root)
		}
	}
	return k, nil
}

func shortSecret(i, length int) error {
	which := "the cookie secret"
	if i > 0 {
		which = fmt.Sprintf("previous cookie secret %d", i)
	}
	return fmt.Errorf("%s has %d bytes and needs at least %d: make one with `openssl rand -base64 32`", which, length, minSecret)
}

// Seal encrypts and authenticates plaintext with AES-256-GCM, as base64url.
// Only Open with the same purpose and associated data gives it back. Each call
// uses a key of its own, derived with a random salt, so that there is no bound
// on how often strangers may make the program seal something.
func (k *Keys) Seal(purpose string, plaintext, associated []byte) string {
	sealed := make([]byte, saltSize+nonceSize, saltSize+nonceSize+len(plaintext)+tagSize)
	rand.Read(sealed)
	aead := sealer(k.roots[0], purpose, sealed[:saltSize])
	sealed = aead.Seal(sealed, sealed[saltSize:], plaintext, associated)
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// Open gives back what Seal took, if it was sealed with one of the secrets for
// this purpose and with this associated data, and is spelled as Seal spelled it.
func (k *Keys) Open(purpose, sealed string, associated []byte) ([]byte, error) {
	// The decoder would skip line breaks.
	if strings.ContainsAny(sealed, "\r\n") {
		return nil, errors.New("not what was sealed: it holds a line break")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, errors.New("not what was sealed: no base64url")
	}
	if len(raw) < saltSize+nonceSize+tagSize {
		return nil, errors.New("not what was sealed: too short")
	}
	salt, nonce, box := raw[:saltSize], raw[saltSize:saltSize+nonceSize], raw[saltSize+nonceSize:]
	for _, root := range k.roots {
		if plaintext, err := sealer(root, purpose, salt).Open(nil, nonce, box, associated); err == nil {
			return plaintext, nil
		}
	}
	return nil, errors.New("not sealed for this purpose with any of the secrets")
}

// MACs returns the hex HMAC-SHA256 of the parts under each secret, the current
// one first. The parts are taken apart: ("a", "bc") is not ("ab", "c").
func (k *Keys) MACs(purpose string, parts ...string) []string {
	var message []byte
	for _, part := range parts {
		message = appendPart(message, part)
	}
	macs := make([]string, 0, len(k.roots))
	for _, root := range k.roots {
		mac := hmac.New(sha256.New, derive(root, "mac", purpose, nil))
		mac.Write(message)
		macs = append(macs, hex.EncodeToString(mac.Sum(nil)))
	}
	return macs
}

// appendPart appends a part with its length before it.
func appendPart(b []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(part))), part...)
}

func sealer(root []byte, purpose string, salt []byte) cipher.AEAD {
	block, err := aes.NewCipher(derive(root, "seal", purpose, salt))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block is AES's
	}
	return aead
}

func derive(root []byte, use, purpose string, salt []byte) []byte {
	info := appendPart(appendPart(appendPart(nil, use), purpose), string(salt))
	key, err := hkdf.Expand(sha256.New, root, string(info), keySize)
	if err != nil {
		panic(err) // SHA-256 gives 32 bytes
	}
	return key
}
