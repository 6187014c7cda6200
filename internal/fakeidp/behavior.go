package fakeidp

import (
	"maps"
	"net/http"
	"time"
)

// Behavior scripts a provider that is in trouble or breaks the rules. The zero
// value is a provider that keeps them all.
type Behavior struct {
	// Down has every endpoint answer 503.
	Down bool
	// Fail has single endpoints answer with a status.
	Fail map[string]int
	// Delay is waited before every answer, or until the request is given up.
	Delay time.Duration

	// Algorithm forges signatures: "none", or "HS256" keyed with the public key.
	Algorithm string
	// ForeignKey signs with a key that is not published, under the id of one
	// that is.
	ForeignKey bool
	// Type is the typ header of ID tokens. Default "JWT".
	Type string
	// Claims replace claims of every ID token, also iss, aud, exp and nonce; the
	// value nil takes the claim out. They win over those of the user.
	Claims map[string]any
	// Discovery replaces fields of the discovery document; nil takes one out.
	Discovery map[string]any

	// NoIDToken leaves the ID token out of every answer, NoIDTokenOnRefresh of
	// those to a refresh token.
	NoIDToken          bool
	NoIDTokenOnRefresh bool
	// NonceOnRefresh repeats the nonce in ID tokens after a refresh.
	NonceOnRefresh bool
	// KeepRefreshToken leaves the refresh token as it is: no new one, and the
	// old one stays good.
	KeepRefreshToken bool
	// NoIssParameter leaves iss out of the callback; discovery still promises
	// it. IssParameter is sent in its stead.
	NoIssParameter bool
	IssParameter   string
	// TokenError is the OAuth error code (RFC 6749, section 5.2) that the token
	// endpoint answers everything with.
	TokenError string
}

// Behave changes the behavior from the next request on.
func (s *Server) Behave(change func(*Behavior)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behavior)
}

// disturb counts a request, waits as scripted, and returns the status of
// scripted trouble, or 0.
func (s *Server) disturb(r *http.Request, name string) int {
	s.mu.Lock()
	s.calls[name]++
	down, status, delay := s.behavior.Down, s.behavior.Fail[name], s.behavior.Delay
	s.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	if down {
		return http.StatusServiceUnavailable
	}
	return status
}

// replace returns values with those of changes in their stead; nil takes out.
func replace(values map[string]any, changes ...map[string]any) map[string]any {
	out := maps.Clone(values)
	for _, change := range changes {
		for name, value := range change {
			if value == nil {
				delete(out, name)
			} else {
				out[name] = value
			}
		}
	}
	return out
}
