package loginproxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// verdict is what this process decided about one version of a session.
type verdict struct {
	version uint64
	err     error
}

// fits decides whether this process, as it is configured, lets a session in, on
// whosever word it came to be; the error is an errNoSession with the reason. It is
// asked wherever a session has been read from the store, before anything comes of
// it.
//
// The answer follows from the session and the configuration alone and is written
// nowhere: of two replicas with different configurations, as during a rollout,
// each keeps to its own, and neither ends or changes the sessions of the other.
func (p *Proxy) fits(v *live, s session.Session) error {
	if known := v.verdict.Load(); known != nil && known.version == s.Version {
		return known.err
	}
	err := p.judge(s)
	v.verdict.Store(&verdict{s.Version, err})
	return err
}

func (p *Proxy) judge(s session.Session) error {
	login := oidclogin.Login{Issuer: s.Issuer, Subject: s.Subject, Email: s.Email, Claims: s.Claims}
	if err := p.c.Provider.Admits(login); err != nil {
		return fmt.Errorf("%w that fits the configuration: %w", errNoSession, err)
	}
	allowed := p.allowed(s.Claims)
	switch {
	case len(allowed) == 0:
		return fmt.Errorf("%w that fits the configuration: no role is granted to it", errNoSession)
	case s.Identity == "":
		return nil
	case !has(allowed, s.Identity):
		return fmt.Errorf("%w that fits the configuration: %s is not granted to it", errNoSession, s.Identity)
	case p.foreign(s) && !renewable(s):
		return fmt.Errorf("%w that fits the configuration: its credentials are from %q and cannot be renewed", errNoSession, s.Source)
	}
	return nil
}

// foreign tells whether a session's credentials were had in a way that does not
// count any more.
func (p *Proxy) foreign(s session.Session) bool {
	if s.Identity == "" {
		return false
	}
	i, ok := p.identityOf(s.Identity)
	return !ok || !slices.Contains(i.Sources, s.Source)
}

func (p *Proxy) identityOf(key string) (identity, bool) {
	i := slices.IndexFunc(p.identities, func(i identity) bool { return i.key == key })
	if i < 0 {
		return identity{}, false
	}
	return p.identities[i], true
}

// renewable tells whether a session can get other credentials. What Vault issued
// lasts as long as the session may.
func renewable(s session.Session) bool {
	return s.RefreshToken != "" && !s.Pending && !strings.HasPrefix(s.Identity, vaultPrefix)
}

// spent tells whether a session's credentials must not be used.
func (p *Proxy) spent(s session.Session, now time.Time) bool {
	return expired(s.Credentials.Expires, now) || p.foreign(s)
}

// ends is when a session is over: MaxAge may be less than when it began.
func (p *Proxy) ends(s session.Session) time.Time {
	return earliest(s.Ends, s.Created.Add(p.c.MaxAge))
}
