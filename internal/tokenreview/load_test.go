package tokenreview_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/tokenreview"
)

// slow is a verifier whose calls take until they are released.
type slow struct {
	release chan struct{}
	inside  atomic.Int32
	most    atomic.Int32
}

func (s *slow) Verify(context.Context, string) (ekstoken.Identity, error) {
	n := s.inside.Add(1)
	defer s.inside.Add(-1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	<-s.release
	return ekstoken.Identity{}, &ekstoken.Refused{Code: "InvalidClientTokenId", Status: 403}
}

// TestManyBadReviews: whatever 10,000 clients send at once, no more than the
// limit is worked on, all others are told so at once, and little stays behind.
func TestManyBadReviews(t *testing.T) {
	const clients, limit = 10_000, 64
	verifier := &slow{release: make(chan struct{})}
	w := &world{}
	h := w.handler(tokenreview.Config{Verifier: verifier, MaxInFlight: limit, MaxRemembered: 100})
	large := reviewOf(v1, strings.Repeat("x", 900<<10))
	before := heap()

	var answers [600]atomic.Int32
	release := sync.OnceFunc(func() { close(verifier.release) })
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			body := large
			if i%100 > 0 {
				body = reviewOf(v1, fmt.Sprintf("k8s-aws-v1.%d", i))
			}
			if answers[post(h, body).Code].Add(1) == clients-limit {
				release()
			}
		})
	}
	all.Wait()
	if got := answers[503].Load(); got != clients-limit {
		t.Errorf("%d were turned away, want %d", got, clients-limit)
	}
	if got := verifier.most.Load(); got > limit {
		t.Errorf("%d were worked on at once, want at most %d", got, limit)
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("%d MiB stay behind", grown>>20)
	}
	runtime.KeepAlive(h)
}

// TestBodiesThatNeverComeTakeNoPlace: whoever opens requests and sends nothing
// locks nobody out.
func TestBodiesThatNeverComeTakeNoPlace(t *testing.T) {
	w := &world{}
	h := w.handler(tokenreview.Config{MaxInFlight: 1})
	body, hanging := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/authenticate", body)
		h.ServeHTTP(httptest.NewRecorder(), req)
	}()
	// The write returns when the handler has begun to read.
	if _, err := hanging.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if got := post(h, reviewOf(v1, "k8s-aws-v1.x")).Code; got != http.StatusOK {
		t.Errorf("answered %d while another body never comes", got)
	}
	if err := hanging.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// TestHalfSentBodiesTakeLittleMemory: whoever begins to send bodies and then
// keeps silent takes little memory and, afterwards, nobody's place.
func TestHalfSentBodiesTakeLittleMemory(t *testing.T) {
	const clients = 2000
	for _, row := range []struct {
		reason string
		sent   int
	}{{"they are small", 31 << 10}, {"they are large and wait for their turn", 40 << 10}} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			h := w.handler(tokenreview.Config{})
			half := []byte(strings.Repeat(" ", row.sent))
			ctx, leave := context.WithCancel(t.Context())
			before := heap()

			var bodies []*io.PipeWriter
			var all sync.WaitGroup
			var turnedAway atomic.Int32
			for range clients {
				body, sender := io.Pipe()
				bodies = append(bodies, sender)
				all.Go(func() { _, _ = sender.Write(half) })
				all.Go(func() {
					answer := httptest.NewRecorder()
					h.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodPost, "/authenticate", body))
					if answer.Code == http.StatusServiceUnavailable {
						turnedAway.Add(1)
					}
					_ = body.Close()
				})
			}
			synctest.Wait()
			if grown := heap() - before; grown > 40<<20 {
				t.Errorf("%s: %d MiB are held for bodies that do not come", row.reason, grown>>20)
			}
			if n := turnedAway.Load(); n == 0 || n == clients {
				t.Errorf("%s: %d of %d were turned away", row.reason, n, clients)
			}
			leave()
			for _, b := range bodies {
				_ = b.CloseWithError(io.ErrUnexpectedEOF)
			}
			all.Wait()
			if got := post(h, reviewOf(v1, "k8s-aws-v1.x")).Code; got != http.StatusOK {
				t.Errorf("%s: answered %d when they had left", row.reason, got)
			}
			if !strings.Contains(w.logged.String(), `"result"="overloaded"`) {
				t.Errorf("%s: the log does not say that it is too much", row.reason)
			}
		})
	}
}

// TestPanicsTakeNoPlace: the server goes on after one, and so must the handler.
func TestPanicsTakeNoPlace(t *testing.T) {
	w := &world{}
	verifier := &panicking{world: w}
	h := w.handler(tokenreview.Config{Verifier: verifier, MaxInFlight: 1})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		post(h, reviewOf(v1, "k8s-aws-v1.x"))
	}()
	if got := post(h, reviewOf(v1, "k8s-aws-v1.x")).Code; got != http.StatusOK {
		t.Errorf("answered %d after a panic", got)
	}
}

// panicking is a verifier that panics once.
type panicking struct {
	*world
	done bool
}

func (p *panicking) Verify(ctx context.Context, token string) (ekstoken.Identity, error) {
	if !p.done {
		p.done = true
		panic("once")
	}
	return p.world.Verify(ctx, token)
}

func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func FuzzReview(f *testing.F) {
	f.Add([]byte(reviewOf(v1, "k8s-aws-v1.x")))
	f.Add([]byte(reviewOf(v1beta1, "")))
	f.Add([]byte(`{"spec":{"token":1}}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"},"status":{"authenticated":true,"user":{"username":"admin"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &world{}
		h := w.handler(tokenreview.Config{Verifier: refusing{}})
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/authenticate", strings.NewReader(string(body))))
		switch answer.Code {
		case 200:
			if decode(t, answer).Status.Authenticated {
				t.Errorf("let in: %q", body)
			}
		case 400, 413:
		default:
			t.Errorf("got %d for %q", answer.Code, body)
		}
	})
}

type refusing struct{}

func (refusing) Verify(context.Context, string) (ekstoken.Identity, error) {
	return ekstoken.Identity{}, errors.Join(&ekstoken.BadToken{Reason: "always"})
}
