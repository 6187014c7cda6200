package loginproxy

import (
	"sync"
	"time"
)

// recent remembers names for a while, and the latest only, because strangers can
// make it remember some.
type recent struct {
	most   int
	memory time.Duration
	mu     sync.Mutex
	names  map[string]struct{}
	order  []remembered // the oldest first
}

type remembered struct {
	name string
	at   time.Time
}

func newRecent(most int, memory time.Duration) *recent {
	return &recent{most: most, memory: memory, names: map[string]struct{}{}}
}

// first tells whether a name is not remembered, and remembers it.
func (r *recent) first(name string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && now.Sub(r.order[0].at) >= r.memory {
		r.forget()
	}
	if _, ok := r.names[name]; ok {
		return false
	}
	if len(r.order) >= r.most {
		r.forget()
	}
	r.names[name] = struct{}{}
	r.order = append(r.order, remembered{name, now})
	return true
}

func (r *recent) forget() {
	delete(r.names, r.order[0].name)
	r.order = r.order[1:]
}
