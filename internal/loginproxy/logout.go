package loginproxy

import (
	"errors"
	"net/http"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// logout ends the browser's session, then the one at the provider.
func (p *Proxy) logout(rec *record, r *http.Request) {
	if err := p.crosses(rec.peer, r); err != nil {
		p.turnAway(rec, r, err)
		return
	}
	if err := r.ParseForm(); err != nil {
		p.refuse(rec, r, badRequest("The form cannot be read."))
		return
	}
	id, ok := p.sessionID(r, rec.peer)
	if !ok {
		p.signedOut(rec)
		return
	}
	s, err := p.c.Sessions.Peek(r.Context(), id)
	switch {
	case errors.Is(err, session.ErrNotFound):
		p.signedOut(rec)
		return
	case err != nil:
		p.refuse(rec, r, describe(err))
		return
	}
	rec.is(id.Key(), s)
	if !same(field(r, page.FieldCSRF), s.CSRF) {
		p.refuse(rec, r, stale())
		return
	}
	if err := p.end(r.Context(), id, "logout"); err != nil {
		p.refuse(rec, r, describe(err))
		return
	}
	address, ok := p.c.Provider.EndSessionURL(s.IDToken, rec.peer.origin()+p.c.LoginURL)
	if !ok {
		p.signedOut(rec)
		return
	}
	p.forget(rec)
	rec.redirect(address, http.StatusSeeOther)
}

// forget takes the session's cookie from the browser.
func (p *Proxy) forget(rec *record) { p.dropCookie(rec, "") }

func (p *Proxy) signedOut(rec *record) {
	p.forget(rec)
	page.SignedOut(page.SignedOutView{
		Cluster: p.c.ClusterName, Login: p.c.LoginURL, ProviderStays: true,
	}).Write(rec, http.StatusOK)
}
