package principals_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestList(t *testing.T) {
	b := newBed(t)
	user, err := b.aws.CreateUser("/vault/team/", "Alice")
	if err != nil {
		t.Fatal(err)
	}
	role, err := b.aws.CreateRole("/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_Admin_0123456789abcdef", "")
	if err != nil {
		t.Fatal(err)
	}
	got := b.List(t.Context(), rules.Needs{Users: true, Roles: true})
	want := principals.Listing{
		Partition: "aws", AccountID: account,
		Principals: []rules.Principal{
			{Kind: rules.User, ARN: user.ARN, AccountID: account, Path: user.Path, Name: user.Name, ID: user.ID, CreateDate: user.CreateDate},
			{Kind: rules.Role, ARN: role.ARN, AccountID: account, Path: role.Path, Name: role.Name, ID: role.ID, CreateDate: role.CreateDate},
		},
		Users: principals.Scope{Asked: true, PathPrefix: "/", Complete: true, Begun: b.now, Calls: 1},
		Roles: principals.Scope{Asked: true, PathPrefix: "/", Complete: true, Begun: b.now, Calls: 1},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(principals.Listing{}, "Skew", "SkewKnown")); diff != "" {
		t.Errorf("a user and a role: -want +got\n%s", diff)
	}
}

func TestListAsksForWhatIsNeeded(t *testing.T) {
	for _, row := range []struct {
		reason    string
		needs     rules.Needs
		want      []string
		userCalls int
		roleCalls int
		stsCalls  int
	}{
		{"nothing needed, nothing asked", rules.Needs{UserPathPrefix: "/", RolePathPrefix: "/"}, nil, 0, 0, 0},
		{"users only", rules.Needs{Users: true, UserPathPrefix: "/"}, []string{"user/a", "user/x/b", "user/x/y/c"}, 1, 0, 1},
		{"roles only", rules.Needs{Roles: true, RolePathPrefix: "/"}, []string{"role/r", "role/x/s"}, 0, 1, 1},
		{"paths are sent", rules.Needs{Users: true, UserPathPrefix: "/x/", Roles: true, RolePathPrefix: "/x/"}, []string{"user/x/b", "user/x/y/c", "role/x/s"}, 1, 1, 1},
		{"nobody under a path", rules.Needs{Users: true, UserPathPrefix: "/none/"}, nil, 1, 0, 1},
	} {
		b := newBed(t)
		b.createUsers("/", "a")
		b.createUsers("/x/", "b")
		b.createUsers("/x/y/", "c")
		b.createRoles("/", "r")
		b.createRoles("/x/", "s")
		got := b.List(t.Context(), row.needs)
		var want []string
		for _, p := range row.want {
			want = append(want, "arn:aws:iam::"+account+":"+p)
		}
		if diff := cmp.Diff(want, arns(got)); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
		calls := []int{b.aws.Calls("ListUsers"), b.aws.Calls("ListRoles"), b.aws.Calls("GetCallerIdentity")}
		if diff := cmp.Diff([]int{row.userCalls, row.roleCalls, row.stsCalls}, calls); diff != "" {
			t.Errorf("%s: calls: -want +got\n%s", row.reason, diff)
		}
		for _, in := range b.sent.users {
			if *in.MaxItems != 1000 || *in.PathPrefix != row.needs.UserPathPrefix {
				t.Errorf("%s: sent %d %s", row.reason, *in.MaxItems, *in.PathPrefix)
			}
		}
		for _, in := range b.sent.roles {
			if *in.MaxItems != 1000 || *in.PathPrefix != row.needs.RolePathPrefix {
				t.Errorf("%s: sent %d %s", row.reason, *in.MaxItems, *in.PathPrefix)
			}
		}
		if got.Users.Complete != row.needs.Users || got.Roles.Complete != row.needs.Roles {
			t.Errorf("%s: complete is what was asked for: %+v %+v", row.reason, got.Users, got.Roles)
		}
	}
}

