package session

import (
	"container/heap"
	"container/list"
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// coalesce is how long at most a session outlives its time in memory, for the
// sake of fewer awakenings. Nobody gets to see it meanwhile.
const coalesce = time.Second

// MemoryConfig bounds a Memory.
type MemoryConfig struct {
	// Max is how many sessions are kept: when one more is created, the one that
	// was unused for longest ends. Default: 0, no limit.
	Max int
	// Idle is after how long without Get a session ends. Default: 0, never.
	Idle time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Memory keeps the sessions of a program that runs once. It is for concurrent
// use. Sessions that run out of time are freed without anybody asking for them;
// Watch hears of those too, and of those that made room for others.
type Memory struct {
	max  int
	idle time.Duration
	now  func() time.Time

	mu       sync.Mutex
	sessions map[string]*entry                  // by key
	indexes  map[indexEntry]map[*entry]struct{} // every session stands in its entries
	unused   list.List                          // of *entry: the longest unused first
	ends     endings                            // the first to end on top
	logouts  map[indexEntry]logout
	watchers map[*watcher]struct{}
	owners   uint64      // counts locks
	timer    *time.Timer // nil until the first session
	wake     time.Time   // when the timer is due; zero: it is not set
}

type entry struct {
	key     string
	session Session
	used    time.Time
	place   *list.Element // in Memory.unused
	at      int           // in Memory.ends
	owner   uint64        // of the lock; 0: free
	locked  time.Time     // until when
}

// NewMemory returns an empty store.
func NewMemory(cfg MemoryConfig) *Memory {
	m := &Memory{
		max:      cfg.Max,
		idle:     cfg.Idle,
		now:      cfg.Now,
		sessions: map[string]*entry{},
		indexes:  map[indexEntry]map[*entry]struct{}{},
		logouts:  map[indexEntry]logout{},
		watchers: map[*watcher]struct{}{},
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m
}

// Create stores a new session under an id that NewID has made. It answers
// ErrConflict if the id is taken, and ErrLoggedOut if the provider has ended the
// login meanwhile.
func (m *Memory) Create(_ context.Context, id ID, s Session) error {
	s.Version = 1
	s, err := detach(s)
	if err != nil {
		return err
	}
	key := id.Key()

	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if err := s.checkNew(now); err != nil {
		return err
	}
	if m.find(key, now) != nil {
		return ErrConflict
	}
	if m.loggedOut(s, now) {
		return ErrLoggedOut
	}
	m.sweep(now)
	for m.max > 0 && len(m.sessions) >= m.max {
		m.remove(m.oldest())
	}
	e := &entry{key: key, session: s, used: now}
	e.place = m.unused.PushBack(e)
	heap.Push(&m.ends, e)
	m.sessions[key] = e
	m.index(e)
	m.arm(now)
	return nil
}

// Get returns a session and marks it used.
func (m *Memory) Get(_ context.Context, id ID) (Session, error) {
	return m.read(id, true)
}

// Peek returns a session without marking it used.
func (m *Memory) Peek(_ context.Context, id ID) (Session, error) {
	return m.read(id, false)
}

func (m *Memory) read(id ID, use bool) (Session, error) {
	s, err := m.look(id.Key(), use)
	if err != nil {
		return Session{}, err
	}
	// What is stored is never changed in place, so it can be copied unlocked.
	s.Claims = cloneClaims(s.Claims)
	return s, nil
}

func (m *Memory) look(key string, use bool) (Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	e := m.find(key, now)
	if e == nil {
		return Session{}, ErrNotFound
	}
	if use {
		e.used = now
		m.unused.MoveToBack(e.place)
	}
	return e.session, nil
}

// Update stores a session that was read and changed, and counts its Version up.
// It answers ErrConflict if the stored Version is another one by now, and
// ErrNotFound if the session has ended: it never creates one. It does not mark
// the session used.
func (m *Memory) Update(_ context.Context, id ID, s Session) error {
	seen := s.Version
	s.Version++
	s, err := detach(s)
	if err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	e := m.find(id.Key(), now)
	if e == nil || s.over(now) {
		return ErrNotFound
	}
	if e.session.Version != seen {
		return ErrConflict
	}
	if err := s.checkUpdate(e.session); err != nil {
		return err
	}
	m.unindex(e)
	e.session = s
	m.index(e)
	heap.Fix(&m.ends, e.at)
	m.arm(now)
	return nil
}

// End ends a session and returns what it was. Every Watch hears of it.
func (m *Memory) End(_ context.Context, id ID) (Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(id.Key(), m.now())
	if e == nil {
		return Session{}, ErrNotFound
	}
	m.remove(e)
	s := e.session
	s.Claims = cloneClaims(s.Claims)
	return s, nil
}

// EndIndexed ends the sessions that a provider names and returns what they
// were, the oldest first. None is no error.
func (m *Memory) EndIndexed(_ context.Context, x Index) ([]Session, error) {
	names, err := x.entries()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if !x.At.IsZero() {
		m.noteLogout(names, x.At, now)
	}
	var ended []Session
	for _, name := range names {
		for e := range maps.Clone(m.indexes[name]) {
			if m.alive(e, now) {
				s := e.session
				s.Claims = cloneClaims(s.Claims)
				ended = append(ended, s)
			}
			m.remove(e)
		}
	}
	return sorted(ended), nil
}

// Lock gives one caller at a time the right to renew a session, for at most
// ttl. It does not wait: ok says whether the caller has it. release gives it
// back, may be called always and more than once, and takes it from nobody who
// got it later.
func (m *Memory) Lock(_ context.Context, id ID, ttl time.Duration) (release func(), ok bool, err error) {
	if ttl <= 0 {
		return func() {}, false, errNoTTL()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	e := m.find(id.Key(), now)
	if e == nil {
		return func() {}, false, ErrNotFound
	}
	if e.owner != 0 && now.Before(e.locked) {
		return func() {}, false, nil
	}
	m.owners++
	owner := m.owners
	e.owner, e.locked = owner, now.Add(ttl)
	return func() { m.unlock(e, owner) }, true, nil
}

func (m *Memory) unlock(e *entry, owner uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.owner == owner {
		e.owner = 0
	}
}

// Ready always is.
func (m *Memory) Ready(context.Context) error { return nil }

// find returns the living session of that key, or nil.
func (m *Memory) find(key string, now time.Time) *entry {
	e := m.sessions[key]
	if e == nil {
		return nil
	}
	if !m.alive(e, now) {
		m.remove(e)
		return nil
	}
	return e
}

func (m *Memory) alive(e *entry, now time.Time) bool {
	return !e.session.over(now) && (m.idle <= 0 || now.Before(e.used.Add(m.idle)))
}

// oldest returns the session that was unused for longest. There must be one.
func (m *Memory) oldest() *entry {
	return m.unused.Front().Value.(*entry) //nolint:errcheck // nothing else is put there
}

// remove takes a session out and tells the watchers.
func (m *Memory) remove(e *entry) {
	delete(m.sessions, e.key)
	m.unindex(e)
	m.unused.Remove(e.place)
	heap.Remove(&m.ends, e.at)
	for w := range m.watchers {
		w.add(e.key)
	}
}

func (m *Memory) index(e *entry) {
	for _, name := range e.session.indexEntries() {
		set := m.indexes[name]
		if set == nil {
			set = map[*entry]struct{}{}
			m.indexes[name] = set
		}
		set[e] = struct{}{}
	}
}

func (m *Memory) unindex(e *entry) {
	for _, name := range e.session.indexEntries() {
		set := m.indexes[name]
		delete(set, e)
		if len(set) == 0 {
			delete(m.indexes, name)
		}
	}
}

// sweep removes what has run out of time.
func (m *Memory) sweep(now time.Time) {
	for len(m.ends) > 0 && m.ends[0].session.over(now) {
		m.remove(m.ends[0])
	}
	for m.unused.Len() > 0 && !m.alive(m.oldest(), now) {
		m.remove(m.oldest())
	}
}

// arm sets the timer for the next session that may run out of time.
func (m *Memory) arm(now time.Time) {
	if len(m.sessions) == 0 {
		return
	}
	next := m.ends[0].session.Ends
	if m.idle > 0 {
		if idle := m.oldest().used.Add(m.idle); idle.Before(next) {
			next = idle
		}
	}
	if !m.wake.IsZero() && !next.Before(m.wake) {
		return
	}
	m.wake = next
	wait := max(next.Sub(now), coalesce)
	if m.timer == nil {
		m.timer = time.AfterFunc(wait, m.expire)
		return
	}
	m.timer.Reset(wait)
}

// expire is what the timer does.
func (m *Memory) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wake = time.Time{}
	now := m.now()
	m.sweep(now)
	m.arm(now)
}

// detach returns the session as it is after storing it elsewhere: nothing of it
// is shared with the caller's.
func detach(s Session) (Session, error) {
	text, err := encode(s)
	if err != nil {
		return Session{}, err
	}
	return decode(text)
}

// cloneClaims copies what encoding/json has decoded.
func cloneClaims(claims map[string]any) map[string]any {
	if claims == nil {
		return nil
	}
	out := make(map[string]any, len(claims))
	for name, value := range claims {
		out[name] = cloneClaim(value)
	}
	return out
}

func cloneClaim(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return cloneClaims(value)
	case []any:
		out := make([]any, len(value))
		for i, v := range value {
			out[i] = cloneClaim(v)
		}
		return out
	default:
		return value
	}
}

func errNoTTL() error { return errors.New("a lock needs a time to live") }
