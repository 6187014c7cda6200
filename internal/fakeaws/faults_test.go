package fakeaws_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

func TestRefusingFaults(t *testing.T) {
	for _, row := range []struct {
		effect  fakeaws.Effect
		code    string
		status  int
		retried bool // by the SDK, of itself
	}{
		{fakeaws.Throttled, "Throttling", 400, true},
		{fakeaws.Failing, "ServiceFailure", 500, true},
		{fakeaws.Unavailable, "ServiceUnavailable", 503, true},
		{fakeaws.Denied, "AccessDenied", 403, false},
	} {
		b := newBed(t)
		b.Inject(fakeaws.Fault{Action: "ListUsers", Times: 2, Effect: row.effect})
		_, err := b.iam.ListUsers(t.Context(), &iam.ListUsersInput{})
		if code(err) != row.code || status(err) != row.status {
			t.Errorf("%s: got %d %q, want %d %q", row.effect, status(err), code(err), row.status, row.code)
		}
		if _, err := b.iam.ListGroups(t.Context(), &iam.ListGroupsInput{}); err != nil {
			t.Errorf("%s: other actions are not struck: got %v", row.effect, err)
		}
		_, err = b.retrying(2).ListUsers(t.Context(), &iam.ListUsersInput{})
		if (err == nil) != row.retried {
			t.Errorf("%s: the SDK tries again = %t: got %v", row.effect, row.retried, err)
		}
	}
}

func TestInterruptingFaults(t *testing.T) {
	b := newBed(t)
	b.Inject(fakeaws.Fault{Action: "ListUsers", Times: 1, Effect: fakeaws.Dropped})
	if _, err := b.iam.ListUsers(t.Context(), &iam.ListUsersInput{}); err == nil || status(err) != 0 {
		t.Errorf("a dropped connection brings no answer: got %v", err)
	}
	b.Inject(fakeaws.Fault{Action: "ListUsers", Times: 1, Effect: fakeaws.Hanging})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.iam.ListUsers(ctx, &iam.ListUsersInput{}); err == nil || ctx.Err() == nil {
		t.Errorf("a hanging call ends with its deadline: got %v", err)
	}
	if _, err := b.iam.ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Errorf("used up faults strike no more: got %v", err)
	}
	if n := b.Calls("ListUsers"); n != 3 {
		t.Errorf("struck calls count: got %d, want 3", n)
	}
}

func TestListingFaults(t *testing.T) {
	type answer struct {
		Names     []string
		Truncated bool
		Marker    bool
		Repeated  bool // the second page's marker is the first one's
	}
	names := []string{"a", "b", "c"}
	for _, row := range []struct {
		effect fakeaws.Effect
		want   answer
	}{
		{"", answer{Names: names[:2], Truncated: true, Marker: true}},
		{fakeaws.EmptyListing, answer{}},
		{fakeaws.TruncatedWithoutMarker, answer{Names: names[:2], Truncated: true}},
		{fakeaws.RepeatedMarker, answer{Names: names[:2], Truncated: true, Marker: true, Repeated: true}},
	} {
		b, ctx := newBed(t, withRoot), t.Context()
		for _, name := range names {
			must(b.CreateUser("/", name))
		}
		if row.effect != "" {
			b.Inject(fakeaws.Fault{Action: "ListUsers", Effect: row.effect})
		}
		first := must(b.iam.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(2)}))
		got := answer{Truncated: first.IsTruncated, Marker: first.Marker != nil}
		for _, u := range first.Users {
			got.Names = append(got.Names, *u.UserName)
		}
		if first.Marker != nil {
			second := must(b.iam.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(2), Marker: first.Marker}))
			got.Repeated = second.Marker != nil && *second.Marker == *first.Marker && second.IsTruncated
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%q: -want +got\n%s", row.effect, diff)
		}
		b.ClearFaults()
		if all := must(b.iam.ListUsers(ctx, &iam.ListUsersInput{})); len(all.Users) != 3 || all.IsTruncated {
			t.Errorf("%q: a cleared fault strikes no more", row.effect)
		}
	}
}

func TestOtherAccountFault(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	b.Inject(fakeaws.Fault{Action: "ListUsers", After: 1, Effect: fakeaws.OtherAccount})
	b.Inject(fakeaws.Fault{Action: "GetCallerIdentity", Effect: fakeaws.OtherAccount, AccountID: "210987654321"})
	var got []string
	for range 2 {
		got = append(got, *must(b.iam.ListUsers(ctx, &iam.ListUsersInput{})).Users[0].Arn)
	}
	who := must(b.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))
	got = append(got, *who.Arn, *who.Account)
	want := []string{
		"arn:aws:iam::123456789012:user/admin", "arn:aws:iam::999999999999:user/admin",
		"arn:aws:iam::210987654321:user/admin", "210987654321",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the first call, under another account: -want +got\n%s", diff)
	}
}

func TestLag(t *testing.T) {
	b, ctx := newBed(t, withRoot), t.Context()
	// The SDK's clock stands, so the lags stay within the skew that signatures allow.
	b.SetLag(fakeaws.Lag{List: 60 * time.Second, Get: 20 * time.Second})
	seen := func() (listed, got int) {
		if _, err := b.iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("u")}); err == nil {
			got = 1
		}
		return len(must(b.iam.ListUsers(ctx, &iam.ListUsersInput{})).Users), got
	}
	step := func(reason string, wait time.Duration, wantListed, wantGot int) {
		t.Helper()
		b.clock.Advance(wait)
		if listed, got := seen(); listed != wantListed || got != wantGot {
			t.Errorf("%s: listed %d, got %d; want %d, %d", reason, listed, got, wantListed, wantGot)
		}
	}
	must(b.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("u")}))
	step("new: nobody sees it", 0, 0, 0)
	step("GetUser sees it first", 20*time.Second, 0, 1)
	step("then listings do", 40*time.Second, 1, 1)
	must(b.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("u")}))
	step("deleted: everybody still sees it", 0, 1, 1)
	step("GetUser misses it first", 20*time.Second, 1, 0)
	must(b.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("U"), Path: aws.String("/new/")}))
	step("made again: the old one is still listed", 20*time.Second, 1, 1)
	step("the old one has gone, the new one has not come", 20*time.Second, 0, 1)
	step("the new one is listed", 20*time.Second, 1, 1)
	must(b.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("u")}))
	step("all is forgotten", 60*time.Second, 0, 0)
	b.SetLag(fakeaws.Lag{})
	must(b.CreateUser("/", "u"))
	step("without lag at once", 0, 1, 1)
}
