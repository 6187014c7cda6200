package principals_test

import (
	"errors"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestRollCallAsksInAnotherWay: a call that lists wrongly must not be able to
// confirm itself.
func TestRollCallAsksInAnotherWay(t *testing.T) {
	b := newBed(t)
	furnish(t, b.client, 3)
	for _, tc := range []struct {
		reason string
		kind   rules.Kind
		needs  rules.Needs
		action string
		want   int
	}{
		{"users were listed by name", rules.User, rules.Needs{Users: true, UserPathPrefix: "/vault/"}, "GetAccountAuthorizationDetails", 3},
		{"users were listed with details", rules.User, rules.Needs{Users: true, UserDetails: true}, "ListUsers", 3},
		{"roles were listed by name", rules.Role, rules.Needs{Roles: true, UserDetails: true}, "GetAccountAuthorizationDetails", 1},
		{"roles were listed with details", rules.Role, rules.Needs{RoleDetails: true}, "ListRoles", 1},
	} {
		before := b.aws.Calls(tc.action)
		got := b.RollCall(t.Context(), tc.kind, account, tc.needs)
		scope, other := got.Users, got.Roles
		if tc.kind == rules.Role {
			scope, other = other, scope
		}
		if !scope.Complete || scope.PathPrefix != "/" || other.Asked || len(got.Principals) != tc.want || b.aws.Calls(tc.action) != before+1 {
			t.Errorf("%s: %d calls of %s gave %d principals, %+v", tc.reason, b.aws.Calls(tc.action)-before, tc.action, len(got.Principals), scope)
		}
	}
}

func TestRollCallSaysNothingOfOtherAccounts(t *testing.T) {
	b := newBed(t)
	furnish(t, b.client, 3)
	got := b.RollCall(t.Context(), rules.User, "210987654321", rules.Needs{Users: true})
	if got.Users.Complete || !errors.Is(got.Users.Err, principals.ErrOtherAccount) || len(got.Principals) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRollCallDenied(t *testing.T) {
	b := newBed(t)
	b.aws.Inject(fakeaws.Fault{Action: "GetAccountAuthorizationDetails", Effect: fakeaws.Denied})
	got := b.RollCall(t.Context(), rules.User, account, rules.Needs{Users: true})
	if got.Users.Complete || !principals.Denied(got.Users.Err) || principals.Denied(errors.New("AccessDenied")) {
		t.Errorf("got %+v", got.Users)
	}
}
