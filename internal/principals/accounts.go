package principals

import (
	"context"
	"sync"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Accounts reads several accounts: our own, and those of the roles that we may
// assume. It is safe for concurrent use.
type Accounts struct {
	own    *Lister
	others []*Lister

	mu     sync.Mutex // guards what follows
	pauses map[*Lister]pause
}

// The others wait for an account that does not answer. One that took tooSlow to
// fail is left alone for pauseTime.
const (
	tooSlow   = 5 * time.Second
	pauseTime = time.Minute
)

// pause is the time for which an account is not asked, and why.
type pause struct {
	from time.Time
	err  error
}

// NewAccounts puts Listers together. Each of the others must have a
// Config.AccountID, no two the same one; one for our own account is asked in
// place of own.
func NewAccounts(own *Lister, others ...*Lister) *Accounts {
	return &Accounts{own: own, others: others}
}

// List lists all accounts at the same time. The Listing is that of our own
// account, which has the others' as Others, in order. Trouble with one says
// nothing about the others.
func (a *Accounts) List(ctx context.Context, n rules.Needs) Listing {
	if len(a.others) == 0 {
		return a.own.List(ctx, n)
	}
	first, rest := a.sorted(ctx)
	var out Listing
	others := make([]Listing, len(rest))
	var all sync.WaitGroup
	all.Go(func() { out = first.List(ctx, n) })
	for i, l := range rest {
		all.Go(func() { others[i] = a.list(ctx, l, n) })
	}
	all.Wait()
	out.Others = others
	return out
}

// list lists one of the other accounts, unless it is left alone for now.
func (a *Accounts) list(ctx context.Context, l *Lister, n rules.Needs) Listing {
	begun := l.now()
	if err := a.paused(l, begun); err != nil {
		out := l.nothing(n)
		out.Partition, out.AccountID = l.expected.partition, l.expected.account
		out.Users.fail(err)
		out.Roles.fail(err)
		return out
	}
	out := l.List(ctx, n)
	for _, err := range []error{out.Users.Err, out.Roles.Err} {
		if err != nil && l.now().Sub(begun) >= tooSlow {
			a.pause(l, pause{l.now(), err})
		}
	}
	return out
}

// paused gives why an account is left alone now; nil: it is not. A clock that
// was set back ends the pause.
func (a *Accounts) paused(l *Lister, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.pauses[l]
	if passed := now.Sub(p.from); !ok || passed < 0 || passed >= pauseTime {
		return nil
	}
	return p.err
}

func (a *Accounts) pause(l *Lister, p pause) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pauses == nil {
		a.pauses = map[*Lister]pause{}
	}
	a.pauses[l] = p
}

// sorted gives the Lister of our own account and the others.
func (a *Accounts) sorted(ctx context.Context) (own *Lister, others []*Lister) {
	own = a.own
	who, err := a.own.caller(ctx)
	for _, l := range a.others {
		if err == nil && l.expected.account == who.account {
			own = l
			continue
		}
		others = append(others, l)
	}
	return own, others
}

// Exists asks the principal's own account; see Lister.Exists.
func (a *Accounts) Exists(ctx context.Context, k rules.Kind, principalARN string) (bool, error) {
	p, err := arn.Parse(principalARN)
	if err != nil {
		return false, err
	}
	return a.of(p.AccountID).Exists(ctx, k, principalARN)
}
