package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// meanwhile does something once, right before a script runs.
type meanwhile struct{ do func() }

func (*meanwhile) DialHook(next redis.DialHook) redis.DialHook { return next }
func (*meanwhile) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *meanwhile) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if do := h.do; do != nil && strings.HasPrefix(cmd.Name(), "eval") {
			h.do = nil
			do()
		}
		return next(ctx, cmd)
	}
}

func TestWhatHappensRightBeforeAnUpdateIsWritten(t *testing.T) {
	for _, c := range []struct {
		reason string
		do     func(t *testing.T, b *bed, id session.ID) error
		want   error
	}{
		{"another update", func(t *testing.T, b *bed, id session.ID) error {
			t.Helper()
			s := b.mustPeek(t, id)
			s.RefreshToken = "refresh-2"
			return b.Update(t.Context(), id, s)
		}, session.ErrConflict},
		{"a logout", func(t *testing.T, b *bed, id session.ID) error {
			t.Helper()
			_, err := b.End(t.Context(), id)
			return err
		}, session.ErrNotFound},
	} {
		t.Run(c.reason, func(t *testing.T) {
			b := redisStores(t)
			id := b.create(t, nil)
			late := newRedis(t, session.RedisConfig{URL: b.redis.URL(), Keys: keys(t, secretA), Associated: "here", Idle: idle, Now: b.now})
			session.Hook(late, &meanwhile{do: func() {
				if err := c.do(t, b, id); err != nil {
					t.Error(err)
				}
			}})
			s := b.mustPeek(t, id)
			s.RefreshToken = "refresh-late"
			if err := late.Update(t.Context(), id, s); !errors.Is(err, c.want) {
				t.Errorf("the update answered %v, want %v", err, c.want)
			}
			if errors.Is(c.want, session.ErrNotFound) {
				b.gone(t, id, "it was ended before the update was written")
			} else if got := b.mustPeek(t, id); got.RefreshToken != "refresh-2" {
				t.Errorf("the late update was written: %q", got.RefreshToken)
			}
		})
	}
}

func TestTheTimeOfWhatIsInRedis(t *testing.T) {
	b := redisStores(t)
	raw := rawClient(t, b.redis)
	withoutSID := func(s *session.Session) { s.SID = "" }
	id := b.create(t, withoutSID)
	s := b.mustPeek(t, id)
	s.Ends = s.Created.Add(10 * time.Minute)
	if err := b.Update(t.Context(), id, s); err != nil {
		t.Fatal(err)
	}
	name := raw.Keys(t.Context(), "*:session:*").Val()[0]
	if left := raw.PTTL(t.Context(), name).Val(); left > 10*time.Minute {
		t.Errorf("a session that ends in 10 minutes stays for %s", left)
	}

	later := b.create(t, withoutSID)
	b.forward(idle / 2)
	if ended, err := b.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: "alice"}); err != nil || len(ended) != 1 {
		t.Errorf("EndIndexed ended %v, %v, want the later session: an index lives as long as the last in it", ended, err)
	}
	b.gone(t, later, "it was ended")

	b.create(t, withoutSID)
	b.forward(idle)
	for _, x := range []session.Index{{Issuer: issuer, Subject: "alice"}, {Issuer: issuer, SID: "unknown", Subject: "alice"}} {
		if ended, err := b.EndIndexed(t.Context(), x); err != nil || len(ended) != 0 {
			t.Errorf("EndIndexed ended %v, %v, want nothing", ended, err)
		}
	}
	if left := raw.DBSize(t.Context()).Val(); left != 0 {
		t.Errorf("%d keys are left, though all that an index held has run out: %s", left, dump(t, raw))
	}
}
