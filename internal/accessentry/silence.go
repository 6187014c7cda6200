package accessentry

import (
	"context"
	"errors"
	"time"
)

// silenceTime is how long EKS is left alone with what it did not answer in time:
// aws-auth, which has nothing to do with it, waits for the answer.
const silenceTime = time.Minute

// question is what EKS is asked, or asked to do.
type question int

const (
	forList question = iota
	forLook
	toRemove
	toUpdate
	toCreate
	toAdopt
)

// silence is since when EKS is left alone with a question, and why.
type silence struct {
	from time.Time
	err  error
}

// silent gives why EKS is not asked that now; nil: it may be. A clock that was
// set back ends the silence.
func (c *Cluster) silent(q question) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.silences[q]
	if passed := c.Now().Sub(s.from); !ok || passed < 0 || passed >= silenceTime {
		return nil
	}
	return s.err
}

// noteSilence remembers that EKS did not answer in time, if that is what went
// wrong. The time of ctx, that of the caller, is another matter.
func (c *Cluster) noteSilence(ctx context.Context, q question, err error) {
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silences[q] = silence{c.Now(), err}
}
