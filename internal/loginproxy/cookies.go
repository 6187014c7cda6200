package loginproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const (
	hostPrefix    = "__Host-"
	attemptSuffix = "-login-"
	csrfSuffix    = "-csrf"
	// farewellSuffix is of the cookie by which a browser that comes back from
	// logging out at the provider is known.
	farewellSuffix = "-farewell"
	farewellAge    = time.Minute
)

// derivedName tells the cookies of several proxies on one host apart, because
// browsers do not keep ports apart.
func derivedName(c Config) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Issuer, c.ClientID, c.ClusterName, c.LoginURL}, "\x00")))
	return "eks-auth-" + hex.EncodeToString(sum[:4])
}

// cookieName is a cookie's full name. On https only the one that a browser lets
// no other host and no plain connection set is looked at.
func (p *Proxy) cookieName(o peer, suffix string) string {
	if o.https() {
		return hostPrefix + p.c.CookieName + suffix
	}
	return p.c.CookieName + suffix
}

// sessionID gives the id in the request's session cookie. Of several cookies of
// the name only the first is looked at.
func (p *Proxy) sessionID(r *http.Request, o peer) (session.ID, bool) {
	value, ok := cookie(r, p.cookieName(o, ""))
	if !ok {
		return "", false
	}
	return session.ParseID(value)
}

// cookie finds a cookie without parsing all the others.
func cookie(r *http.Request, name string) (string, bool) {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if got, value, _ := strings.Cut(strings.TrimSpace(pair), "="); got == name {
				return value, true
			}
		}
	}
	return "", false
}

// setCookie sets the cookie with a suffix for some time, or until the browser
// ends if age is 0.
func (p *Proxy) setCookie(rec *record, suffix, value string, age time.Duration) {
	http.SetCookie(rec, &http.Cookie{ //nolint:gosec // Secure wherever the browser comes by https
		Name: p.cookieName(rec.peer, suffix), Value: value, MaxAge: seconds(age),
		Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: rec.peer.https(),
	})
}

// dropCookie takes it from the browser.
func (p *Proxy) dropCookie(rec *record, suffix string) { p.setCookie(rec, suffix, "", -time.Second) }

func seconds(d time.Duration) int { return int(d / time.Second) }

// isOurs tells whether a cookie is one of this proxy's, however it was set.
func (p *Proxy) isOurs(name string) bool {
	if len(name) > len(hostPrefix) && strings.EqualFold(name[:len(hostPrefix)], hostPrefix) {
		name = name[len(hostPrefix):]
	}
	rest, ok := strings.CutPrefix(name, p.c.CookieName)
	return ok && (rest == "" || rest == csrfSuffix || rest == farewellSuffix || strings.HasPrefix(rest, attemptSuffix))
}

// withoutOurs leaves the other cookies of a Cookie line as they are.
func (p *Proxy) withoutOurs(line string) string {
	var kept []string
	for pair := range strings.SplitSeq(line, ";") {
		pair = strings.TrimSpace(pair)
		if name, _, _ := strings.Cut(pair, "="); pair != "" && !p.isOurs(strings.TrimSpace(name)) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "; ")
}