func TestListPages(t *testing.T) {
	for _, row := range []struct{ users, calls int }{{0, 1}, {1, 1}, {1000, 1}, {1001, 2}, {2500, 3}} {
		b := newBed(t)
		for i := range row.users {
			b.createUsers("/", fmt.Sprintf("u%04d", i))
		}
		got := b.List(t.Context(), rules.Needs{Users: true})
		if len(got.Principals) != row.users || !got.Users.Complete || got.Users.Calls != row.calls || b.aws.Calls("ListUsers") != row.calls {
			t.Errorf("%d users take %d calls: got %d users, %d calls, %d sent, %v", row.users, row.calls,
				len(got.Principals), got.Users.Calls, b.aws.Calls("ListUsers"), got.Users.Err)
		}
	}
}

func TestListTrouble(t *testing.T) {
	for _, row := range []struct {
		reason   string
		fault    fakeaws.Fault
		complete bool
		is       error  // what the error wraps
		says     string // its text
	}{
		{"ListUsers fails", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Failing}, false, nil,
			"list users under /: ServiceFailure: The request processing has failed because of an unknown error, exception or failure."},
		{"ListUsers fails on the second page", fakeaws.Fault{Action: "ListUsers", After: 1, Effect: fakeaws.Unavailable}, false, nil,
			"list users under /: ServiceUnavailable: The request has failed due to a temporary failure of the server."},
		{"ListUsers fails once", fakeaws.Fault{Action: "ListUsers", Times: 1, Effect: fakeaws.Failing}, true, nil, ""},
		{"throttled for minutes", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Throttled}, false, nil,
			"list users under /: Throttling: Rate exceeded"},
		{"throttled twice", fakeaws.Fault{Action: "ListUsers", Times: 2, Effect: fakeaws.Throttled}, true, nil, ""},
		{"not allowed", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Denied}, false, nil,
			"list users under /: AccessDenied: An injected fault says that the caller is not authorized to perform this operation"},
		{"the connection drops", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Dropped}, false, nil, "list users under /: "},
		{"truncated without marker", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.TruncatedWithoutMarker}, false, principals.ErrBrokenListing,
			"list users under /: broken listing: page 1 is not the last but names no next"},
		{"repeated marker", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.RepeatedMarker}, false, principals.ErrBrokenListing,
			"list users under /: broken listing: page 2 leads back to an earlier one"},
		{"wrong account", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.OtherAccount}, false, principals.ErrOtherAccount,
			`list users under /: not of our account: "arn:aws:iam::999999999999:user/u0000" in a listing of account 123456789012`},
		{"wrong account on the second page", fakeaws.Fault{Action: "ListUsers", After: 1, Effect: fakeaws.OtherAccount}, false, principals.ErrOtherAccount,
			"list users under /: not of our account: "},
		{"GetCallerIdentity fails", fakeaws.Fault{Action: "GetCallerIdentity", Effect: fakeaws.Failing}, false, nil,
			"ask AWS who we are: ServiceFailure: "},
		{"GetCallerIdentity names another account", fakeaws.Fault{Action: "GetCallerIdentity", Effect: fakeaws.OtherAccount}, false, principals.ErrOtherAccount,
			`list users under /: not of our account: "arn:aws:iam::123456789012:user/u0000" in a listing of account 999999999999`},
	} {
		b := newBed(t)
		for i := range 1001 {
			b.createUsers("/", fmt.Sprintf("u%04d", i))
		}
		b.aws.Inject(row.fault)
		got := b.List(t.Context(), rules.Needs{Users: true})
		if got.Users.Complete != row.complete || (got.Users.Err == nil) != row.complete {
			t.Errorf("%s: complete = %t: got %+v", row.reason, row.complete, got.Users)
		}
		if want := map[bool]int{true: 1001}[row.complete]; len(got.Principals) != want {
			t.Errorf("%s: all or nothing: got %d of %d", row.reason, len(got.Principals), want)
		}
		if row.is != nil && !errors.Is(got.Users.Err, row.is) {
			t.Errorf("%s: got %v, want %v", row.reason, got.Users.Err, row.is)
		}
		if row.complete {
			continue
		}
		if text := got.Users.Err.Error(); !strings.HasPrefix(text, row.says) || strings.Contains(text, "RequestID") {
			t.Errorf("%s: got %q, want %q", row.reason, text, row.says)
		}
		again := b.List(t.Context(), rules.Needs{Users: true})
		if row.fault.After == 0 && again.Users.Err.Error() != got.Users.Err.Error() {
			t.Errorf("%s: the text flaps: %q, %q", row.reason, got.Users.Err, again.Users.Err)
		}
	}
}

