package loginproxy

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// unsaved is what the provider has given for a refresh token and the store does
// not hold yet. It is kept until it does: the provider takes the old refresh
// token no more, and may end everything when it sees it again.
type unsaved struct {
	instead string // of this refresh token
	login   oidclogin.Login
	whole   bool // false: only the refresh token is new
}

// freshen redeems the session's refresh token, unless there is an ID token
// already that no credentials were had for, and stores the new login before it
// is used. The session is left without a refresh token if nothing can be renewed.
func (p *Proxy) freshen(ctx context.Context, v *live, s *session.Session) error {
	if u := v.unsaved.Load(); u != nil && u.instead == s.RefreshToken {
		if err := p.save(ctx, v, s); err != nil {
			return err
		}
	}
	v.unsaved.Store(nil)
	if v.unspent == s.IDToken {
		return nil
	}
	login, err := p.c.Provider.Refresh(ctx, oidclogin.Login{
		Issuer: s.Issuer, Subject: s.Subject, SID: s.SID, Email: s.Email, Claims: s.Claims,
		IDToken: s.IDToken, RefreshToken: s.RefreshToken,
	})
	if refused, ok := errors.AsType[*oidclogin.Refused](err); ok {
		// The session goes on as long as what it has.
		p.logRefusal(v, *s, err, refused.Operator)
		s.RefreshToken = ""
		return p.change(ctx, v, func(s *session.Session) { s.RefreshToken, s.Ends = "", earliest(s.Ends, s.Credentials.Expires) })
	}
	if err != nil && (login.RefreshToken == "" || login.RefreshToken == s.RefreshToken) {
		return err
	}
	v.unsaved.Store(&unsaved{instead: s.RefreshToken, login: login, whole: err == nil})
	return cmp.Or(p.save(ctx, v, s), err)
}

// logRefusal notes why a session is not renewed; as an error if it is not about
// the person alone.
func (p *Proxy) logRefusal(v *live, s session.Session, cause error, operator bool) {
	values := []any{"session", v.key[:12], "user", s.Email, "role", s.Identity}
	if operator {
		p.c.Log.Error(cause, "Renewal refused", values...)
		return
	}
	p.c.Log.Info("Renewal refused", append(values, "cause", cause.Error())...)
}

// save stores what is unsaved and gives the session as it is then.
func (p *Proxy) save(ctx context.Context, v *live, s *session.Session) error {
	u := v.unsaved.Load()
	if u.whole && !p.allows(u.login.Claims, s.Identity) {
		return cmp.Or(p.end(ctx, v.id, "role policy"), errNoSession)
	}
	// The provider may have taken all the time that there was.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := p.change(ctx, v, func(now *session.Session) {
		if now.RefreshToken == u.instead {
			l := u.login
			now.SID, now.Email, now.Claims, now.IDToken, now.RefreshToken = l.SID, l.Email, l.Claims, l.IDToken, l.RefreshToken
		}
		*s = *now
	}); err != nil {
		return err
	}
	v.unsaved.Store(nil)
	if u.whole {
		v.unspent = u.login.IDToken
	}
	return nil
}
