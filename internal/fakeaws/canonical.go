package fakeaws

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest puts a request into the form that is signed, see "Elements
// of an AWS API request signature" in the IAM user guide. The path is encoded
// once more than it was sent, as for every service but S3, and is not
// normalized.
func canonicalRequest(req *request, s *signature) string {
	var b strings.Builder
	b.WriteString(req.Method + "\n")
	b.WriteString(canonicalPath(req.URL.EscapedPath()) + "\n")
	b.WriteString(canonicalQuery(req.URL.RawQuery, s.presigned) + "\n")
	for _, name := range s.signedHeaders {
		b.WriteString(name + ":" + canonicalHeader(req.Request, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(s.signedHeaders, ";") + "\n")
	sum := sha256.Sum256(req.body)
	b.WriteString(hex.EncodeToString(sum[:]))
	return b.String()
}

func canonicalPath(escaped string) string {
	if escaped == "" {
		return "/"
	}
	parts := strings.Split(escaped, "/")
	for i, p := range parts {
		parts[i] = uriEncode(p)
	}
	return strings.Join(parts, "/")
}

// canonicalQuery sorts by name and then by value, after encoding. A presigned
// query holds the signature itself, which is left out.
func canonicalQuery(raw string, presigned bool) string {
	var pairs [][2]string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if name = reencode(name); presigned && name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, [2]string{name, reencode(value)})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = p[0] + "=" + p[1]
	}
	return strings.Join(parts, "&")
}

// canonicalHeader trims a header's values, makes runs of spaces one, and joins
// several values with commas. net/http keeps Host apart.
func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' }), " ")
	}
	return strings.Join(values, ",")
}

// reencode brings a sent name or value into the one canonical encoding. A
// broken escape is taken literally.
func reencode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c, i = byte(n), i+2
			}
		}
		b.WriteByte(c)
	}
	return uriEncode(b.String())
}

// uriEncode leaves the unreserved characters of RFC 3986 and writes all other
// bytes as %XX in upper case.
func uriEncode(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlnum(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
