package loginproxy

import (
	"net/url"
	"strings"
)

const maxReturn = 512

// returnPath gives back a path with query to which a browser may be sent after
// the login, or "/" instead of one that is no page of this origin, or that could
// be read as another origin by any browser, or that leads to the login itself.
func (p *Proxy) returnPath(s string) string {
	if !isReturnPath(s) || s == p.c.LoginURL {
		return "/"
	}
	if rest, ok := strings.CutPrefix(s, p.c.LoginURL); ok && strings.ContainsRune("/?", rune(rest[0])) {
		return "/"
	}
	return s
}

// isReturnPath refuses what browsers would change before they follow it: dot
// segments, backslashes (which they read as slashes), tabs and line ends (which
// they drop), also where these are percent-encoded.
func isReturnPath(s string) bool {
	if len(s) > maxReturn || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }) {
		return false
	}
	u, err := url.ParseRequestURI(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return false
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return false
	}
	if strings.HasPrefix(u.Path, "//") {
		return false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
