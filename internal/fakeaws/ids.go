package fakeaws

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// idAlphabet is the alphabet that AWS's ids are seen to use.
const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// idSource makes what AWS makes up. It is not safe for concurrent use.
type idSource struct{ random rand.Source }

// id returns prefix and then n characters; the prefixes are listed under
// "Unique identifiers" in the IAM user guide (AIDA a user, AROA a role, AGPA a
// group, each followed by 17; AKIA and ASIA a key, followed by 16).
func (s idSource) id(prefix string, n int) string {
	b := []byte(prefix)
	for range n {
		b = append(b, idAlphabet[s.random.Uint64()>>59])
	}
	return string(b)
}

func (s idSource) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, s.random.Uint64())
	}
	return b[:n]
}

// secret returns a secret access key: 40 characters.
func (s idSource) secret() string { return base64.StdEncoding.EncodeToString(s.bytes(30)) }

// token returns a session token: opaque, some hundred characters.
func (s idSource) token() string {
	return "IQoJb3JpZ2luX2Vj" + base64.StdEncoding.EncodeToString(s.bytes(240))
}

func (s idSource) uuid() string {
	b := s.bytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
