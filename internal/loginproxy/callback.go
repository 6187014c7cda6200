package loginproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const (
	callbackTimeout = 30 * time.Second
	// undecidedAge is how long a login may go without a role.
	undecidedAge = 10 * time.Minute
	maxClaims    = 16 << 10
	// maxExchanges is how many codes are redeemed at once. Anybody can come with a
	// made-up one, and the provider is not to be flooded through us.
	maxExchanges = 32
)

// outcome is a login that has come back, with what was asked for before it.
type outcome struct {
	login    oidclogin.Login
	identity string // "" if it is still to be chosen
	back     string
}

// callback is where the provider sends the browser back to.
func (p *Proxy) callback(rec *record, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["state"]) != 1 || len(q["code"])+len(q["error"]) != 1 || len(q["iss"]) > 1 {
		p.refuse(rec, r, badRequest("The login provider's answer is malformed."))
		return
	}
	a, ok := p.takeAttempt(rec, r, q.Get("state"))
	if !ok {
		p.fail(rec, r, problem{
			status: http.StatusBadRequest, title: "This sign-in cannot be finished", again: true,
			message: "It was not begun in this browser, was finished before, or took more than ten minutes.", next: "Sign in again.",
		})
		return
	}
	if code := q.Get("error"); code != "" {
		p.fail(rec, r, problem{
			status: http.StatusForbidden, title: "The login provider did not let you in", again: true,
			message: "The login was refused or given up there.", next: "Sign in again, or ask whoever runs the login provider.",
			cause: fmt.Errorf("the provider answered %q: %q", code, q.Get("error_description")),
		})
		return
	}
	chosen, ok := p.keyOf(a.Identity)
	if !ok {
		p.fail(rec, r, notYours())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callbackTimeout)
	defer cancel()
	login, err := p.exchange(ctx, a.Attempt, oidclogin.Callback{
		Code: q.Get("code"), RedirectURI: a.RedirectURI, Issuer: q.Get("iss"),
	})
	if err != nil {
		p.fail(rec, r, describe(err))
		return
	}
	p.finish(rec, r, outcome{login: login, identity: chosen, back: p.returnPath(a.Return)})
}

// exchange redeems a code when it is its turn.
func (p *Proxy) exchange(ctx context.Context, a oidclogin.Attempt, c oidclogin.Callback) (oidclogin.Login, error) {
	select {
	case p.exchanges <- struct{}{}:
		defer func() { <-p.exchanges }()
		return p.c.Provider.Exchange(ctx, a, c)
	case <-ctx.Done():
		return oidclogin.Login{}, fmt.Errorf("%w: too many logins wait for it", oidclogin.ErrUnavailable)
	}
}

// fail answers a login that did not work out.
func (p *Proxy) fail(rec *record, r *http.Request, pr problem) {
	p.metrics.logins.WithLabelValues(result(pr)).Inc()
	p.refuse(rec, r, pr)
}

// finish makes a session of a login, in place of the one that the browser had.
func (p *Proxy) finish(rec *record, r *http.Request, o outcome) {
	ctx, cancel := context.WithTimeout(r.Context(), callbackTimeout)
	defer cancel()
	rec.user = o.login.Email
	s, pr := p.newSession(&o)
	if pr == nil && o.identity != "" {
		if err := p.equip(ctx, &s, o.identity); err != nil {
			described := describe(err)
			pr = &described
		}
	}
	if pr != nil {
		p.fail(rec, r, *pr)
		return
	}
	if err := p.establish(ctx, rec, r, s); err != nil {
		p.revoke(s)
		p.fail(rec, r, describe(err))
		return
	}
	if o.identity == "" {
		rec.redirect(p.loginLink(o.back), http.StatusSeeOther)
		return
	}
	p.metrics.logins.WithLabelValues("ok").Inc()
	rec.redirect(o.back, http.StatusSeeOther)
}

// newSession decides which identity the login may take; o.identity stays empty
// if there are several.
func (p *Proxy) newSession(o *outcome) (session.Session, *problem) {
	now, l := p.c.Now(), o.login
	choices := p.allowed(l.Claims)
	claims, err := json.Marshal(l.Claims)
	switch {
	case err != nil || len(claims) > maxClaims:
		return session.Session{}, &problem{
			status: http.StatusForbidden, title: "Your login says too much", again: true, cause: fmt.Errorf("%d bytes of claims: %w", len(claims), err),
			message: "The login provider sent more claims than can be kept.", next: "Ask your administrator to send fewer claims, such as groups.",
		}
	case l.Email == "":
		return session.Session{}, &problem{
			status: http.StatusForbidden, title: "Your login has no email address", again: true,
			message: "The login provider did not say what your email address is.", next: "Ask your administrator to have it sent.",
		}
	case len(choices) == 0:
		return session.Session{}, &problem{
			status: http.StatusForbidden, title: "There is no role for you", again: true,
			message: "You are logged in, but may not take any role here.", next: "Ask your administrator to give you one.",
		}
	case o.identity == "" && len(choices) == 1:
		o.identity = choices[0].key
	case o.identity != "" && !has(choices, o.identity):
		pr := notYours()
		return session.Session{}, &pr
	}
	csrf, err := p.random()
	if err != nil {
		pr := describe(err)
		return session.Session{}, &pr
	}
	s := session.Session{
		Issuer: l.Issuer, Subject: l.Subject, SID: l.SID, Email: l.Email, Claims: l.Claims, IDToken: l.IDToken, RefreshToken: l.RefreshToken,
		CSRF: csrf, LoggedIn: l.Issued, Created: now, Ends: now.Add(p.c.MaxAge),
	}
	if o.identity == "" {
		s.Ends = earliest(s.Ends, now.Add(undecidedAge))
	}
	return s, nil
}

// equip gets the credentials of an identity. A session that cannot renew them
// ends with them.
func (p *Proxy) equip(ctx context.Context, s *session.Session, key string) error {
	s.Identity = key
	for _, i := range p.identities {
		if i.key != key {
			continue
		}
		if i.Vault == nil {
			credentials, err := p.c.Assumer.Assume(ctx, i.ARN, person(*s))
			if err != nil {
				return err
			}
			setCredentials(s, credentials, i.Sources[0])
			if s.RefreshToken == "" {
				s.Ends = earliest(s.Ends, credentials.Expires)
			}
			return nil
		}
		issued, err := i.Vault.Issue(ctx, s.IDToken, s.Ends.Sub(p.c.Now()))
		if err != nil {
			return err
		}
		setCredentials(s, issued.Credentials, i.Sources[0])
		s.RefreshToken = "" // the user lasts as long as its lease: nothing is renewed
		s.Lease = session.Lease{ID: issued.LeaseID, Token: issued.Token, Expires: issued.Expires}
		s.Pending = true
		s.Ends = earliest(earliest(s.Ends, issued.Expires), issued.Credentials.Expires)
		return nil
	}
	return errors.New("an identity that is not in the list")
}

// establish ends the session that the browser had, if any, and gives it the new
// one under another id.
func (p *Proxy) establish(ctx context.Context, rec *record, r *http.Request, s session.Session) error {
	if old, ok := p.sessionID(r, rec.peer); ok {
		if err := p.end(ctx, old, "new login"); err != nil {
			return err
		}
	}
	id, err := session.NewID(p.c.Rand)
	if err != nil {
		return err
	}
	if err := p.c.Sessions.Create(ctx, id, s); err != nil {
		return err
	}
	rec.is(id.Key(), s)
	p.setCookie(rec, "", string(id), 0)
	return nil
}
