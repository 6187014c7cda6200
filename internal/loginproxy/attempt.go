package loginproxy

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
)

const (
	maxAttempts    = 5
	maxAttemptSize = 1 << 10
	attemptAge     = 10 * time.Minute
	attemptPurpose = "login attempt"
)

// attempt is one login under way. It travels in a sealed cookie of its own, so
// that nothing is shared between attempts, nor between replicas.
type attempt struct {
	oidclogin.Attempt
	Identity    string // digest of its key, which may be long; "" if it is chosen after the login
	Return      string
	RedirectURI string
	Begun       int64 // Unix seconds
}

func digest(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// keyOf finds the identity of a digest; "" for none, and false if it is gone.
func (p *Proxy) keyOf(of string) (string, bool) {
	if of == "" {
		return "", true
	}
	for _, i := range p.identities {
		if digest(i.key) == of {
			return i.key, true
		}
	}
	return "", false
}

// attemptName is the cookie's suffix: found from the state alone, and not the
// state, so that a name in a log opens nothing.
func attemptName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return attemptSuffix + hex.EncodeToString(sum[:8])
}

// keepAttempt sets the cookie of a new attempt, and removes the oldest ones of
// this browser if there are too many.
func (p *Proxy) keepAttempt(rec *record, r *http.Request, a attempt) {
	for _, old := range p.surplus(r, rec.peer) {
		p.dropCookie(rec, old)
	}
	suffix := attemptName(a.State)
	value := p.seal(a, suffix)
	if len(value) > maxAttemptSize {
		a.Return = "/"
		value = p.seal(a, suffix)
	}
	p.setCookie(rec, suffix, value, attemptAge)
}

func (p *Proxy) seal(a attempt, suffix string) string {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return p.c.Keys.Seal(attemptPurpose, text, []byte(p.c.CookieName+suffix))
}

// surplus are the suffixes of attempts that must go to make room for one: those
// that cannot be opened, then the oldest.
func (p *Proxy) surplus(r *http.Request, o peer) []string {
	prefix := p.cookieName(o, attemptSuffix)
	type held struct {
		suffix string
		begun  int64
	}
	var all []held
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, prefix) || !isToken(strings.TrimPrefix(c.Name, prefix)) {
			continue
		}
		h := held{suffix: attemptSuffix + strings.TrimPrefix(c.Name, prefix)}
		if a, ok := p.openAttempt(h.suffix, c.Value); ok && len(all) < 2*maxAttempts {
			h.begun = a.Begun
		}
		all = append(all, h)
	}
	slices.SortStableFunc(all, func(a, b held) int { return cmp.Compare(b.begun, a.begun) })
	var out []string
	for i, h := range all {
		if i >= maxAttempts-1 || h.begun == 0 {
			out = append(out, h.suffix)
		}
	}
	return out
}

func (p *Proxy) openAttempt(suffix, value string) (attempt, bool) {
	if len(value) > maxAttemptSize {
		return attempt{}, false
	}
	text, err := p.c.Keys.Open(attemptPurpose, value, []byte(p.c.CookieName+suffix))
	if err != nil {
		return attempt{}, false
	}
	var a attempt
	if err := json.Unmarshal(text, &a); err != nil {
		return attempt{}, false
	}
	age := p.c.Now().Sub(time.Unix(a.Begun, 0))
	return a, -clockSkew <= age && age <= attemptAge
}

// clockSkew is by how much the clocks of replicas may differ.
const clockSkew = 2 * time.Minute

// usedAttempts is how many attempts are remembered as answered.
const usedAttempts = 16 << 10

// takeAttempt finds the attempt that a callback belongs to, and removes its
// cookie: an attempt ends with its first answer, whatever that is. Who keeps the
// cookie gets no further with it here, so that one attempt does not make many
// calls of the provider.
func (p *Proxy) takeAttempt(rec *record, r *http.Request, state string) (attempt, bool) {
	suffix := attemptName(state)
	value, ok := cookie(r, p.cookieName(rec.peer, suffix))
	if !ok {
		return attempt{}, false
	}
	p.dropCookie(rec, suffix)
	a, ok := p.openAttempt(suffix, value)
	return a, ok && subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) == 1 && p.attempts.first(suffix, p.c.Now())
}
