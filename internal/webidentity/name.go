package webidentity

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is the length that STS allows a role session name.
	maxName = 64
	// markLength is how many characters of a hash tell altered values apart.
	markLength = 16
)

// RoleSessionName is the session name of the person with this email: 2 to 64
// characters of [\w+=,.@-], which STS takes as a source identity, too.
//
// It is the email in lower case, so that two spellings of an address are one
// person. Other characters become a hyphen and what is too long is cut; then,
// and when the email looks as if that had happened to it, a hyphen and 16
// characters of a hash of the email follow, so that the names of two people
// differ: they become users of Kubernetes.
func RoleSessionName(email string) string {
	return legible{max: maxName, min: 2, fits: inName}.write(lower(email))
}

func inName(c rune) bool {
	return isAlphanumeric(c) || strings.ContainsRune("_+=,.@-", c)
}

// tagValue is a value as session tags may hold it: letters, digits, spaces and
// _.:/=+-@, at most 256 characters. Altered values are marked like names.
func tagValue(v string) string {
	return legible{max: 256, fits: inTag}.write(v)
}

func inTag(c rune) bool { return isAlphanumeric(c) || strings.ContainsRune(" _.:/=+-@", c) }

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// legible writes values in a smaller alphabet so that they can still be read
// and no two become the same.
type legible struct {
	min, max int
	fits     func(rune) bool
}

func (l legible) write(v string) string {
	kept := strings.Map(func(c rune) rune {
		if l.fits(c) {
			return c
		}
		return '-'
	}, v)
	if kept == v && len(kept) >= l.min && len(kept) <= l.max && !isMarked(kept) {
		return kept
	}
	kept = kept[:min(len(kept), l.max-1-markLength)]
	return kept + "-" + mark(v)
}

func mark(v string) string {
	sum := sha256.Sum256([]byte(v))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:markLength]
}

// isMarked tells whether a value ends as altered ones do.
func isMarked(v string) bool {
	i := len(v) - markLength - 1
	return i >= 0 && v[i] == '-' && strings.Trim(v[i+1:], "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// lower puts text in lower case, except for what then would be ASCII and was
// not: the Kelvin sign is not the letter k.
func lower(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		if small := unicode.ToLower(c); (c < utf8.RuneSelf) == (small < utf8.RuneSelf) && size == utf8.RuneLen(c) {
			b.WriteRune(small)
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}
