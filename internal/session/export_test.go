package session

import (
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Hook puts something between the store and its server.
func Hook(r *Redis, hook redis.Hook) { r.client.AddHook(hook) }

// Inside says what a Memory holds: it is the same everywhere, or an error.
func Inside(m *Memory) (sessions, indexes int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sessions, indexes = len(m.sessions), len(m.indexes)
	if m.unused.Len() != sessions || len(m.ends) != sessions {
		err = fmt.Errorf("%d sessions, %d in the order of use, %d in the order of ends", sessions, m.unused.Len(), len(m.ends))
	}
	for i, e := range m.ends {
		if e.at != i || m.sessions[e.key] != e || e.place.Value != e {
			err = fmt.Errorf("the entry %d in the order of ends is not where it says", i)
		}
	}
	for name, set := range m.indexes {
		for e := range set {
			if m.sessions[e.key] != e {
				err = fmt.Errorf("the index of %v holds an ended session", name)
			}
		}
	}
	return sessions, indexes, err
}
