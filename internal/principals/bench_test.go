package principals_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// fullAccount is an IAM with 5,000 users, whose pages are there already, so
// that what is measured is what a Listing costs on top.
type fullAccount struct {
	principals.IAM
	pages []*iam.ListUsersOutput
}

func newFullAccount() *fullAccount {
	a := &fullAccount{}
	for page := range 5 {
		out := &iam.ListUsersOutput{IsTruncated: page < 4, Marker: aws.String(fmt.Sprint(page + 1))}
		for i := range 1000 {
			name := fmt.Sprintf("vault-token-terraform-%d-%04d", page, i)
			out.Users = append(out.Users, types.User{
				Arn: aws.String("arn:aws:iam::" + account + ":user/vault/" + name), Path: aws.String("/vault/"),
				UserName: &name, UserId: aws.String("AIDAVPV4QU2XCJTZCCOQN"), CreateDate: aws.Time(time.Unix(0, 0)),
			})
		}
		a.pages = append(a.pages, out)
	}
	return a
}

func (a *fullAccount) ListUsers(_ context.Context, in *iam.ListUsersInput, _ ...func(*iam.Options)) (*iam.ListUsersOutput, error) {
	page := 0
	if in.Marker != nil {
		page = int((*in.Marker)[0] - '0')
	}
	return a.pages[page], nil
}

func BenchmarkList(b *testing.B) {
	l := principals.New(principals.Config{
		IAM: newFullAccount(), STS: &whoever{"arn:aws:iam::" + account + ":root", account},
	})
	b.ReportAllocs()
	for b.Loop() {
		if got := l.List(b.Context(), rules.Needs{Users: true}); len(got.Principals) != 5000 {
			b.Fatal(got.Users.Err)
		}
	}
}

// BenchmarkAccount is a whole refresh's listing of 5,000 users over the wire,
// from an emulator that signs and pages like AWS and answers at once.
func BenchmarkAccount(b *testing.B) {
	bed := newBed(b)
	furnish(b, bed.client, 5000)
	for _, row := range []struct {
		name  string
		needs rules.Needs
	}{
		{"ListUsers", rules.Needs{Users: true}},
		{"GetAccountAuthorizationDetails", rules.Needs{Users: true, UserDetails: true}},
		{"GetAccountAuthorizationDetails-with-roles", rules.Needs{Users: true, UserDetails: true, Roles: true, RoleDetails: true}},
	} {
		b.Run(row.name, func(b *testing.B) {
			calls := 0
			b.ReportAllocs()
			for b.Loop() {
				got := bed.List(b.Context(), row.needs)
				if !got.Users.Complete {
					b.Fatal(got.Users.Err)
				}
				calls += got.Users.Calls + got.Roles.Calls
			}
			b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
		})
	}
}
