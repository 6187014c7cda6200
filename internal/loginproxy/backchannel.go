package loginproxy

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// backchannel ends the sessions that the provider names, without a browser
// (OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8).
func (p *Proxy) backchannel(rec *record, r *http.Request) {
	if err := r.ParseForm(); err != nil || field(r, "logout_token") == "" {
		p.invalidLogout(rec, errors.New("no logout_token"))
		return
	}
	order, err := p.c.Provider.LogoutToken(r.Context(), field(r, "logout_token"))
	if _, refused := errors.AsType[*oidclogin.Refused](err); refused {
		p.invalidLogout(rec, err)
		return
	}
	if err != nil {
		p.refuse(rec, r, describe(err))
		return
	}
	if !p.jtis.first(order.Issuer+" "+order.ID, order.Expires) {
		p.invalidLogout(rec, errors.New("the logout token was used before"))
		return
	}
	ended, err := p.c.Sessions.EndIndexed(r.Context(), session.Index{
		Issuer: order.Issuer, SID: order.SID, Subject: order.Subject, At: order.Issued,
	})
	for _, s := range ended {
		p.metrics.ended.WithLabelValues("provider").Inc()
		p.revoke(s)
	}
	if err != nil {
		p.jtis.forget(order.Issuer + " " + order.ID)
		p.refuse(rec, r, describe(err))
		return
	}
	rec.WriteHeader(http.StatusOK)
}

func (p *Proxy) invalidLogout(rec *record, cause error) {
	rec.cause = cause
	rec.Header().Set("Content-Type", "application/json")
	rec.WriteHeader(http.StatusBadRequest)
	_, _ = rec.Write([]byte(`{"error":"invalid_request"}`))
}

// seen remembers names until they expire. Whoever fills it is the provider,
// because only names in tokens with a good signature get here.
type seen struct {
	now   func() time.Time
	mu    *sync.Mutex
	until map[string]time.Time
}

func newSeen(now func() time.Time) seen {
	return seen{now: now, mu: &sync.Mutex{}, until: map[string]time.Time{}}
}

// first tells whether a name was not seen before.
func (s seen) first(name string, expires time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for other, until := range s.until {
		if !now.Before(until) {
			delete(s.until, other)
		}
	}
	if _, ok := s.until[name]; ok {
		return false
	}
	s.until[name] = expires
	return true
}

func (s seen) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, name)
}
