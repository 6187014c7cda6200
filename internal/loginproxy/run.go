package loginproxy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

const (
	sweepEvery = 250 * time.Millisecond
	// forgetAfter is when a session that is not used leaves this replica's memory;
	// its token has ended by then.
	forgetAfter = 15 * time.Minute
	keepEvery   = time.Minute
	watchAgain  = time.Second
	drainTime   = 10 * time.Second
)

// Run keeps sessions that are in use alive, and closes what ended ones have
// open, until ctx ends. Without it sessions that end elsewhere keep their
// streams. It returns nil.
func (p *Proxy) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { p.watch(ctx) })
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			watching.Wait()
			p.background.drain(drainTime)
			return nil
		case <-ticker.C:
			p.sweep()
		}
	}
}

func (p *Proxy) watch(ctx context.Context) {
	for {
		err := p.c.Sessions.Watch(ctx, p.lives.end, func() { p.recheck(ctx) })
		if ctx.Err() != nil {
			return
		}
		p.c.Log.Error(err, "Watching for sessions that end")
		timer := time.NewTimer(watchAgain)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// recheck looks at each session that is known here: ends may have been missed.
func (p *Proxy) recheck(ctx context.Context) {
	for _, v := range p.lives.pick(time.Time{}, func(*live) bool { return true }) {
		if _, err := p.peek(ctx, v); err != nil && ctx.Err() != nil {
			return
		}
	}
}

// sweep looks after the sessions without a request.
func (p *Proxy) sweep() {
	now := p.c.Now()
	for _, v := range p.lives.pick(now.Add(-forgetAfter), func(v *live) bool { return p.wants(v, now) }) {
		p.look(v, now)
	}
}

// wants tells whether a session needs to be looked at. It runs under a lock.
func (p *Proxy) wants(v *live, now time.Time) bool {
	s := v.present
	return !now.Before(p.ends(*s)) || expired(s.Credentials.Expires, now) && len(v.streams) > 0 ||
		p.due(v, *s, now) || p.wantsKeeping(v, now)
}

func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// wantsKeeping tells whether a session is in use by nothing but its streams.
func (p *Proxy) wantsKeeping(v *live, now time.Time) bool {
	every := min(keepEvery, p.c.Idle/4)
	return len(v.streams) > 0 && now.Sub(v.used) >= every && now.Sub(v.kept) >= every
}

// look does what a session needs, with nothing held up by it.
func (p *Proxy) look(v *live, now time.Time) {
	s, streams, keep := p.lives.glance(v, func() bool { return p.wantsKeeping(v, now) }, now)
	switch {
	case !now.Before(p.ends(s)):
		p.lives.end(v.key)
		p.background.Go(func() { _ = p.end(context.Background(), v.id, "age") }) // logged
	case expired(s.Credentials.Expires, now) && streams:
		if v.overdue.CompareAndSwap(false, true) {
			p.background.Go(func() {
				defer v.overdue.Store(false)
				p.overdue(v)
			})
		}
	case p.due(v, s, now):
		_, _ = p.startRenewal(v)
	}
	if keep {
		p.background.Go(func() { p.keep(v) })
	}
}

// overdue closes what a session has open if its credentials have ended and
// cannot be renewed.
func (p *Proxy) overdue(v *live) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	s, err := p.peek(ctx, v)
	switch {
	case err == nil && !expired(s.Credentials.Expires, p.c.Now()):
	case err == nil && s.RefreshToken == "":
		_ = p.end(ctx, v.id, "credentials expired") // logged
	default:
		if run, err := p.startRenewal(v); err == nil {
			if <-run.done; run.err == nil {
				return
			}
		}
		p.lives.cut(v)
	}
}

// keep marks a session used for the sake of its streams.
func (p *Proxy) keep(v *live) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	s, err := p.c.Sessions.Get(ctx, v.id)
	switch {
	case errors.Is(err, session.ErrNotFound):
		p.lives.end(v.key)
	case err == nil && p.fits(v, s) != nil:
		p.lives.end(v.key)
	case err == nil:
		p.lives.refresh(v, s)
	}
}

// tasks are goroutines that outlive the requests that began them.
type tasks struct {
	mu    sync.Mutex
	count int
	idle  chan struct{} // not nil while somebody waits
}

// Go runs f.
func (t *tasks) Go(f func()) {
	t.mu.Lock()
	t.count++
	t.mu.Unlock()
	go func() {
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.count--; t.count == 0 && t.idle != nil {
				close(t.idle)
				t.idle = nil
			}
		}()
		f()
	}()
}

// drain waits until none runs, but no longer than limit.
func (t *tasks) drain(limit time.Duration) {
	t.mu.Lock()
	if t.count == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
