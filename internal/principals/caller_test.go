package principals_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestCallerIsAskedOncePerKey(t *testing.T) {
	b := newBed(t)
	b.createUsers("/", "admin")
	asked := func(reason string, want int) {
		t.Helper()
		for range 3 {
			if got := b.List(t.Context(), rules.Needs{Users: true}); got.Users.Err != nil {
				t.Errorf("%s: %v", reason, got.Users.Err)
			}
			if _, err := b.Exists(t.Context(), rules.User, "arn:aws:iam::"+account+":user/admin"); err != nil {
				t.Errorf("%s: %v", reason, err)
			}
		}
		if n := b.aws.Calls("GetCallerIdentity"); n != want {
			t.Errorf("%s: got %d calls, want %d", reason, n, want)
		}
	}
	asked("the first key", 1)
	key, err := b.aws.CreateAccessKey("admin")
	if err != nil {
		t.Fatal(err)
	}
	b.keys.Credentials = aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
	asked("another key", 2)
}

func TestCallerFailureIsNotRemembered(t *testing.T) {
	b := newBed(t)
	b.aws.Inject(fakeaws.Fault{Action: "GetCallerIdentity", Times: 1, Effect: fakeaws.Denied})
	needs := rules.Needs{Users: true, Roles: true}
	if got := b.List(t.Context(), needs); got.Users.Err == nil || got.Roles.Err == nil || got.AccountID != "" {
		t.Errorf("nothing is known without a caller: got %+v", got)
	}
	if n := b.aws.Calls("ListUsers") + b.aws.Calls("ListRoles"); n != 0 {
		t.Errorf("nothing is listed without a caller: got %d calls", n)
	}
	if got := b.List(t.Context(), needs); !got.Users.Complete || !got.Roles.Complete || got.AccountID != account {
		t.Errorf("the next time is another try: got %+v", got)
	}
}

func TestCredentialsFail(t *testing.T) {
	b := newBed(t)
	b.keys.err = errors.New("no credentials")
	got := b.List(t.Context(), rules.Needs{Users: true})
	if !errors.Is(got.Users.Err, b.keys.err) || got.Roles.Err != nil {
		t.Errorf("what was not asked for has no error: got %+v %+v", got.Users, got.Roles)
	}
	if _, err := b.Exists(t.Context(), rules.User, "arn:aws:iam::"+account+":user/u"); !errors.Is(err, b.keys.err) {
		t.Errorf("got %v", err)
	}
}

// whoever is an STS that says what a test wants.
type whoever struct{ arn, account string }

func (w *whoever) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Arn: &w.arn, Account: &w.account}, nil
}

func TestCallerMustAddUp(t *testing.T) {
	for _, row := range []struct {
		reason, arn, account string
		ok                   bool
	}{
		{"root", "arn:aws:iam::123456789012:root", account, true},
		{"a session", "arn:aws:sts::123456789012:assumed-role/r/s:with/odd characters", account, true},
		{"a federated user", "arn:aws:sts::123456789012:federated-user/f", account, true},
		{"no account", "arn:aws:iam:::root", "", false},
		{"two accounts", "arn:aws:iam::999999999999:root", account, false},
		{"no ARN", "", account, false},
		{"no partition", "arn::iam::123456789012:root", account, false},
	} {
		b := newBed(t, func(c *principals.Config) { c.STS = &whoever{row.arn, row.account} })
		got := b.List(t.Context(), rules.Needs{Users: true})
		if got.Users.Complete != row.ok || (got.Users.Err == nil) != row.ok {
			t.Errorf("%s: got %+v", row.reason, got.Users)
		}
	}
}

func TestAccountChangesUnderTheListing(t *testing.T) {
	who := &whoever{"arn:aws:iam::123456789012:root", account}
	b := newBed(t, func(c *principals.Config) { c.STS, c.Credentials = who, nil })
	b.createUsers("/", "u")
	b.sent.after = func() { who.arn, who.account = "arn:aws:iam::999999999999:root", "999999999999" }
	got := b.List(t.Context(), rules.Needs{Users: true})
	if got.Users.Complete || !errors.Is(got.Users.Err, principals.ErrOtherAccount) || got.Principals != nil {
		t.Errorf("a listing under two accounts is of none: got %+v", got)
	}
}
