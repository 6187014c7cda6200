package tokenreview

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// tokenKey stands for a token without revealing it. Tokens whose parameters come
// in another order are one request to STS and have the same key.
type tokenKey [sha256.Size]byte

func keyOf(token string) tokenKey { return ekstoken.Fingerprint(token) }

// memory keeps values for a fixed time, and no more than a fixed number of
// them: the oldest give way.
type memory[V any] struct {
	mu     sync.Mutex
	keep   time.Duration
	values map[tokenKey]remembered[V]
	// ring holds the keys in the order in which they came; next is the place
	// of the oldest once it is full.
	ring []tokenKey
	next int
}

type remembered[V any] struct {
	value V
	until time.Time
	place int
}

func newMemory[V any](size int, keep time.Duration) *memory[V] {
	return &memory[V]{keep: keep, values: map[tokenKey]remembered[V]{}, ring: make([]tokenKey, size)}
}

func (m *memory[V]) get(key tokenKey, now time.Time) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.values[key]
	if !ok || !now.Before(r.until) || now.Before(r.until.Add(-m.keep)) {
		return value, false
	}
	return r.value, true
}

func (m *memory[V]) put(key tokenKey, value V, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if oldest := m.ring[m.next]; m.values[oldest].place == m.next {
		delete(m.values, oldest)
	}
	m.ring[m.next] = key
	m.values[key] = remembered[V]{value: value, until: now.Add(m.keep), place: m.next}
	m.next = (m.next + 1) % len(m.ring)
}

func (m *memory[V]) drop(key tokenKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
}
