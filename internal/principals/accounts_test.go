package principals_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// hanging is an IAM that lets time pass and then says nothing.
type hanging struct {
	principals.IAM
	clock *clocktesting.FakePassiveClock
	takes time.Duration
	calls int
}

func (h *hanging) ListUsers(context.Context, *iam.ListUsersInput, ...func(*iam.Options)) (*iam.ListUsersOutput, error) {
	h.calls++
	h.clock.SetTime(h.clock.Now().Add(h.takes))
	return nil, context.DeadlineExceeded
}

// The others wait for each other, so one that does not answer is asked less
// often; one that refuses at once may be asked each time.
func TestAnAccountThatHangsIsLeftAlone(t *testing.T) {
	const other = "210987654321"
	for _, row := range []struct {
		reason string
		takes  time.Duration
		want   int
	}{
		{"hangs", 10 * time.Second, 2},
		{"refuses", time.Second, 7},
	} {
		clock := clocktesting.NewFakePassiveClock(time.Now())
		b := newBed(t, func(c *principals.Config) { c.Now = clock.Now })
		there := &hanging{clock: clock, takes: row.takes}
		accounts := principals.NewAccounts(b.Lister, principals.New(principals.Config{
			IAM: there, STS: &whoever{"arn:aws:iam::" + other + ":root", other}, Partition: "aws", AccountID: other,
			Now: clock.Now,
		}))
		for range 7 {
			got := accounts.List(t.Context(), rules.Needs{Users: true})
			o := got.Others[0]
			if !got.Users.Complete || o.Users.Complete || o.AccountID != other || o.Users.Err == nil || o.Users.Err.Error() != "list users under /: AWS did not answer in time" {
				t.Errorf("%s: %+v", row.reason, got)
			}
			clock.SetTime(clock.Now().Add(15 * time.Second))
		}
		if there.calls != row.want {
			t.Errorf("%s: asked %d times in 7 refreshes, want %d", row.reason, there.calls, row.want)
		}
	}
}
