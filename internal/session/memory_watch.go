package session

import (
	"context"
	"sync"
)

// maxPending is how many ended sessions a slow watcher may be behind before it
// is told to look for itself.
const maxPending = 4096

// watcher collects what one Watch has not told yet.
type watcher struct {
	signal chan struct{} // holds one

	mu     sync.Mutex
	keys   []string
	missed bool
}

// Watch calls ended with the key of each session that ends, until ctx does, and
// recheck once at the beginning and whenever it has fallen so far behind that
// keys are lost: sessions may have ended unheard then. One call is made at a
// time. It returns nil.
func (m *Memory) Watch(ctx context.Context, ended func(key string), recheck func()) error {
	w := &watcher{signal: make(chan struct{}, 1)}
	m.mu.Lock()
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, w)
	}()

	recheck()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.signal:
		}
		keys, missed := w.take()
		for _, key := range keys {
			ended(key)
		}
		if missed {
			recheck()
		}
	}
}

// add never blocks.
func (w *watcher) add(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.keys) < maxPending {
		w.keys = append(w.keys, key)
	} else {
		w.missed = true
	}
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *watcher) take() (keys []string, missed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, missed = w.keys, w.missed
	w.keys, w.missed = nil, false
	return keys, missed
}
