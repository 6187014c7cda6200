package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	otherAccount = "210987654321"
	anyAccount   = "- arnRegex: ^arn:aws:iam::[0-9]+:user/tmp-foo-.*$\n  username: foo\n  groups: [system:masters]\n"
)

// newAccountsWorld has a second account, read with a key of its own.
func newAccountsWorld(t *testing.T) (w *world, there *iam.Client) {
	t.Helper()
	w = newWorld(t)
	w.aws.AddAccount(fakeaws.Config{AccountID: otherAccount, AccessKeyID: "AKIAOTHER", SecretAccessKey: "other", AdminUser: "admin"})
	w.config.Lister = principals.NewAccounts(w.lister(), w.listerAs("AKIAOTHER", "other", otherAccount))
	w.restart()
	w.awsAuth(person)
	w.rules(anyAccount)
	return w, iam.NewFromConfig(w.sdk("AKIAOTHER", "other"))
}

func inOther(text string) string { return strings.ReplaceAll(text, accountID, otherAccount) }

// TestAnAccountThatCannotBeListedIsFrozen: nothing is concluded from it, and
// the others go on.
func TestAnAccountThatCannotBeListedIsFrozen(t *testing.T) {
	w, there := newAccountsWorld(t)
	ctx := t.Context()
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	for _, name := range []string{"tmp-foo-1", "tmp-foo-9"} {
		w.must(there.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))
	}
	w.refresh()
	foo := func(name string) string { return entry(name, "foo", "system:masters") }
	both := person + foo("tmp-foo-1") + foo("tmp-foo-2") + inOther(foo("tmp-foo-1")) + inOther(foo("tmp-foo-9"))
	w.expectMapUsers("the users of both accounts", both)
	if c := w.condition(ConditionPrincipalsListed); c.Status != "True" || c.Message != "accounts 123456789012, 210987654321" {
		t.Errorf("listed: %+v", c)
	}

	// What the key of the other account is deleted with is another one.
	spare, err := there.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("admin")})
	if err != nil {
		t.Fatal(err)
	}
	w.must(there.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("admin"), AccessKeyId: aws.String("AKIAOTHER")}))
	there = iam.NewFromConfig(w.sdk(*spare.AccessKey.AccessKeyId, *spare.AccessKey.SecretAccessKey))
	w.must(there.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("tmp-foo-9")}))
	w.deleteUsers("tmp-foo-1")
	w.createUsers("tmp-foo-3")
	w.settle()
	w.expectMapUsers("here they come and go, there all stay",
		person+foo("tmp-foo-2")+foo("tmp-foo-3")+inOther(foo("tmp-foo-1"))+inOther(foo("tmp-foo-9")))
	c := w.condition(ConditionPrincipalsListed)
	if c.Status != "False" || !strings.Contains(c.Message, "of account 210987654321") {
		t.Errorf("nobody hears which account it is: %+v", c)
	}
	status := w.get("aws-auth-refresher-status").Data["accounts"]
	if !strings.Contains(status, "- account: \"123456789012\"\n  listed: true\n- account: \"210987654321\"\n  listed: false\n  reason: ") {
		t.Errorf("the status of the accounts is %s", status)
	}

	w.restart()
	w.settle()
	w.expectMapUsers("nor after a restart, when nothing is known of it", person+foo("tmp-foo-2")+foo("tmp-foo-3")+inOther(foo("tmp-foo-1"))+inOther(foo("tmp-foo-9")))
	w.approved(fooRule)
	w.refresh()
	w.expectMapUsers("what no rule could match needs no listing", person+foo("tmp-foo-2")+foo("tmp-foo-3"))

	w.rules(anyAccount)
	w.config.Lister = principals.NewAccounts(w.lister(), w.listerAs(*spare.AccessKey.AccessKeyId, *spare.AccessKey.SecretAccessKey, otherAccount))
	w.restart()
	w.settle()
	w.expectMapUsers("both again", person+foo("tmp-foo-2")+foo("tmp-foo-3")+inOther(foo("tmp-foo-1")))
	if status := w.get("aws-auth-refresher-status").Data["accounts"]; strings.Contains(status, "false") {
		t.Errorf("the status of the accounts is %s", status)
	}
}

// TestEachPrincipalIsLookedForInItsOwnAccount, where another one of the same
// name does not matter.
func TestEachPrincipalIsLookedForInItsOwnAccount(t *testing.T) {
	w, there := newAccountsWorld(t)
	w.createUsers("tmp-foo-1")
	w.must(there.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("tmp-foo-1")}))
	w.refresh()
	w.must(there.DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: aws.String("tmp-foo-1")}))
	w.settle()
	w.expectMapUsers("it is gone there and not here", foos("tmp-foo-1"))
}

// TestAnAccountThatDeniesGetUserHoldsUpNobodyElse's verification.
func TestAnAccountThatDeniesGetUserHoldsUpNobodyElse(t *testing.T) {
	w, there := newAccountsWorld(t)
	lister := w.config.Lister
	names := []string{"tmp-foo-1", "tmp-foo-2", "tmp-foo-3", "tmp-foo-4"}
	for _, name := range names {
		w.must(there.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}))
	}
	w.createUsers("tmp-foo-9")
	w.refresh()
	for _, name := range names {
		w.must(there.DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: &name}))
	}
	w.later()
	w.pass(time.Second)
	w.deleteUsers("tmp-foo-9")
	w.refresher.Lister = deniesGet{lister, otherAccount}
	w.settle()
	if text := w.mapUsers(); strings.Contains(text, accountID+":user/tmp-foo-9") || strings.Count(text, otherAccount) != len(names) {
		t.Errorf("got %s", text)
	}
	if waiting := w.get("aws-auth-refresher-status").Data["waiting"]; strings.Count(waiting, "GetUser is denied") != len(names) {
		t.Errorf("waiting: %s", waiting)
	}
}

// deniesGet denies questions about the principals of one account, one by one and
// all at once.
type deniesGet struct {
	Lister
	account string
}

func (d deniesGet) Exists(ctx context.Context, kind rules.Kind, principalARN string) (bool, error) {
	if accountOf(principalARN) == d.account {
		return false, errors.New("GetUser is denied")
	}
	return d.Lister.Exists(ctx, kind, principalARN)
}

func (d deniesGet) RollCall(ctx context.Context, kind rules.Kind, account string, needs rules.Needs) principals.Listing {
	if account == d.account {
		denied := principals.Scope{Asked: true, Err: errors.New("the roll call is denied")}
		return principals.Listing{AccountID: account, Users: denied, Roles: denied}
	}
	return d.Lister.RollCall(ctx, kind, account, needs)
}
