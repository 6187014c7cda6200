package ekstoken

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// calls lets those who want the same at the same time share one call. A call
// belongs to nobody: it has a deadline of its own and ends early only when the
// last one that waits for it has left. (singleflight would end with its first
// caller, or go on for nobody.)
type calls struct {
	max     int
	timeout time.Duration
	ask     func(context.Context, *request) (Identity, error)

	mu      sync.Mutex
	running int // also those that nobody waits for and that have not ended yet
	waiting map[request]*call
}

type call struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{} // closed when what follows is set
	id      Identity
	err     error
}

// do gives the answer to a request, from a call that is under way or a new one.
func (c *calls) do(ctx context.Context, r *request) (Identity, error) {
	shared, err := c.join(ctx, r)
	if err != nil {
		return Identity{}, err
	}
	select {
	case <-shared.done:
		return shared.id, shared.err
	case <-ctx.Done():
		c.leave(r, shared)
		return Identity{}, unavailable(fmt.Errorf("waiting for STS: %w", ctx.Err()))
	}
}

func (c *calls) join(ctx context.Context, r *request) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared := c.waiting[*r]; shared != nil {
		shared.waiters++
		return shared, nil
	}
	if c.running >= c.max {
		return nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	shared := &call{cancel: cancel, waiters: 1, done: make(chan struct{})}
	c.waiting[*r] = shared
	c.running++
	go c.run(ctx, r, shared)
	return shared, nil
}

func (c *calls) run(ctx context.Context, r *request, shared *call) {
	shared.id, shared.err = c.ask(ctx, r)
	shared.cancel()
	c.mu.Lock()
	c.running--
	c.forget(r, shared)
	c.mu.Unlock()
	close(shared.done)
}

func (c *calls) leave(r *request, shared *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared.waiters--; shared.waiters == 0 {
		c.forget(r, shared)
		shared.cancel()
	}
}

// forget keeps others from joining. After the last waiter left, another call may
// stand in the place already.
func (c *calls) forget(r *request, shared *call) {
	if c.waiting[*r] == shared {
		delete(c.waiting, *r)
	}
}
