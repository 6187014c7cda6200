package principals

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Exists asks AWS for one user or role, by an ARN with its path. It is false
// only if AWS says so: that there is no such name in our account, or that the
// name now stands under another path. ErrOtherAccount, ErrRateLimited and
// every other error mean that nothing is known.
func (l *Lister) Exists(ctx context.Context, k rules.Kind, principalARN string) (bool, error) {
	want, err := arn.Parse(principalARN)
	if err != nil {
		return false, err
	}
	if want.Type != string(k) {
		return false, fmt.Errorf("%s is not the ARN of a %s", principalARN, k)
	}
	who, err := l.caller(ctx)
	if err != nil {
		return false, err
	}
	if want.AccountID != who.account || want.Partition != who.partition {
		return false, fmt.Errorf("%w: %s, asked in account %s", ErrOtherAccount, principalARN, who.account)
	}
	if !l.allow() {
		return false, ErrRateLimited
	}
	got, err := l.get(ctx, k, want.Name)
	if err != nil {
		return false, stable("look for "+principalARN, err)
	}
	if err := l.stillIn(ctx, who); err != nil {
		return false, err
	}
	if got == "" {
		return false, nil
	}
	have, err := arn.Parse(got)
	if err != nil {
		return false, err
	}
	if have.AccountID != want.AccountID || have.Partition != want.Partition {
		return false, fmt.Errorf("%w: AWS answered with %s", ErrOtherAccount, got)
	}
	return arn.Fold(got) == arn.Fold(principalARN), nil
}

// get gives the ARN of the user or role of that name, empty if there is none.
func (l *Lister) get(ctx context.Context, k rules.Kind, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var got *string
	var err error
	switch k {
	case rules.User:
		got, err = l.userARN(ctx, name)
	case rules.Role:
		got, err = l.roleARN(ctx, name)
	default:
		err = fmt.Errorf("no kind of principal is called %q", k)
	}
	if _, missing := errors.AsType[*types.NoSuchEntityException](err); missing {
		return "", nil
	}
	if err == nil && aws.ToString(got) == "" {
		err = errors.New("the answer has no ARN")
	}
	return aws.ToString(got), err
}

func (l *Lister) userARN(ctx context.Context, name string) (*string, error) {
	out, err := l.iam.GetUser(ctx, &iam.GetUserInput{UserName: &name})
	if err != nil || out.User == nil {
		return nil, err
	}
	return out.User.Arn, nil
}

func (l *Lister) roleARN(ctx context.Context, name string) (*string, error) {
	out, err := l.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil || out.Role == nil {
		return nil, err
	}
	return out.Role.Arn, nil
}

func (l *Lister) allow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recent.allow(l.now())
}

// window allows a number of calls within any minute.
type window struct {
	calls  []time.Time // the last ones, as a ring
	oldest int
}

func newWindow(perMinute int) window { return window{calls: make([]time.Time, perMinute)} }

// allow counts a call if it may be made now. A clock that was set back does not
// block for longer than a minute.
func (w *window) allow(now time.Time) bool {
	if ago := now.Sub(w.calls[w.oldest]); ago >= 0 && ago < time.Minute {
		return false
	}
	w.calls[w.oldest] = now
	w.oldest = (w.oldest + 1) % len(w.calls)
	return true
}
