package principals

import (
	"context"
	"fmt"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// RollCall lists all principals of a kind, by another call of AWS than List
// makes for these needs: GetAccountAuthorizationDetails instead of ListUsers or
// ListRoles, and the other way round. Whom both calls lack does not exist, which
// for many principals is cheaper than Exists. The account must be ours; of
// another one, and of nothing, nothing is said.
func (l *Lister) RollCall(ctx context.Context, k rules.Kind, accountID string, n rules.Needs) Listing {
	ask := rules.Needs{}
	switch k {
	case rules.User:
		ask.Users, ask.UserDetails = true, !n.UserDetails
	case rules.Role:
		ask.Roles, ask.RoleDetails = true, !n.RoleDetails
	}
	out := l.List(ctx, ask)
	if out.AccountID != accountID {
		err := fmt.Errorf("%w: account %s, asked in account %s", ErrOtherAccount, accountID, out.AccountID)
		out.Users.fail(err)
		out.Roles.fail(err)
		out.Principals = nil
	}
	return out
}

// RollCall calls over the principals of the account; see Lister.RollCall.
func (a *Accounts) RollCall(ctx context.Context, k rules.Kind, accountID string, n rules.Needs) Listing {
	return a.of(accountID).RollCall(ctx, k, accountID, n)
}

// of is the Lister of an account: our own one where no other is its.
func (a *Accounts) of(accountID string) *Lister {
	for _, l := range a.others {
		if l.expected.account == accountID {
			return l
		}
	}
	return a.own
}
