package loginproxy

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// Why a request does not get a token.
var (
	errNoSession = errors.New("no session")
	errUndecided = errors.New("no role has been chosen yet")
	errSpent     = errors.New("the credentials have ended and are not renewed yet")
	errElsewhere = errors.New("another replica has been renewing the session for long")
	errPending   = errors.New("the cluster does not take the identity yet")
	errCrossing  = errors.New("a cookie was used from another origin")
)

// caller is whose request it is.
type caller struct {
	stream  *stream
	session session.Session
}

// upstream lets a request through to the upstream if it is decided whose it is.
func (p *Proxy) upstream(rec *record, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := p.enter(ctx, rec, r, cancel)
	if err != nil {
		p.turnAway(rec, r, err)
		return
	}
	defer p.lives.leave(c.stream)
	bearer, err := p.admit(ctx, c)
	if rec.wasCut() || err == nil && !rec.forwarding() {
		err = errNoSession
	}
	if err != nil {
		p.turnAway(rec, r, err)
		return
	}
	p.forward(rec, r.WithContext(ctx), bearer)
}

// enter finds out whose request it is and registers it, to be cut off with
// cancel when the session ends. The caller must leave.
func (p *Proxy) enter(ctx context.Context, rec *record, r *http.Request, cancel context.CancelFunc) (caller, error) {
	id, ok := p.sessionID(r, rec.peer)
	if !ok {
		return caller{}, errNoSession
	}
	if err := p.crosses(rec.peer, r); err != nil {
		return caller{}, err
	}
	return p.find(ctx, rec, id, cancel)
}

func (p *Proxy) find(ctx context.Context, rec *record, id session.ID, cancel context.CancelFunc) (caller, error) {
	c := caller{stream: p.lives.enter(id, rec, cancel)}
	var err error
	c.session, err = p.c.Sessions.Get(ctx, id)
	now := p.c.Now()
	switch {
	case errors.Is(err, session.ErrNotFound):
		p.lives.end(c.stream.live.key)
		err = errNoSession
	case err == nil && !now.Before(p.ends(c.session)):
		err = cmp.Or(p.end(ctx, id, "age"), errNoSession)
	case err == nil:
		if err = p.fits(c.stream.live, c.session); err != nil {
			rec.is(c.stream.live.key, c.session)
			rec.cause = err
			p.lives.end(c.stream.live.key)
		}
	}
	if err != nil {
		p.lives.leave(c.stream)
		return caller{}, err
	}
	p.lives.seen(c.stream.live, c.session, now)
	rec.is(c.stream.live.key, c.session)
	return c, nil
}

// admit gives the token that a caller's request goes upstream with.
func (p *Proxy) admit(ctx context.Context, c caller) (string, error) {
	switch {
	case c.session.Identity == "":
		return "", errUndecided
	case c.session.Pending:
		return p.accepted(ctx, c)
	}
	return p.bearer(ctx, c)
}

// present tells whether a caller is signed in, for pages of our own: it asks
// neither the provider nor AWS for anything, so that nothing that is down there
// keeps people from logging in again or out.
func (p *Proxy) present(ctx context.Context, c caller) error {
	switch s := c.session; {
	case s.Identity == "":
		return errUndecided
	case s.Pending:
		_, err := p.accepted(ctx, c)
		return err
	case p.spent(s, p.c.Now()):
		return errSpent
	}
	return nil
}

// crosses refuses what another origin makes a browser send, because a cookie
// goes along with it: requests that change something, and every upgrade, whose
// answer no same-origin policy keeps from the other origin.
func (p *Proxy) crosses(o peer, r *http.Request) error {
	method := r.Method
	upgrade := r.Header.Get("Upgrade") != ""
	if upgrade {
		method = http.MethodPost
	}
	if err := p.crossing.Check(&http.Request{Method: method, URL: r.URL, Host: o.host, Header: r.Header}); err != nil {
		return errCrossing
	}
	if upgrade && !p.sameOrigin(o, r.Header.Values("Origin")) {
		return errCrossing
	}
	return nil
}

// sameOrigin takes requests without Origin, which no browser sends, and those
// whose only one is ours. The scheme counts once it is known to be https.
func (p *Proxy) sameOrigin(o peer, origins []string) bool {
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return err == nil && len(origins) == 1 && strings.EqualFold(u.Host, o.host) && (u.Scheme == "https" || !o.https())
}

// turnAway answers a request that gets no token: browsers that load a page are
// sent to the login, nothing else is redirected.
func (p *Proxy) turnAway(rec *record, r *http.Request, err error) {
	switch {
	case errors.Is(err, errCrossing):
		p.refuse(rec, r, problem{
			status: http.StatusForbidden, title: "This came from another site", cause: err,
			message: "Another site made your browser send this request.", next: "Open the page yourself and do it there.",
		})
	case errors.Is(err, errPending) && isNavigation(r):
		p.waiting(rec, r)
	case errors.Is(err, errPending):
		p.refuse(rec, r, problem{
			status: http.StatusServiceUnavailable, retry: probeEvery, cause: err,
			message: "The cluster does not take your new identity yet.", next: "Try again in a few seconds.",
		})
	case (errors.Is(err, errNoSession) || errors.Is(err, errUndecided)) && isNavigation(r):
		rec.redirect(p.loginLink(r.URL.RequestURI()), http.StatusFound)
	case errors.Is(err, errNoSession), errors.Is(err, errUndecided):
		p.refuse(rec, r, problem{
			status: http.StatusUnauthorized, title: "You are not signed in", again: true, cause: err,
			message: "There is no session for this request.", next: "Sign in and try again.",
		})
	default:
		p.refuse(rec, r, describe(err))
	}
}

// loginLink leads to the sign-in page and from there back to a path.
func (p *Proxy) loginLink(back string) string {
	if back = p.returnPath(back); back == "/" {
		return p.c.LoginURL
	}
	return p.c.LoginURL + "?" + url.Values{"return_to": {back}}.Encode()
}

const endTimeout = 5 * time.Second

// end ends a session here and everywhere, also if who asked for it goes away.
func (p *Proxy) end(ctx context.Context, id session.ID, cause string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	s, err := p.c.Sessions.End(ctx, id)
	p.lives.end(id.Key())
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	if err != nil {
		p.c.Log.Error(err, "Ending a session", "session", id.Key()[:12], "cause", cause)
		return err
	}
	p.metrics.ended.WithLabelValues(cause).Inc()
	p.revoke(s)
	return nil
}
