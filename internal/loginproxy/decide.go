package loginproxy

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// decide gives a login that has no role yet the one that was chosen, in the
// session that it has. That is changed only as it was when the role was chosen:
// if it has ended meanwhile, or has taken a role, nothing comes of the choice.
func (p *Proxy) decide(rec *record, r *http.Request, c caller, o outcome) {
	v, s := c.stream.live, c.session
	p.lives.leave(c.stream) // who chooses is told if the session ends meanwhile
	ctx, cancel := context.WithTimeout(r.Context(), callbackTimeout)
	defer cancel()
	s.Ends = s.Created.Add(p.c.MaxAge)
	var err error
	if s.CSRF, err = p.random(); err == nil {
		err = p.equip(ctx, &s, o.identity)
	}
	if errors.Is(err, webidentity.ErrExpiredLogin) {
		// No role can be had for it any more: the way to the sign-in page must
		// lead to another login.
		_ = p.end(ctx, v.id, "login expired") // logged
	}
	if err != nil {
		p.fail(rec, r, describe(err))
		return
	}
	switch err := p.c.Sessions.Update(ctx, v.id, s); {
	case err == nil:
	case errors.Is(err, session.ErrConflict):
		p.revoke(s)
		p.fail(rec, r, stale())
		return
	default:
		if errors.Is(err, session.ErrNotFound) {
			p.lives.end(v.key)
		}
		p.revoke(s)
		p.fail(rec, r, describe(err))
		return
	}
	p.lives.refresh(v, s)
	rec.is(v.key, s)
	p.metrics.logins.WithLabelValues("ok").Inc()
	rec.redirect(o.back, http.StatusSeeOther)
}
