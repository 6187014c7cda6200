package loginproxy_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
)

// TestAnAttemptHasOneAnswer, also if its cookie comes again and again.
func TestAnAttemptHasOneAnswer(t *testing.T) {
	b := newBed(t)
	br := b.browser(t)
	callback, err := url.Parse(b.begin(br, "jane", admin, "/pods"))
	if err != nil {
		t.Fatal(err)
	}
	calls := b.idp.Calls()[fakeidp.Token]
	for i := range 10 {
		guess := callback.Query()
		guess.Set("code", "guess-"+strconv.Itoa(i))
		a := b.as(t, br).page(callback.Path + "?" + guess.Encode())
		if want := http.StatusBadRequest; i > 0 && a.StatusCode != want {
			t.Errorf("answer %d: status %d, want %d", i, a.StatusCode, want)
		}
	}
	if got := b.idp.Calls()[fakeidp.Token] - calls; got != 1 {
		t.Errorf("one attempt made %d calls of the provider", got)
	}
	b.signedIn(t, "jane", admin)
}

// busy is a provider that redeems no code until it is let.
type busy struct {
	loginproxy.Provider
	now, most atomic.Int32
	gate      chan struct{}
}

func (p *busy) Exchange(ctx context.Context, a oidclogin.Attempt, c oidclogin.Callback) (oidclogin.Login, error) {
	defer p.now.Add(-1)
	for now := p.now.Add(1); ; {
		most := p.most.Load()
		if now <= most || p.most.CompareAndSwap(most, now) {
			break
		}
	}
	<-p.gate
	return p.Provider.Exchange(ctx, a, c)
}

// TestFewCodesAreRedeemedAtOnce; the others wait for their turn.
func TestFewCodesAreRedeemedAtOnce(t *testing.T) {
	p := &busy{gate: make(chan struct{})}
	b := newBed(t, func(c *loginproxy.Config) { p.Provider = c.Provider; c.Provider = p })
	goOn := sync.OnceFunc(func() { close(p.gate) })
	t.Cleanup(goOn)
	var all sync.WaitGroup
	for range 40 {
		br := b.browser(t)
		callback := b.begin(br, "jane", admin, "/pods")
		all.Go(func() {
			if a := br.page(callback); a.StatusCode != http.StatusSeeOther {
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
	eventually(t, "the first ones", func() bool { return p.now.Load() >= 32 })
	goOn()
	all.Wait()
	if got := p.most.Load(); got != 32 {
		t.Errorf("%d codes were redeemed at once", got)
	}
}
