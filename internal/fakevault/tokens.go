package fakevault

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is a client's token.
type token struct {
	id          string
	displayName string // such as jwt-jane@example.com
	policies    []string
	issued      time.Time
	expires     time.Time
	role        AuthRole
}

// lease is an IAM user that is to be deleted.
type lease struct {
	id      string
	user    string
	owner   *token
	expires time.Time
}

// authenticate tells whose token it is, if its policies allow the path.
func (s *Server) authenticate(id, path string) (*token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[id]
	if !ok {
		return nil, errBadToken()
	}
	for _, policy := range t.policies {
		if slices.ContainsFunc(s.allowed(policy), func(p string) bool { return covers(p, path) }) {
			return t, nil
		}
	}
	return nil, errForbidden()
}

// allowed are the paths of a policy.
func (s *Server) allowed(policy string) []string {
	if policy == "default" {
		return []string{"auth/token/lookup-self", "auth/token/renew-self", "auth/token/revoke-self"}
	}
	return s.cfg.Policies[policy]
}

func covers(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}

// authAnswer is a token as logging in and renewing answer it.
func (s *Server) authAnswer(t *token) any {
	kind := "service"
	if t.role.Batch {
		kind = "batch"
	}
	return map[string]any{"auth": map[string]any{
		"client_token": t.id, "policies": t.policies, "token_policies": t.policies, "token_type": kind,
		"lease_duration": int64(t.expires.Sub(s.cfg.Now()).Round(time.Second) / time.Second), "renewable": !t.role.Batch,
		"metadata": map[string]string{},
	}}
}

func (s *Server) lookUp(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := c.caller
	return map[string]any{"data": map[string]any{
		"display_name": t.displayName, "policies": t.policies, "expire_time": t.expires.UTC().Format(time.RFC3339),
		"ttl": int64(t.expires.Sub(s.cfg.Now()) / time.Second), "renewable": !t.role.Batch,
	}}, nil
}

// renew makes the token last for the increment from now, be that longer or
// shorter than it was, up to the role's maximum from its beginning.
func (s *Server) renew(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, now := c.caller, s.cfg.Now()
	if t.role.Batch {
		return nil, refuse(http.StatusBadRequest, "batch tokens cannot be renewed")
	}
	ttl := t.role.TokenTTL
	if n, ok := c.body["increment"].(float64); ok && n > 0 {
		ttl = time.Duration(n) * time.Second
	} else if text := c.text("increment"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "error parsing increment: %v", err)
		}
		ttl = d
	}
	t.expires = earlier(now.Add(ttl), t.issued.Add(t.role.TokenMaxTTL))
	return s.authAnswer(t), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (s *Server) revokeSelf(c *call) (any, error) {
	s.mu.Lock()
	delete(s.tokens, c.caller.id)
	over := s.orphans()
	s.mu.Unlock()
	return nil, s.end(c, over)
}

func (s *Server) revokeLease(c *call) (any, error) {
	s.mu.Lock()
	l, ok := s.leases[c.text("lease_id")]
	s.mu.Unlock()
	if c.text("lease_id") == "" {
		return nil, refuse(http.StatusBadRequest, "\"lease_id\" must be specified")
	}
	if !ok {
		return nil, nil // as in Vault: there is nothing left to do
	}
	return nil, s.end(c, []*lease{l})
}

// Expire deletes the users of every lease that is over, or whose token is. It
// runs before each request, too.
func (s *Server) Expire(ctx context.Context) error {
	s.mu.Lock()
	now := s.cfg.Now()
	for id, t := range s.tokens {
		if !now.Before(t.expires) {
			delete(s.tokens, id)
		}
	}
	over := s.orphans()
	s.mu.Unlock()
	return s.end(ctx, over)
}

// orphans are the leases that are to end. The lock is held.
func (s *Server) orphans() []*lease {
	var over []*lease
	now := s.cfg.Now()
	for _, l := range s.leases {
		if s.tokens[l.owner.id] == nil || !now.Before(l.expires) {
			over = append(over, l)
		}
	}
	return over
}

// end deletes the users of leases and forgets those that are gone.
func (s *Server) end(ctx context.Context, over []*lease) error {
	if len(over) == 0 {
		return nil
	}
	s.ending.Lock()
	defer s.ending.Unlock()
	var failed []error
	for _, l := range over {
		if err := s.deleteUser(ctx, l.user); err != nil {
			failed = append(failed, err)
			continue
		}
		s.mu.Lock()
		delete(s.leases, l.id)
		s.mu.Unlock()
	}
	return errors.Join(failed...)
}

// Leases are the ids of the leases that last, sorted.
func (s *Server) Leases() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.leases {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// RevokePrefix ends every lease whose id begins with prefix, as an operator does
// with `vault lease revoke -prefix`.
func (s *Server) RevokePrefix(ctx context.Context, prefix string) error {
	s.mu.Lock()
	var over []*lease
	for id, l := range s.leases {
		if strings.HasPrefix(id, prefix) {
			over = append(over, l)
		}
	}
	s.mu.Unlock()
	return s.end(ctx, over)
}

func newToken() string { return "hvs." + rand.Text() + rand.Text() }
