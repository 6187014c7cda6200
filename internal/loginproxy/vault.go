package loginproxy

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const (
	probeEvery    = 2 * time.Second
	probeTimeout  = 5 * time.Second
	revokeTimeout = 30 * time.Second
)

// accepted lets a session through whose identity Vault has just made once the
// cluster takes it. The cluster is asked with another token each time, because
// it remembers those that it refused, and not by every request.
func (p *Proxy) accepted(ctx context.Context, c caller) (string, error) {
	v := c.stream.live
	if !v.probe.TryLock() {
		return "", errPending
	}
	defer v.probe.Unlock()
	if now := p.c.Now(); now.Sub(v.probedAt) < probeEvery-time.Second && !now.Before(v.probedAt) {
		return "", errPending
	}
	v.probedAt = p.c.Now()
	bearer, err := p.mint(v, c.session)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ok, err := p.c.Accepts(ctx, bearer)
	if err != nil {
		p.c.Log.Error(err, "Asking whether the cluster takes an identity", "session", v.key[:12])
	}
	if err != nil || !ok {
		return "", errPending
	}
	return bearer, p.change(ctx, v, func(s *session.Session) { s.Pending = false })
}

// waiting shows that the cluster does not take the identity yet.
func (p *Proxy) waiting(rec *record, r *http.Request) {
	view := page.WaitingView{
		Cluster: p.c.ClusterName, Refresh: probeEvery, LogoutAction: p.c.LoginURL + "/logout", LeadsTo: p.leadsTo(rec.peer),
	}
	if id, ok := p.sessionID(r, rec.peer); ok {
		if s, err := p.c.Sessions.Peek(r.Context(), id); err == nil {
			view.Email, view.CSRF, view.Role = s.Email, s.CSRF, p.roleOf(s.Identity)
			view.Since = p.c.Now().Sub(s.Created)
		}
	}
	page.Waiting(view).Write(rec, http.StatusServiceUnavailable)
}

// revoke gives back what Vault issued. A crash before it is done costs nothing
// but time: the lease ends with the session's longest life.
func (p *Proxy) revoke(s session.Session) {
	if s.Lease.ID == "" {
		return
	}
	for _, i := range p.identities {
		if i.Vault == nil || i.key != s.Identity {
			continue
		}
		p.background.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
			defer cancel()
			if err := i.Vault.Revoke(ctx, s.Lease.ID, s.Lease.Token); err != nil {
				p.c.Log.Error(err, "Revoking what Vault issued", "user", s.Email, "identity", i.Name)
			}
		})
	}
}

// roleOf is what pages show of an identity.
func (p *Proxy) roleOf(key string) page.Role {
	for _, i := range p.identities {
		if i.key == key {
			return i.role
		}
	}
	return page.Role{Name: strings.TrimPrefix(key, vaultPrefix)}
}
