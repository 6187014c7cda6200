package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
)

const (
	idBytes   = 32
	keyLength = 2 * sha256.Size
	// shownOfKey is how much of a key logs show.
	shownOfKey = 12
)

// ID is what the person's cookie holds: 32 random bytes as unpadded base64url.
// Whoever has it, has the session.
type ID string

// NewID makes an id from 32 bytes of r. Only ids made here belong in Create.
func NewID(r io.Reader) (ID, error) {
	var random [idBytes]byte
	if _, err := io.ReadFull(r, random[:]); err != nil {
		return "", fmt.Errorf("make a session id: %w", err)
	}
	return ID(base64.RawURLEncoding.EncodeToString(random[:])), nil
}

// ParseID takes the value of a cookie. It only says that this could be an id,
// in its one spelling; whether it stands for a session, a store says.
func ParseID(s string) (ID, bool) {
	if len(s) != base64.RawURLEncoding.EncodedLen(idBytes) {
		return "", false
	}
	random, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(random) != idBytes {
		return "", false
	}
	return ID(s), true
}

// Key returns the hex SHA-256 of the id, by which stores and watchers know the
// session. The id cannot be told from it.
func (id ID) Key() string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// String returns the first 12 characters of the key, for logs; string(id) is
// the cookie's value.
func (id ID) String() string { return id.Key()[:shownOfKey] }

// GoString hides the id too.
func (id ID) GoString() string { return id.String() }

// isKey tells whether s could be what Key returns.
func isKey(s string) bool {
	if len(s) != keyLength {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
