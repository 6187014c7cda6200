package principals_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestExists(t *testing.T) {
	const ours = "arn:aws:iam::" + account + ":"
	errFormat := cmpopts.AnyError
	for _, row := range []struct {
		reason string
		kind   rules.Kind
		arn    string
		fault  fakeaws.Effect
		want   bool
		err    error
	}{
		{"a user", rules.User, ours + "user/p/u", "", true, nil},
		{"a role", rules.Role, ours + "role/p/r", "", true, nil},
		{"ARNs are compared without case", rules.User, ours + "user/P/U", "", true, nil},
		{"no such user", rules.User, ours + "user/p/none", "", false, nil},
		{"no such role", rules.Role, ours + "role/p/none", "", false, nil},
		{"the user's name under another path", rules.User, ours + "user/u", "", false, nil},
		{"the role's name under another path", rules.Role, ours + "role/q/r", "", false, nil},
		{"a user of another account", rules.User, "arn:aws:iam::999999999999:user/p/u", "", false, principals.ErrOtherAccount},
		{"a user of another partition", rules.User, "arn:aws-cn:iam::" + account + ":user/p/u", "", false, principals.ErrOtherAccount},
		{"not an ARN", rules.User, "u", "", false, arn.ErrInvalid},
		{"a role asked for as a user", rules.User, ours + "role/p/r", "", false, errFormat},
		{"an instance profile", "instance-profile", ours + "instance-profile/p", "", false, errFormat},
		{"throttled", rules.User, ours + "user/p/none", fakeaws.Throttled, false, errFormat},
		{"failing", rules.Role, ours + "role/p/none", fakeaws.Failing, false, errFormat},
		{"not allowed", rules.User, ours + "user/p/none", fakeaws.Denied, false, errFormat},
		{"the answer is about another account", rules.User, ours + "user/p/u", fakeaws.OtherAccount, false, principals.ErrOtherAccount},
	} {
		b := newBed(t)
		b.createUsers("/p/", "u")
		b.createRoles("/p/", "r")
		if row.fault != "" {
			b.aws.Inject(fakeaws.Fault{Action: "GetUser", Effect: row.fault})
			b.aws.Inject(fakeaws.Fault{Action: "GetRole", Effect: row.fault})
		}
		got, err := b.Exists(t.Context(), row.kind, row.arn)
		if got != row.want || !cmp.Equal(row.err, err, cmpopts.EquateErrors()) {
			t.Errorf("%s: got %t, %v; want %t, %v", row.reason, got, err, row.want, row.err)
		}
	}
}

func TestExistsNeedsAnAnswer(t *testing.T) {
	for reason, out := range map[string]*iam.GetUserOutput{"no user": {}, "no ARN": {User: &types.User{}}, "no real ARN": {User: &types.User{Arn: aws.String("x")}}} {
		b := newBed(t, func(c *principals.Config) { c.IAM = answers{user: out} })
		if got, err := b.Exists(t.Context(), rules.User, "arn:aws:iam::"+account+":user/u"); got || err == nil {
			t.Errorf("an answer with %s is none: got %t, %v", reason, got, err)
		}
	}
}

func TestExistsRate(t *testing.T) {
	b := newBed(t, func(c *principals.Config) { c.ExistsPerMinute = 3 })
	ask := func() error {
		_, err := b.Exists(t.Context(), rules.User, "arn:aws:iam::"+account+":user/u")
		return err
	}
	for _, row := range []struct {
		reason string
		wait   time.Duration
		err    error
	}{
		{"the first", 0, nil},
		{"the second", 20 * time.Second, nil},
		{"the third", 20 * time.Second, nil},
		{"a fourth within a minute", 0, principals.ErrRateLimited},
		{"still within", 20*time.Second - 1, principals.ErrRateLimited},
		{"the first is a minute ago", 1, nil},
		{"the second is not", 0, principals.ErrRateLimited},
		{"the clock was set back an hour", -time.Hour, nil},
		{"which does not block for an hour", 0, nil},
	} {
		b.now = b.now.Add(row.wait)
		if err := ask(); !errors.Is(err, row.err) {
			t.Errorf("%s: got %v, want %v", row.reason, err, row.err)
		}
	}
	if n := b.aws.Calls("GetUser"); n != 6 {
		t.Errorf("what is limited is not sent: got %d calls, want 6", n)
	}
}

// answers is an IAM with canned answers, for what AWS would not say.
type answers struct {
	principals.IAM
	users func() *iam.ListUsersOutput
	user  *iam.GetUserOutput
}

func (a answers) ListUsers(context.Context, *iam.ListUsersInput, ...func(*iam.Options)) (*iam.ListUsersOutput, error) {
	return a.users(), nil
}

func (a answers) GetUser(context.Context, *iam.GetUserInput, ...func(*iam.Options)) (*iam.GetUserOutput, error) {
	return a.user, nil
}

func userPage(arn, path, name string) *iam.ListUsersOutput {
	return &iam.ListUsersOutput{Users: []types.User{{Arn: &arn, Path: &path, UserName: &name}}}
}
