package ekstoken

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The tests below run on synctest's clock, which only goes on when all goroutines
// wait; synctest.Wait returns as soon as they do.

// slow answers after a time, or when the caller has left; it counts.
func slow(started, ended *atomic.Int32, takes time.Duration) sts {
	return func(r *http.Request) (*http.Response, error) {
		started.Add(1)
		defer ended.Add(1)
		select {
		case <-time.After(takes):
			return answer(200, alice), nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func TestVerifySharesTheCallOfEqualTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		v := verifierOf(t, slow(&started, &ended, time.Second))
		token := golden(t)
		other := replaced(t, "=60", "=61")
		errs := make(chan error, 20)
		for i := range cap(errs) {
			go func() {
				wanted := token
				if i == 0 {
					wanted = other
				}
				_, err := v.Verify(t.Context(), wanted)
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got := started.Load(); got != 2 {
			t.Errorf("got %d calls, want one for each of the two tokens", got)
		}
		if _, err := v.Verify(t.Context(), token); err != nil || started.Load() != 3 {
			t.Errorf("nothing may be kept once a call has ended: %d calls, error %v", started.Load(), err)
		}
		holdsNothing(t, v)
	})
}

func TestVerifyCallOutlivesItsFirstWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		v := verifierOf(t, slow(&started, &ended, time.Second))
		token := golden(t)
		first, leave := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { _, err := v.Verify(first, token); errs <- err }()
		synctest.Wait()
		go func() { _, err := v.Verify(t.Context(), token); errs <- err }()
		synctest.Wait()
		leave()
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("the call must go on for the second one, got %v", err)
			}
		}
		if started.Load() != 1 {
			t.Errorf("got %d calls, want 1", started.Load())
		}
		holdsNothing(t, v)
	})
}

func TestVerifyWaiterLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		v := verifierOf(t, slow(&started, &ended, 5*time.Second))
		token := golden(t)
		first := make(chan error, 1)
		go func() { _, err := v.Verify(t.Context(), token); first <- err }()
		synctest.Wait()
		begun := time.Now()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		_, err := v.Verify(ctx, token)
		if took := time.Since(begun); took != time.Second || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got error %v after %s, want its own deadline's after 1s", err, took)
		}
		if err := <-first; err != nil || ended.Load() != 1 {
			t.Errorf("the call must go on for the first one, got %v", err)
		}
		holdsNothing(t, v)
	})
}

func TestVerifySurvivesAPanicOfItsTransport(t *testing.T) {
	v := verifierOf(t, sts(func(*http.Request) (*http.Response, error) { panic("transport") }))
	token := golden(t)
	func() {
		defer func() { _ = recover() }()
		_, err := v.Verify(t.Context(), token)
		t.Errorf("got %v", err)
	}()
	if len(v.calls.waiting) != 0 || v.calls.running != 0 {
		t.Error("the call must be over for those who come later")
	}
}

func TestVerifyCallEndsWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		v := verifierOf(t, slow(&started, &ended, 5*time.Second))
		token := golden(t)
		ctx, leave := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		for range cap(errs) {
			go func() { _, err := v.Verify(ctx, token); errs <- err }()
		}
		synctest.Wait()
		begun := time.Now()
		leave()
		synctest.Wait()
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if ended.Load() != 1 || time.Since(begun) != 0 {
			t.Errorf("the call must end at once, got %d ended after %s", ended.Load(), time.Since(begun))
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("who comes after that must get a call of its own, got %v", err)
		}
		holdsNothing(t, v)
	})
}

func TestVerifyCallHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		v := verifierOf(t, slow(&started, &ended, time.Hour))
		begun := time.Now()
		_, err := v.Verify(t.Context(), golden(t))
		if took := time.Since(begun); took != callTimeout || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got error %v after %s, want ErrUnavailable after %s", err, took, callTimeout)
		}
		holdsNothing(t, v)
	})
}

func TestVerifyLimitsCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, ended atomic.Int32
		v := newVerifier(t, func(c *VerifierConfig) {
			c.Transport = slow(&started, &ended, time.Second)
			c.MaxConcurrent = 1
		})
		token := golden(t)
		errs := make(chan error, 2)
		go func() { _, err := v.Verify(t.Context(), token); errs <- err }()
		synctest.Wait()
		go func() { _, err := v.Verify(t.Context(), token); errs <- err }()
		synctest.Wait()
		if _, err := v.Verify(t.Context(), replaced(t, "=60", "=61")); !errors.Is(err, ErrBusy) {
			t.Errorf("a second call must be refused, got %v", err)
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("a second waiter is no second call: %v", err)
			}
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("the place must be free again: %v", err)
		}
	})
}

// TestVerifyCountsCallsThatNobodyWaitsFor: a transport that does not end at once
// when told to still holds its connection.
func TestVerifyCountsCallsThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		v := newVerifier(t, func(c *VerifierConfig) {
			c.Transport = sts(func(*http.Request) (*http.Response, error) { <-release; return answer(200, alice), nil })
			c.MaxConcurrent = 1
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		token := golden(t)
		errs := make(chan error, 1)
		go func() { _, err := v.Verify(ctx, token); errs <- err }()
		synctest.Wait()
		if _, err := v.Verify(t.Context(), golden(t)); !errors.Is(err, ErrBusy) {
			t.Errorf("the abandoned call still runs, got %v", err)
		}
		close(release)
		if err := <-errs; !errors.Is(err, context.Canceled) && err != nil {
			t.Errorf("got %v", err)
		}
		if _, err := v.Verify(t.Context(), golden(t)); err != nil {
			t.Errorf("it has ended, got %v", err)
		}
		holdsNothing(t, v)
	})
}

// holdsNothing asserts that a verifier at rest remembers no call.
func holdsNothing(t *testing.T, v *Verifier) {
	t.Helper()
	synctest.Wait()
	v.calls.mu.Lock()
	defer v.calls.mu.Unlock()
	if len(v.calls.waiting) != 0 || v.calls.running != 0 {
		t.Errorf("got %d calls to join and %d running, want none", len(v.calls.waiting), v.calls.running)
	}
}
