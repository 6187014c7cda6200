package loginproxy

import (
	"net/http"
	"strings"
)

// purge removes from a request on its way upstream what only this proxy may say
// there, in every spelling: many servers make no difference between - and _ (CGI
// turns both into _), and header names are compared without case.
func (p *Proxy) purge(h http.Header) {
	for name := range h {
		if isReserved(name) {
			delete(h, name)
		}
	}
	lines, ok := h["Cookie"]
	if !ok {
		return
	}
	kept := lines[:0:0]
	for _, line := range lines {
		if line = p.withoutOurs(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// isReserved tells whether a header says who somebody is, or where a request
// comes from.
func isReserved(name string) bool {
	// Most headers begin with another letter.
	if name == "" || !strings.ContainsRune("aAfFiIpPxX", rune(name[0])) {
		return false
	}
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	switch name {
	case "authorization", // the upstream gets the session's token and no other
		"proxy-authorization",
		"forwarded", "x-real-ip", "x-request-id", // set anew or left out
		"x-original-url", "x-rewrite-url": // frameworks take these for the path
		return true
	}
	for _, prefix := range []string{
		"impersonate-",    // Kubernetes: act as somebody else
		"x-remote-",       // Kubernetes: who the front proxy says it is
		"x-forwarded-",    // where from; also -User, -Groups, -Access-Token
		"x-original-",     // check modes
		"x-auth-request-", // who oauth2-proxy says it is
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// harden gives pages of the upstream the headers that protect them, unless they
// have their own.
func harden(h http.Header) {
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "same-origin",
	} {
		if _, ok := h[name]; !ok {
			h.Set(name, value)
		}
	}
}

// upstreamCSP is the policy that eks-auth-proxy sets.
const upstreamCSP = "default-src 'self';base-uri 'self';block-all-mixed-content;font-src 'self' https: data:;frame-ancestors 'self';" +
	"img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"

// withoutOurCookies keeps the upstream from setting this proxy's cookies.
func (p *Proxy) withoutOurCookies(h http.Header) {
	lines, ok := h["Set-Cookie"]
	if !ok {
		return
	}
	kept := lines[:0:0]
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		if name, _, _ := strings.Cut(pair, "="); !p.isOurs(strings.TrimSpace(name)) {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = kept
}
