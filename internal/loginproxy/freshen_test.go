package loginproxy_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// readOnly is a store that takes no changes while it is down.
type readOnly struct {
	loginproxy.Store
	down    atomic.Bool
	refused atomic.Int32
}

func (r *readOnly) Update(ctx context.Context, id session.ID, s session.Session) error {
	if r.down.Load() {
		r.refused.Add(1)
		return session.ErrUnavailable
	}
	return r.Store.Update(ctx, id, s)
}

// TestARotatedRefreshTokenIsNotLost when something fails right after the
// provider has given it: the provider ends everything if it sees the old one again.
func TestARotatedRefreshTokenIsNotLost(t *testing.T) {
	for _, row := range []struct {
		reason  string
		fail    func(*bed, *readOnly)
		failed  func(*bed, *readOnly) bool
		mend    func(*bed, *readOnly)
		redeems int
	}{
		{
			"the provider's keys cannot be had",
			func(b *bed, _ *readOnly) {
				if err := b.idp.RotateKey("RS256"); err != nil {
					panic(err)
				}
				b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.JWKS: 503} })
			},
			func(b *bed, _ *readOnly) bool { return b.logged("Renewing credentials") },
			func(b *bed, _ *readOnly) { b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = nil }) },
			2,
		},
		{
			"the store takes no changes",
			func(_ *bed, r *readOnly) { r.down.Store(true) },
			func(_ *bed, r *readOnly) bool { return r.refused.Load() > 0 },
			func(_ *bed, r *readOnly) { r.down.Store(false) },
			1,
		},
	} {
		t.Run(row.reason, func(t *testing.T) {
			r := &readOnly{}
			b := newBed(t, func(c *loginproxy.Config) { r.Store = c.Sessions; c.Sessions = r })
			br := b.signedIn(t, "jane", admin)
			calls := b.idp.Calls()[fakeidp.Token]
			row.fail(b, r)
			b.clock.Add(55 * time.Minute)
			b.token(t, br)
			eventually(t, "the failure", func() bool { return row.failed(b, r) })
			row.mend(b, r)
			eventually(t, "renewal", func() bool {
				b.clock.Add(time.Second) // the pause counts from when the failed one has ended
				s, ok := b.session(t, br)
				return !ok || s.Credentials.AccessKeyID == "ASIAADMIN0002"
			})
			b.clock.Add(5 * time.Minute)
			if a := br.get("/x"); a.StatusCode != http.StatusOK {
				t.Errorf("when all is well again: %d", a.StatusCode)
			}
			if got := b.idp.Calls()[fakeidp.Token] - calls; got != row.redeems {
				t.Errorf("%d refresh tokens were redeemed, want %d", got, row.redeems)
			}
		})
	}
}
