package principals_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const boundary = "arn:aws:iam::" + account + ":policy/limits"

// furnish makes users and roles of whom there are details to tell.
func furnish(t testing.TB, client *iam.Client, users int) {
	t.Helper()
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, group := range []string{"Developers", "Ops"} {
		must(client.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: &group, Path: aws.String("/teams/")}))
	}
	for i := range users {
		name := fmt.Sprintf("u%04d", i)
		must(client.CreateUser(ctx, &iam.CreateUserInput{
			UserName: &name, Path: aws.String("/vault/"), PermissionsBoundary: aws.String(boundary),
			Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("payments")}, {Key: aws.String("n"), Value: aws.String(fmt.Sprint(i % 2))}},
		}))
		must(client.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: &name, GroupName: aws.String("Developers")}))
		if i%2 == 0 {
			must(client.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: &name, GroupName: aws.String("Ops")}))
		}
	}
	must(client.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String(trust(account, "")),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("ops")}},
	}))
}

func TestListDetails(t *testing.T) {
	b := newBed(t)
	furnish(t, b.client, 3)
	got := b.List(t.Context(), rules.Needs{
		Users: true, UserDetails: true, UserPathPrefix: "/vault/", Roles: true, RoleDetails: true, RolePathPrefix: "/",
	})
	var lines []string
	for _, p := range got.Principals {
		lines = append(lines, fmt.Sprint(p.Kind, " ", p.Path, p.Name, " ", p.Details.IAMGroups, p.Details.Tags, p.Details.PermissionsBoundary))
	}
	want := []string{
		"user /vault/u0000 [Developers Ops] [{n 0} {team payments}]" + boundary,
		"user /vault/u0001 [Developers] [{n 1} {team payments}]" + boundary,
		"user /vault/u0002 [Developers Ops] [{n 0} {team payments}]" + boundary,
		"role /r [] [{team ops}]",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, s := range map[string]principals.Scope{"users": got.Users, "roles": got.Roles} {
		if !s.Complete || !s.Detailed || s.PathPrefix != "/" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for action, want := range map[string]int{"GetAccountAuthorizationDetails": 1, "ListUsers": 0, "ListRoles": 0} {
		if n := b.aws.Calls(action); n != want {
			t.Errorf("%d calls of %s, want %d", n, action, want)
		}
	}
}

func TestDetailsAreAskedForWhereTheyAreNeeded(t *testing.T) {
	for _, row := range []struct {
		reason string
		needs  rules.Needs
		calls  string
		filter string
	}{
		{"nobody's", rules.Needs{Users: true, Roles: true}, "0 1 1", ""},
		{"the users'", rules.Needs{Users: true, UserDetails: true, Roles: true}, "1 0 1", "[User]"},
		{"the users' alone", rules.Needs{Users: true, UserDetails: true}, "1 0 0", "[User]"},
		{"the roles'", rules.Needs{Users: true, Roles: true, RoleDetails: true}, "1 1 0", "[Role]"},
		{"everybody's", rules.Needs{Users: true, UserDetails: true, Roles: true, RoleDetails: true}, "1 0 0", "[User Role]"},
	} {
		b := newBed(t)
		b.createUsers("/", "u")
		b.createRoles("/", "r")
		got := b.List(t.Context(), row.needs)
		if len(got.Principals) != 1 && row.needs.Roles != (len(got.Principals) == 2) {
			t.Errorf("%s: found %v", row.reason, got.Principals)
		}
		calls := fmt.Sprint(b.aws.Calls("GetAccountAuthorizationDetails"), b.aws.Calls("ListUsers"), b.aws.Calls("ListRoles"))
		filter := ""
		if len(b.sent.details) > 0 {
			filter = fmt.Sprint(b.sent.details[0].Filter)
		}
		if calls != row.calls || filter != row.filter {
			t.Errorf("%s: calls %s with filter %s, want %s with %s", row.reason, calls, filter, row.calls, row.filter)
		}
		for _, p := range got.Principals {
			if (p.Details != nil) != row.needs.Details(p.Kind) {
				t.Errorf("%s: details of %s are %v", row.reason, p.ARN, p.Details)
			}
		}
	}
}

func TestDetailsComeInPages(t *testing.T) {
	b := newBed(t)
	for i := range 2345 {
		b.createUsers("/", fmt.Sprintf("u%04d", i))
	}
	b.createRoles("/", "r")
	got := b.List(t.Context(), rules.Needs{Users: true, UserDetails: true, Roles: true, RoleDetails: true})
	if len(got.Principals) != 2346 || got.Users.Calls != 3 || got.Roles.Calls != 0 || !got.Roles.Complete {
		t.Errorf("%d principals in %d calls", len(got.Principals), got.Users.Calls)
	}
}

func TestBrokenDetailsAreNotTheWhole(t *testing.T) {
	for _, effect := range []fakeaws.Effect{
		fakeaws.TruncatedWithoutMarker, fakeaws.RepeatedMarker, fakeaws.OtherAccount, fakeaws.Denied, fakeaws.Failing,
	} {
		b := newBed(t)
		b.createUsers("/", "u")
		b.createRoles("/", "r")
		b.aws.Inject(fakeaws.Fault{Action: "GetAccountAuthorizationDetails", Effect: effect})
		got := b.List(t.Context(), rules.Needs{Users: true, UserDetails: true, Roles: true})
		if got.Users.Complete || got.Users.Err == nil || !got.Roles.Complete {
			t.Errorf("%s: users %+v, roles %+v", effect, got.Users, got.Roles)
		}
		if len(got.Principals) != 1 || got.Principals[0].Kind != rules.Role {
			t.Errorf("%s: shows %v", effect, got.Principals)
		}
	}
}

func TestClocksAreCompared(t *testing.T) {
	for _, needs := range []rules.Needs{{Users: true}, {Roles: true}, {Users: true, UserDetails: true}, {Roles: true, RoleDetails: true}} {
		b := newBed(t)
		b.date = b.now.Add(17 * time.Minute)
		got := b.List(t.Context(), needs)
		if !got.SkewKnown || got.Skew != 17*time.Minute {
			t.Errorf("%+v: the skew is %s, %t", needs, got.Skew, got.SkewKnown)
		}
	}
	b := newBed(t)
	b.aws.Inject(fakeaws.Fault{Effect: fakeaws.Dropped})
	if got := b.List(t.Context(), rules.Needs{Users: true}); got.SkewKnown {
		t.Error("who did not answer told no time")
	}
}

func TestAccounts(t *testing.T) {
	const other = "210987654321"
	b := newBed(t)
	b.aws.AddAccount(fakeaws.Config{AccountID: other, AccessKeyID: "AKIAOTHER", SecretAccessKey: "other"})
	there := b.as("AKIAOTHER", "other")
	if _, err := there.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("b")}); err != nil {
		t.Fatal(err)
	}
	b.createUsers("/", "a")
	lister := func(key, secret, account string) *principals.Lister {
		return b.lister(key, secret, func(c *principals.Config) { c.Partition, c.AccountID = "aws", account })
	}
	users := rules.Needs{Users: true}

	both := principals.NewAccounts(b.Lister, lister("AKIAOTHER", "other", other))
	got := both.List(t.Context(), users)
	if len(got.Others) != 1 || strings.Join(append(arns(got), arns(got.Others[0])...), " ") != "arn:aws:iam::"+account+":user/a arn:aws:iam::"+other+":user/b" {
		t.Errorf("both accounts: %+v", got)
	}
	for who, want := range map[string]bool{"arn:aws:iam::" + other + ":user/b": true, "arn:aws:iam::" + other + ":user/a": false, "arn:aws:iam::" + account + ":user/a": true} {
		if exists, err := both.Exists(t.Context(), rules.User, who); err != nil || exists != want {
			t.Errorf("%s exists: %t, %v", who, exists, err)
		}
	}
	if _, err := both.Exists(t.Context(), rules.User, "arn:aws:iam::333333333333:user/a"); !errors.Is(err, principals.ErrOtherAccount) {
		t.Errorf("an account that nobody reads: %v", err)
	}

	broken := principals.NewAccounts(b.Lister, lister("AKIANOBODY", "none", other))
	got = broken.List(t.Context(), users)
	if !got.Users.Complete || got.Others[0].Users.Complete || got.Others[0].AccountID != other || got.Others[0].Users.Err == nil {
		t.Errorf("one that cannot be listed is named, and the other goes on: %+v", got)
	}

	wrong := principals.NewAccounts(b.Lister, lister("AKIAOTHER", "other", "333333333333"))
	got = wrong.List(t.Context(), users)
	if !errors.Is(got.Others[0].Users.Err, principals.ErrOtherAccount) || got.Others[0].AccountID != "333333333333" || len(got.Others[0].Principals) > 0 {
		t.Errorf("credentials of another account than expected: %+v", got.Others[0])
	}

	calls := b.aws.Calls("ListUsers")
	own := principals.NewAccounts(b.Lister, lister(b.keys.AccessKeyID, b.keys.SecretAccessKey, account))
	if got := own.List(t.Context(), users); len(got.Others) != 0 || len(got.Principals) != 1 || b.aws.Calls("ListUsers") != calls+1 {
		t.Errorf("a role of our own account stands in for us: %+v", got)
	}
}

// trust is a trust policy for an account, with an external id unless empty.
func trust(account, externalID string) string {
	condition := ""
	if externalID != "" {
		condition = `,"Condition":{"StringEquals":{"sts:ExternalId":"` + externalID + `"}}`
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account +
		`:root"},"Action":"sts:AssumeRole"` + condition + `}]}`
}

// dated sets the Date header to what at says, if anything.
func dated(next http.Handler, at func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(dater{w, at}, r)
	})
}

type dater struct {
	http.ResponseWriter
	at func() time.Time
}

func (d dater) WriteHeader(status int) {
	if t := d.at(); !t.IsZero() {
		d.Header().Set("Date", t.UTC().Format(http.TimeFormat))
	}
	d.ResponseWriter.WriteHeader(status)
}
