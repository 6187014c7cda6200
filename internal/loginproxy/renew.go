package loginproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

const (
	// tokenAge is from when on a token is made anew, and tokenJitter how much
	// later, so that not all are at once. Tokens last 14 minutes.
	tokenAge    = 10 * time.Minute
	tokenJitter = 2 * time.Minute
	// tokenMargin is what a token must have left to be used at all.
	tokenMargin = 30 * time.Second
	// credentialsLeft is what credentials have left when they are renewed, and
	// credentialsJitter how much more.
	credentialsLeft   = 5 * time.Minute
	credentialsJitter = time.Minute
	renewTimeout      = 30 * time.Second
	// renewRetry is how long a renewal that failed is not tried again; it doubles
	// each time, up to maxRenewRetry: who answers none must not be asked by each
	// session four times a minute.
	renewRetry    = 15 * time.Second
	maxRenewRetry = 2 * time.Minute
	peekEvery     = 200 * time.Millisecond
)

// token is an EKS token of a session, which only this replica knows.
type token struct {
	value       string
	accessKeyID string
	renew       time.Time // from when on another one is made
	expires     time.Time
}

// bearer gives a token of the session. A request waits only if there is none
// that is still good.
func (p *Proxy) bearer(ctx context.Context, c caller) (string, error) {
	v, s, now := c.stream.live, c.session, p.c.Now()
	if p.spent(s, now) {
		renewed, err := p.renewNow(ctx, c)
		if err != nil {
			return "", err
		}
		s = renewed
	} else if p.due(v, s, now) {
		_, _ = p.startRenewal(v)
	}
	t := v.token.Load()
	if t == nil || t.accessKeyID != s.Credentials.AccessKeyID || !now.Before(t.expires) {
		return p.mint(v, s)
	}
	if !now.Before(t.renew) && v.minting.CompareAndSwap(false, true) {
		p.background.Go(func() {
			defer v.minting.Store(false)
			if _, err := p.mint(v, s); err != nil {
				p.c.Log.Error(err, "Making a token", "session", v.key[:12])
			}
		})
	}
	return t.value, nil
}

func (p *Proxy) mint(v *live, s session.Session) (string, error) {
	now := p.c.Now()
	t, err := ekstoken.Mint(ekstoken.MintConfig{
		ClusterID: p.c.ClusterName, Region: p.c.Region, Now: func() time.Time { return now },
		Credentials: ekstoken.Credentials(s.Credentials),
	})
	if err != nil {
		return "", err
	}
	v.token.Store(&token{
		value: t.Value, accessKeyID: s.Credentials.AccessKeyID, expires: t.Expires.Add(-tokenMargin),
		renew: now.Add(tokenAge + rand.N(tokenJitter)), //nolint:gosec // spreads load, hides nothing
	})
	return t.Value, nil
}

// due tells whether a session's credentials are to be renewed.
func (p *Proxy) due(v *live, s session.Session, now time.Time) bool {
	if s.Identity == "" || s.Credentials.Expires.IsZero() || !renewable(s) {
		return false
	}
	if p.foreign(s) {
		return true
	}
	// The jitter is the session's own: it stays the same from look to look.
	jitter := time.Duration(v.key[0]) * credentialsJitter / 256
	return s.Credentials.Expires.Sub(now) < credentialsLeft+jitter
}

// renewal is one under way in this replica; err is set when done is closed.
type renewal struct {
	done chan struct{}
	err  error
}

// startRenewal renews a session's credentials in the background, once at a time
// and not too soon after it went wrong. It gives the one that is under way, or, if
// it is too soon, the error of the last one.
func (p *Proxy) startRenewal(v *live) (*renewal, error) {
	v.renewal.Lock()
	defer v.renewal.Unlock()
	if v.running != nil {
		return v.running, nil
	}
	if v.failed != nil && p.c.Now().Before(v.retryAt) {
		return nil, fmt.Errorf("renewing credentials was tried just now: %w", v.failed)
	}
	run := &renewal{done: make(chan struct{})}
	v.running = run
	p.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
		defer cancel()
		run.err = p.renew(ctx, v)
		v.renewal.Lock()
		defer v.renewal.Unlock()
		v.running, v.failed = nil, run.err
		if v.pause = nextPause(v.pause); run.err == nil {
			v.pause = 0
		}
		v.retryAt = p.c.Now().Add(v.pause)
		close(run.done)
	})
	return run, nil
}

func nextPause(last time.Duration) time.Duration {
	return min(max(2*last, renewRetry), maxRenewRetry)
}

// renewNow waits for a renewal, because the old credentials are not good any
// more.
func (p *Proxy) renewNow(ctx context.Context, c caller) (session.Session, error) {
	v := c.stream.live
	if c.session.RefreshToken == "" {
		return session.Session{}, cmp.Or(p.end(ctx, v.id, "credentials expired"), errNoSession)
	}
	run, err := p.startRenewal(v)
	if err != nil {
		return session.Session{}, err
	}
	select {
	case <-ctx.Done():
		return session.Session{}, ctx.Err()
	case <-run.done:
	}
	if run.err != nil && !errors.Is(run.err, errNoSession) {
		return session.Session{}, run.err
	}
	s, err := p.c.Sessions.Peek(ctx, v.id)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return session.Session{}, errNoSession
	case err != nil:
		return session.Session{}, err
	case p.spent(s, p.c.Now()):
		return session.Session{}, cmp.Or(p.end(ctx, v.id, "credentials expired"), errNoSession)
	}
	return s, nil
}

