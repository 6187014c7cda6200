package rules

import "strings"

// SameName tells whether two names of IAM (of groups and policies, keys of
// tags) are one: the case of ASCII letters does not count. No other letter
// counts as an ASCII one, as the sign of the kelvin (U+212A) does in Unicode:
// whoever may set only a tag of such a key must not get what a rule gives to
// another one.
func SameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// foldASCII is the same text for all texts that are the same to SameName.
func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
