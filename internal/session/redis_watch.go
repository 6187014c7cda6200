package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// A quiet connection is asked after this time whether it still lives.
	watchPing = 5 * time.Second
	// Between attempts to watch again.
	watchWait    = 200 * time.Millisecond
	maxWatchWait = 5 * time.Second
)

// Watch calls ended with the key of each session that any replica ends, until
// ctx does, and recheck at the beginning and after every interruption: sessions
// may have ended unheard before it. One call is made at a time. A session whose
// time runs out is not heard of, and ctx's end is no error.
func (r *Redis) Watch(ctx context.Context, ended func(key string), recheck func()) error {
	wait := watchWait
	for {
		err := r.watch(ctx, ended, func() {
			wait = watchWait
			recheck()
		})
		if ctx.Err() == nil {
			r.cfg.Log.Info("watching for ended sessions was interrupted", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait/2)): //nolint:gosec // spreads replicas, hides nothing
		}
		wait = min(2*wait, maxWatchWait)
	}
}

// watch does so over one connection, until that fails.
func (r *Redis) watch(ctx context.Context, ended func(key string), subscribed func()) error {
	subscription := r.client.Subscribe(ctx, r.channel())
	// Reading does not look at ctx; closing interrupts it.
	stop := context.AfterFunc(ctx, func() { closeQuietly(subscription) })
	defer closeQuietly(subscription)
	defer stop()

	asked := false
	for {
		message, err := subscription.ReceiveTimeout(ctx, watchPing)
		switch {
		case err != nil && isTimeout(err) && !asked:
			asked = true
			if err := subscription.Ping(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		asked = false
		switch message := message.(type) {
		case *redis.Subscription:
			subscribed()
		case *redis.Message:
			if isKey(message.Payload) {
				ended(message.Payload)
			}
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

func closeQuietly(s *redis.PubSub) {
	if err := s.Close(); err != nil {
		return // it was closed already, or its connection is broken
	}
}