// renew gets a session new credentials with its refresh token, unless another
// replica does or did. Providers that rotate refresh tokens take each only once,
// so that only one may be about to use it.
func (p *Proxy) renew(ctx context.Context, v *live) error {
	for {
		release, ok, err := p.c.Sessions.Lock(ctx, v.id, renewTimeout)
		if err != nil {
			return err
		}
		if ok {
			err = p.renewLocked(ctx, v)
			release()
			return err
		}
		if done, err := p.renewedElsewhere(ctx, v); done || err != nil {
			return err
		}
	}
}

// renewedElsewhere waits a little for the replica that renews.
func (p *Proxy) renewedElsewhere(ctx context.Context, v *live) (bool, error) {
	timer := time.NewTimer(peekEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, errElsewhere
	case <-timer.C:
	}
	s, err := p.peek(ctx, v)
	return err == nil && !p.due(v, s, p.c.Now()), err
}

// peek reads the session without marking it used; if it is gone or does not fit,
// it ends here.
func (p *Proxy) peek(ctx context.Context, v *live) (session.Session, error) {
	s, err := p.c.Sessions.Peek(ctx, v.id)
	if errors.Is(err, session.ErrNotFound) {
		p.lives.end(v.key)
		return session.Session{}, errNoSession
	}
	if err != nil {
		return s, err
	}
	if err := p.fits(v, s); err != nil {
		p.lives.end(v.key)
		return session.Session{}, err
	}
	p.lives.refresh(v, s)
	return s, nil
}

func (p *Proxy) renewLocked(ctx context.Context, v *live) error {
	s, err := p.peek(ctx, v)
	if err != nil || !p.due(v, s, p.c.Now()) {
		return err
	}
	err = p.renewHeld(ctx, v, s)
	switch {
	case errors.Is(err, errNotRenewed):
		p.metrics.renewals.WithLabelValues("refused").Inc()
		return nil
	case err == nil:
		p.metrics.renewals.WithLabelValues("ok").Inc()
	case !errors.Is(err, errNoSession):
		p.metrics.renewals.WithLabelValues(result(describe(err))).Inc()
		p.c.Log.Error(err, "Renewing credentials", "session", v.key[:12], "user", s.Email)
	}
	return err
}

// errNotRenewed says that the provider renews a login no more. Its session knows,
// and goes on with what it has.
var errNotRenewed = errors.New("the login is not renewed any more")

// renewHeld gets credentials for a login that is fresh. One that is already
// serves again if only AWS failed.
func (p *Proxy) renewHeld(ctx context.Context, v *live, s session.Session) error {
	if err := p.freshen(ctx, v, &s); err != nil {
		return err
	}
	if s.RefreshToken == "" {
		return errNotRenewed
	}
	fresh, err := p.c.Assumer.Assume(ctx, s.Identity, person(s))
	if errors.Is(err, webidentity.ErrExpiredLogin) {
		v.unspent = ""
	}
	if _, denied := errors.AsType[*webidentity.Denied](err); denied {
		p.metrics.renewals.WithLabelValues("refused").Inc()
		p.logRefusal(v, s, err, describe(err).alert)
		return cmp.Or(p.end(ctx, v.id, "denied by AWS"), errNoSession)
	}
	if err != nil {
		return err
	}
	v.unspent = ""
	i, ok := p.identityOf(s.Identity)
	if !ok {
		return errNoSession // it would not fit
	}
	return p.change(ctx, v, func(s *session.Session) { setCredentials(s, fresh, i.Sources[0]) })
}

const maxConflicts = 5

// change applies a change to what the store holds at this moment, and never to
// a session that has ended meanwhile.
func (p *Proxy) change(ctx context.Context, v *live, apply func(*session.Session)) error {
	for range maxConflicts {
		s, err := p.peek(ctx, v)
		if err != nil {
			return err
		}
		apply(&s)
		err = p.c.Sessions.Update(ctx, v.id, s)
		switch {
		case errors.Is(err, session.ErrNotFound):
			p.lives.end(v.key)
			return errNoSession
		case errors.Is(err, session.ErrConflict):
			continue
		case err == nil:
			p.lives.refresh(v, s)
		}
		return err
	}
	return fmt.Errorf("changing a session: %w", session.ErrConflict)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) && !b.IsZero() {
		return b
	}
	return a
}

func person(s session.Session) webidentity.Person {
	return webidentity.Person{Issuer: s.Issuer, Subject: s.Subject, Email: s.Email, IDToken: s.IDToken, Claims: s.Claims}
}

func setCredentials(s *session.Session, c webidentity.Credentials, source string) {
	s.RoleSessionName, s.Source = c.RoleSessionName, source
	s.Credentials = session.AWSCredentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: c.Expires,
	}
}
