package loginproxy

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// lives are the sessions that this replica has seen lately, with what they have
// open here.
type lives struct {
	open prometheus.Gauge
	mu   sync.Mutex
	all  map[string]*live
}

// live is one of them.
type live struct {
	id  session.ID
	key string

	// Guarded by lives.mu.
	streams map[*stream]struct{}
	known   bool             // the store has said that it exists
	used    time.Time        // by a request
	kept    time.Time        // when it was last marked used for the sake of a stream
	present *session.Session // as the store had it last; never changed in place

	verdict atomic.Pointer[verdict]
	token   atomic.Pointer[token]
	minting atomic.Bool
	overdue atomic.Bool

	renewal sync.Mutex
	running *renewal      // guarded by renewal; nil: none
	retryAt time.Time     // guarded by renewal
	failed  error         // the last renewal's; guarded by renewal; nil: none, or it went well
	pause   time.Duration // before another renewal; guarded by renewal; 0: none
	unspent string        // ID token that there are no credentials for yet; only for the renewal that runs
	unsaved atomic.Pointer[unsaved]

	probe    sync.Mutex
	probedAt time.Time // guarded by probe
}

// stream is a request under way, which ends with its session.
type stream struct {
	live   *live
	cancel context.CancelFunc
	rec    *record
}

func newLives(open prometheus.Gauge) lives {
	return lives{open: open, all: map[string]*live{}}
}

// enter registers a request before its session is looked up, so that an end of
// the session after the look-up finds it.
func (l *lives) enter(id session.ID, rec *record, cancel context.CancelFunc) *stream {
	key := id.Key()
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.all[key]
	if v == nil {
		v = &live{id: id, key: key, streams: map[*stream]struct{}{}}
		l.all[key] = v
	}
	s := &stream{live: v, cancel: cancel, rec: rec}
	v.streams[s] = struct{}{}
	l.open.Inc()
	return s
}

// leave ends a request's registration. What no request has found in the store
// is forgotten at once: ids that are made up cost nothing.
func (l *lives) leave(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := s.live.streams[s]; !ok {
		return
	}
	delete(s.live.streams, s)
	l.open.Dec()
	if !s.live.known && len(s.live.streams) == 0 && l.all[s.live.key] == s.live {
		delete(l.all, s.live.key)
	}
}

// seen notes what the store said about the session.
func (l *lives) seen(v *live, s session.Session, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v.known, v.present, v.used = true, &s, at
}

// refresh notes what the store said, without a request.
func (l *lives) refresh(v *live, s session.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v.present = &s
}

// end closes all that a session has open here, and forgets it.
func (l *lives) end(key string) {
	l.mu.Lock()
	v := l.all[key]
	delete(l.all, key)
	l.mu.Unlock()
	if v != nil {
		l.cut(v)
	}
}

// cut closes all that a session has open here. What is known of it stays, such as
// when a renewal may be tried again.
func (l *lives) cut(v *live) {
	l.mu.Lock()
	open := slices.Collect(maps.Keys(v.streams))
	l.mu.Unlock()
	for _, s := range open {
		s.cut()
	}
}

func (s *stream) cut() {
	s.rec.cutOff()
	s.cancel()
}

// pick gives those known ones that a function wants, and forgets those that have
// nothing open and were last used before a time. The function must be quick.
func (l *lives) pick(before time.Time, wanted func(*live) bool) []*live {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*live
	for key, v := range l.all {
		switch {
		case !v.known:
		case len(v.streams) == 0 && v.used.Before(before) && v.unsaved.Load() == nil:
			delete(l.all, key)
		case wanted(v):
			out = append(out, v)
		}
	}
	return out
}

// glance gives the present state of a session, whether it has something open,
// and whether it is to be kept in use, which is then noted as done.
func (l *lives) glance(v *live, wantsKeeping func() bool, now time.Time) (s session.Session, streams, keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep = wantsKeeping()
	if keep {
		v.kept = now
	}
	return *v.present, len(v.streams) > 0, keep
}
