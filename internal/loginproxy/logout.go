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
	p.setCookie(rec, farewellSuffix, "back-from-the-provider", farewellAge)
	rec.redirect(address, http.StatusSeeOther)
}

// forget takes the session's cookie from the browser, and what it keeps of the
// upstream's pages: the back button must not show them.
func (p *Proxy) forget(rec *record) {
	p.dropCookie(rec, "")
	rec.Header().Set("Clear-Site-Data", `"cache"`)
}

// signedOut says that the session is over, which the provider was not told.
func (p *Proxy) signedOut(rec *record) {
	p.forget(rec)
	p.farewell(rec, page.SignedOutView{ProviderStays: true})
}

func (p *Proxy) farewell(rec *record, v page.SignedOutView) {
	v.Cluster, v.Login = p.c.ClusterName, p.c.LoginURL
	page.SignedOut(v).Write(rec, http.StatusOK)
}

// returns tells, once, whether the browser comes back from logging out at the
// provider. To offer a login at once, or to begin it, would look as if nobody had
// logged out.
func (p *Proxy) returns(rec *record, r *http.Request) bool {
	_, ok := cookie(r, p.cookieName(rec.peer, farewellSuffix))
	if ok {
		p.dropCookie(rec, farewellSuffix)
	}
	return ok && !r.URL.Query().Has(page.FieldReturnTo)
}
