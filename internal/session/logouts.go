package session

import (
	"context"
	"errors"
	"time"
)

// ErrLoggedOut says that the provider has ended the login that a session was to
// be made of.
var ErrLoggedOut = errors.New("the login has ended at the provider")

// logoutMemory is for how long a provider's order keeps older logins out. It is
// longer than a login can be under way between the provider and Create.
const logoutMemory = 15 * time.Minute

// logout is an order to end sessions, for those that are not there yet.
type logout struct {
	at    time.Time // by the provider's clock
	until time.Time // by ours; after that it is forgotten
}

// noteLogout keeps older logins from becoming sessions.
func (m *Memory) noteLogout(names []indexEntry, at, now time.Time) {
	for name, l := range m.logouts {
		if !now.Before(l.until) {
			delete(m.logouts, name)
		}
	}
	for _, name := range names {
		if l, ok := m.logouts[name]; !ok || l.at.Before(at) {
			m.logouts[name] = logout{at: at, until: now.Add(logoutMemory)}
		}
	}
}

func (m *Memory) loggedOut(s Session, now time.Time) bool {
	for _, name := range s.indexEntries() {
		if l, ok := m.logouts[name]; ok && now.Before(l.until) && !s.LoggedIn.After(l.at) {
			return true
		}
	}
	return false
}

// noteLogout does it for all replicas. Whatever Create has not refused after
// that, stands in the index already.
func (r *Redis) noteLogout(ctx context.Context, names []indexEntry, at time.Time) error {
	var keys []string
	for _, name := range names {
		keys = append(keys, r.logoutKeys(name)...)
	}
	if err := r.run(ctx, r.scripts.logout, keys, at.UnixMilli(), logoutMemory.Milliseconds()).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}
