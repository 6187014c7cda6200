package principals

import (
	"context"
	"sync"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Accounts reads several accounts: our own, and those of the roles that we may
// assume. It is safe for concurrent use.
type Accounts struct {
	own    *Lister
	others []*Lister
}

// NewAccounts puts Listers together. Each of the others must have a
// Config.AccountID, no two the same one; one for our own account is asked in
// place of own.
func NewAccounts(own *Lister, others ...*Lister) *Accounts { return &Accounts{own, others} }

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
		all.Go(func() { others[i] = l.List(ctx, n) })
	}
	all.Wait()
	out.Others = others
	return out
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
	for _, l := range a.others {
		if l.expected.account == p.AccountID {
			return l.Exists(ctx, k, principalARN)
		}
	}
	return a.own.Exists(ctx, k, principalARN)
}
