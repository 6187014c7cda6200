package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

var errDenied = errors.New("denied")

// broken is a listing in which an account, or kinds of it, cannot be listed.
func (w *world) broken(account string, kinds ...rules.Kind) principals.Listing {
	w.Helper()
	l := w.config.Lister.List(w.Context(), rules.Needs{Users: true, Roles: true})
	all := []*principals.Listing{&l}
	for i := range l.Others {
		all = append(all, &l.Others[i])
	}
	for _, one := range all {
		if one.AccountID != account {
			continue
		}
		for _, kind := range kinds {
			scope := &one.Users
			if kind == rules.Role {
				scope = &one.Roles
			}
			scope.Complete, scope.Err = false, errDenied
			var left []rules.Principal
			for _, p := range one.Principals {
				if p.Kind != kind {
					left = append(left, p)
				}
			}
			one.Principals = left
		}
	}
	return l
}

// TestAPlanGoesOnWithoutAnAccount: what cannot be listed is frozen, as the
// controller does it, and the rest is planned; only if nothing can be listed
// there is no plan.
func TestAPlanGoesOnWithoutAnAccount(t *testing.T) {
	w, there := newAccountsWorld(t)
	w.createUsers("tmp-foo-1")
	w.must(there.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("tmp-foo-8")}))
	w.refresh()
	w.createUsers("tmp-foo-2")
	w.deleteUsers("tmp-foo-1")

	for _, c := range []struct {
		reason  string
		listing principals.Listing
		removed string
		added   string
	}{
		{"the other account", w.broken(otherAccount, rules.User, rules.Role), "arn:aws:iam::123456789012:user/tmp-foo-1 as foo", "arn:aws:iam::123456789012:user/tmp-foo-2 as foo"},
		{"our own account", w.broken(accountID, rules.User, rules.Role), "", ""},
		{"roles of our own, where they play no part", w.broken(accountID, rules.Role), "arn:aws:iam::123456789012:user/tmp-foo-1 as foo", "arn:aws:iam::123456789012:user/tmp-foo-2 as foo"},
	} {
		d := PlanData{Rules: w.get("aws-auth-refresher"), AWSAuth: w.get("aws-auth"), State: w.get("aws-auth-refresher-state"), Now: w.clock.Now()}
		if err := d.TakeListing(c.listing); err != nil {
			t.Errorf("%s: %v", c.reason, err)
			continue
		}
		plan, err := NewPlan(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if removed, added := names(plan.Removed), names(plan.Added); removed != c.removed || added != c.added {
			t.Errorf("%s: %q is removed and %q added, want %q and %q", c.reason, removed, added, c.removed, c.added)
		}
		if len(d.Unlisted) != 1 || !errors.Is(d.Unlisted[0].Err, errDenied) {
			t.Errorf("%s: unlisted %+v", c.reason, d.Unlisted)
		}
	}

	nothing := w.broken(accountID, rules.User, rules.Role)
	nothing.Others = nil
	var d PlanData
	if err := d.TakeListing(nothing); !errors.Is(err, errDenied) || !strings.Contains(err.Error(), accountID) {
		t.Errorf("nothing could be listed: %v", err)
	}
	var none PlanData
	if err := none.TakeListing(w.config.Lister.List(t.Context(), rules.Needs{})); err != nil {
		t.Errorf("nothing was to be listed: %v", err)
	}
}

// TestExplainDoesNotDenyWhomItCouldNotList.
func TestExplainDoesNotDenyWhomItCouldNotList(t *testing.T) {
	w, _ := newAccountsWorld(t)
	d := PlanData{Rules: w.get("aws-auth-refresher"), AWSAuth: w.get("aws-auth"), Now: w.clock.Now()}
	if err := d.TakeListing(w.broken(otherAccount, rules.User)); err != nil {
		t.Fatal(err)
	}
	for account, want := range map[string]bool{accountID: true, otherAccount: false} {
		x, err := Explain(t.Context(), d, "arn:aws:iam::"+account+":user/nobody")
		if err != nil {
			t.Fatal(err)
		}
		if x.Looked != want || errors.Is(x.Unlisted, errDenied) == want {
			t.Errorf("account %s: looked %t, unlisted %v", account, x.Looked, x.Unlisted)
		}
	}
}
