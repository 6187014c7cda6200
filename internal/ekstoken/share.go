package ekstoken

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// calls lets those who want the same at the same time share one call. A call has
// a deadline of its own, whoever began it, and ends early only when the last one
// that waits for it has left. (singleflight would end with its first caller, or
// go on for nobody.)
type calls struct {
	max     int
	timeout time.Duration
	ask     func(context.Context, *request) (reply, error)

	mu      sync.Mutex
	running int // also those that nobody waits for and that have not ended yet
	waiting map[request]*call
}

type call struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{} // closed when what follows is set
	reply   reply
	err     error
}

// do gives the reply to a request, from a call that is under way or a new one.
// The first one makes the call itself, because handing it to another goroutine
// doubles what verifying costs; when it leaves while others wait, it is held
// until the call ends.
func (c *calls) do(ctx context.Context, r *request) (reply, error) {
	shared, own, err := c.join(ctx, r)
	if err != nil {
		return reply{}, err
	}
	if own != nil {
		stop := context.AfterFunc(ctx, func() { c.leave(r, shared) })
		defer stop()
		c.run(own, r, shared)
		return shared.reply, shared.err
	}
	select {
	case <-shared.done:
		return shared.reply, shared.err
	case <-ctx.Done():
		c.leave(r, shared)
		return reply{}, unavailable(fmt.Errorf("waiting for STS: %w", ctx.Err()))
	}
}

// join finds the call to wait for. Who gets a context with it must make it.
func (c *calls) join(ctx context.Context, r *request) (_ *call, own context.Context, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared := c.waiting[*r]; shared != nil {
		shared.waiters++
		return shared, nil, nil
	}
	if c.running >= c.max {
		return nil, nil, ErrBusy
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	shared := &call{cancel: cancel, waiters: 1, done: make(chan struct{})}
	c.waiting[*r] = shared
	c.running++
	return shared, own, nil
}

func (c *calls) run(ctx context.Context, r *request, shared *call) {
	defer func() { // also when the transport panics
		shared.cancel()
		c.mu.Lock()
		c.running--
		c.forget(r, shared)
		c.mu.Unlock()
		close(shared.done)
	}()
	shared.reply, shared.err = c.ask(ctx, r)
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