func TestListEmpty(t *testing.T) {
	b := newBed(t)
	b.createUsers("/", "a")
	b.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.EmptyListing})
	got := b.List(t.Context(), rules.Needs{Users: true})
	if !got.Users.Complete || len(got.Principals) != 0 {
		t.Errorf("an empty listing is what AWS said, and only a hint: got %+v", got)
	}
}

func TestListOneKindFails(t *testing.T) {
	b := newBed(t)
	b.createUsers("/", "a")
	b.createRoles("/", "r")
	b.aws.Inject(fakeaws.Fault{Action: "ListRoles", Effect: fakeaws.Denied})
	got := b.List(t.Context(), rules.Needs{Users: true, Roles: true})
	if !got.Users.Complete || got.Roles.Complete || got.Roles.Err == nil {
		t.Errorf("each kind for itself: got %+v %+v", got.Users, got.Roles)
	}
	if diff := cmp.Diff([]string{"arn:aws:iam::" + account + ":user/a"}, arns(got)); diff != "" {
		t.Errorf("the other kind is there: -want +got\n%s", diff)
	}
}

func TestListDeadline(t *testing.T) {
	hurry := func(c *principals.Config) { c.CallTimeout = 50 * time.Millisecond }
	for _, action := range []string{"ListUsers", "GetCallerIdentity"} {
		b := newBed(t, hurry)
		b.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Hanging})
		got := b.List(t.Context(), rules.Needs{Users: true})
		if got.Users.Complete || got.Users.Err == nil || !strings.HasSuffix(got.Users.Err.Error(), ": AWS did not answer in time") {
			t.Errorf("%s has a deadline of its own: got %+v", action, got.Users)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := newBed(t).List(ctx, rules.Needs{Users: true}); got.Users.Complete || !errors.Is(got.Users.Err, context.Canceled) {
		t.Errorf("the caller's end ends the listing: got %+v", got.Users)
	}
}

func TestListEndless(t *testing.T) {
	n := 0
	endless := answers{users: func() *iam.ListUsersOutput {
		n++
		return &iam.ListUsersOutput{IsTruncated: true, Marker: aws.String(fmt.Sprint(n))}
	}}
	b := newBed(t, func(c *principals.Config) { c.IAM = endless })
	if got := b.List(t.Context(), rules.Needs{Users: true}); !errors.Is(got.Users.Err, principals.ErrBrokenListing) || got.Users.Calls != 1000 {
		t.Errorf("a listing without end ends: got %+v", got.Users)
	}
}

func TestListTakesOnlyWhatAddsUp(t *testing.T) {
	for _, row := range []struct {
		reason, arn, path, name string
		is                      error
	}{
		{"as it is", "arn:aws:iam::123456789012:user/p/n", "/p/", "n", nil},
		{"another name", "arn:aws:iam::123456789012:user/p/n", "/p/", "m", principals.ErrBrokenListing},
		{"another path", "arn:aws:iam::123456789012:user/p/n", "/", "n", principals.ErrBrokenListing},
		{"the name's slash", "arn:aws:iam::123456789012:user/p/n", "/", "p/n", nil},
		{"no name", "arn:aws:iam::123456789012:user/", "/", "", principals.ErrBrokenListing},
		{"no ARN", "", "/", "n", principals.ErrOtherAccount},
		{"a role among users", "arn:aws:iam::123456789012:role/n", "/", "n", principals.ErrOtherAccount},
		{"another partition", "arn:aws-cn:iam::123456789012:user/n", "/", "n", principals.ErrOtherAccount},
		{"a longer account", "arn:aws:iam::1234567890123:user/n", "/", "n", principals.ErrOtherAccount},
	} {
		one := answers{users: func() *iam.ListUsersOutput { return userPage(row.arn, row.path, row.name) }}
		b := newBed(t, func(c *principals.Config) { c.IAM = one })
		got := b.List(t.Context(), rules.Needs{Users: true})
		if !cmp.Equal(row.is, got.Users.Err, cmpopts.EquateErrors()) || got.Users.Complete != (row.is == nil) {
			t.Errorf("%s: got %+v, want %v", row.reason, got.Users, row.is)
		}
	}
}
