package fakeaws_test

import (
	"fmt"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"
)

// trusting is a trust policy with one statement.
func trusting(effect, principal, condition string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Principal":%s,"Action":"sts:AssumeRole","Condition":%s}]}`, effect, principal, condition)
}

func TestRoleLifecycle(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	trust := trusting("Allow", `{"AWS":"*"}`, `{}`)
	path := "/aws-reserved/sso.amazonaws.com/"
	role := must(b.iam.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("Admin"), Path: &path, AssumeRolePolicyDocument: &trust, Description: aws.String("d"),
		MaxSessionDuration: aws.Int32(7200), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})).Role
	if *role.Arn != "arn:aws:iam::123456789012:role"+path+"Admin" || !regexp.MustCompile(`^AROA[A-Z2-7]{17}$`).MatchString(*role.RoleId) {
		t.Errorf("got %s %s", *role.Arn, *role.RoleId)
	}
	read := must(b.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("admin")})).Role
	if must(url.PathUnescape(*read.AssumeRolePolicyDocument)) != trust || *read.MaxSessionDuration != 7200 || len(read.Tags) != 1 || *read.Description != "d" {
		t.Errorf("GetRole shows everything: got %+v", read)
	}
	listed := must(b.iam.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/aws-reserved/")})).Roles
	if len(listed) != 1 || listed[0].Tags != nil || *listed[0].Arn != *role.Arn {
		t.Errorf("listings leave tags out: got %+v", listed)
	}
	if other := must(b.iam.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/x")})).Roles; len(other) != 0 {
		t.Errorf("another path has no roles: got %+v", other)
	}
	if _, err := b.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("ADMIN"), AssumeRolePolicyDocument: &trust}); code(err) != "EntityAlreadyExists" {
		t.Errorf("names are unique without regard to case: got %v", err)
	}
	must(b.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("Admin"), PolicyArn: aws.String(readOnly)}))
	if _, err := b.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("Admin")}); code(err) != "DeleteConflict" {
		t.Errorf("a role with policies stays: got %v", err)
	}
	must(b.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("Admin"), PolicyArn: aws.String(readOnly)}))
	must(b.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("Admin")}))
}

func TestAssumeRoleTrust(t *testing.T) {
	const user = `{"AWS":"arn:aws:iam::123456789012:user/admin"}`
	for _, row := range []struct {
		reason, trust, externalID string
		allowed                   bool
	}{
		{"the account's root stands for the account", trusting("Allow", `{"AWS":"arn:aws:iam::123456789012:root"}`, `{}`), "", true},
		{"so does its number", trusting("Allow", `{"AWS":"123456789012"}`, `{}`), "", true},
		{"the user", trusting("Allow", user, `{}`), "", true},
		{"one of several", trusting("Allow", `{"AWS":["123","arn:aws:iam::123456789012:user/admin"]}`, `{}`), "", true},
		{"everybody", trusting("Allow", `"*"`, `{}`), "", true},
		{"the external id", trusting("Allow", user, `{"StringEquals":{"sts:ExternalId":["a","b"]}}`), "b1", false},
		{"the right external id", trusting("Allow", user, `{"StringEquals":{"sts:ExternalId":["a1","b1"]}}`), "b1", true},
		{"no external id", trusting("Allow", user, `{"StringEquals":{"sts:ExternalId":"a1"}}`), "", false},
		{"an external id that nobody asked for", trusting("Allow", user, `{}`), "a1", true},
		{"not this external id", trusting("Allow", user, `{"StringNotEquals":{"sts:ExternalId":"a1"}}`), "a1", false},
		{"a condition that is not known allows nothing", trusting("Allow", user, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`), "", false},
		{"an operator that is not known allows nothing", trusting("Allow", user, `{"NumericEquals":{"sts:ExternalId":"1"}}`), "1", false},
		{"a pattern", trusting("Allow", user, `{"StringLike":{"sts:ExternalId":"a*"}}`), "a1", true},
		{"another user", trusting("Allow", `{"AWS":"arn:aws:iam::123456789012:user/other"}`, `{}`), "", false},
		{"another account", trusting("Allow", `{"AWS":"arn:aws:iam::210987654321:root"}`, `{}`), "", false},
		{"a service", trusting("Allow", `{"Service":"ec2.amazonaws.com"}`, `{}`), "", false},
		{"a denial", trusting("Deny", user, `{}`), "", false},
		{"a denial beats an allowance", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole"]},{"Effect":"Deny","Principal":` + user + `,"Action":"sts:*"}]}`, "", false},
		{"a denial on a condition that is not known denies", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"},{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"Bool":{"x":"true"}}}]}`, "", false},
		{"a denial of another external id", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"},{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"StringEquals":{"sts:ExternalId":"a1"}}}]}`, "b1", true},
		{"another action", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:TagSession"}}`, "", false},
		{"a single statement", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`, "", true},
	} {
		b := newBed(t)
		role := must(b.CreateRole("/team/", "target", row.trust))
		in := &sts.AssumeRoleInput{RoleArn: &role.ARN, RoleSessionName: aws.String("me@here")}
		if row.externalID != "" {
			in.ExternalId = &row.externalID
		}
		_, err := b.sts.AssumeRole(t.Context(), in)
		if want := map[bool]string{false: "AccessDenied"}[row.allowed]; code(err) != want {
			t.Errorf("%s: got %v, want %q", row.reason, err, want)
		}
	}
}

func TestAssumedSession(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	first := must(b.CreateRole("/team/", "first", ""))
	second := must(b.CreateRole("/", "second", trusting("Allow", `{"AWS":"`+first.ARN+`"}`, `{}`)))
	out := must(b.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &first.ARN, RoleSessionName: aws.String("me"), DurationSeconds: aws.Int32(900)}))
	session := "arn:aws:sts::123456789012:assumed-role/first/me"
	if *out.AssumedRoleUser.Arn != session || *out.AssumedRoleUser.AssumedRoleId != first.ID+":me" {
		t.Errorf("got %s %s", *out.AssumedRoleUser.Arn, *out.AssumedRoleUser.AssumedRoleId)
	}
	c := out.Credentials
	asIAM, asSTS := b.clients(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	who := must(asSTS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))
	if *who.Arn != session || *who.UserId != first.ID+":me" || *who.Account != "123456789012" {
		t.Errorf("the session is who it says: got %s %s", *who.Arn, *who.UserId)
	}
	if _, err := asIAM.GetUser(ctx, &iam.GetUserInput{}); code(err) != "ValidationError" {
		t.Errorf("a session is no user: got %v", err)
	}
	if _, err := asSTS.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &second.ARN, RoleSessionName: aws.String("chained")}); err != nil {
		t.Errorf("a role's session is trusted as the role: got %v", err)
	}
	_, err := asSTS.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &second.ARN, RoleSessionName: aws.String("x2"), DurationSeconds: aws.Int32(3601)})
	if code(err) != "ValidationError" {
		t.Errorf("a role's own maximum holds: got %v", err)
	}

	for reason, token := range map[string]string{"without its token": "", "with another token": *c.SessionToken + "x"} {
		_, other := b.clients(*c.AccessKeyId, *c.SecretAccessKey, token)
		if _, err := other.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); code(err) != "InvalidClientTokenId" || status(err) != 403 {
			t.Errorf("a temporary key %s: got %v", reason, err)
		}
	}
	if err := b.DeleteRole("first"); err != nil {
		t.Fatal(err)
	}
	if _, err := asSTS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); code(err) != "InvalidClientTokenId" {
		t.Errorf("a deleted role has no sessions: got %v", err)
	}
}

func TestExpiredSession(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	role := must(b.CreateRole("/", "target", ""))
	b.clock.Advance(-15*time.Minute - time.Second) // the SDK's clock stands at the session's end
	retrying := sts.New(sts.Options{}, func(o *sts.Options) {
		*o = b.sts.Options()
		o.Retryer = b.retrying(2).Options().Retryer // learns the emulator's time
	})
	c := must(retrying.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role.ARN, RoleSessionName: aws.String("me"), DurationSeconds: aws.Int32(900)})).Credentials
	b.clock.Advance(15*time.Minute + time.Second)
	_, session := b.clients(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	if _, err := session.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); code(err) != "ExpiredToken" || status(err) != 403 {
		t.Errorf("an ended session is refused: got %v", err)
	}
}

func TestAssumeRoleRefuses(t *testing.T) {
	b := newBed(t)
	role := must(b.CreateRole("/team/", "target", "")).ARN
	for _, row := range []struct {
		reason, arn, session string
		seconds              int32
		code                 string
	}{
		{"a session has a name", role, "x", 900, "ValidationError"},
		{"of certain letters", role, "me here", 900, "ValidationError"},
		{"for fifteen minutes at least", role, "me", 899, "ValidationError"},
		{"for twelve hours at most", role, "me", 43201, "ValidationError"},
		{"for what the role allows", role, "me", 3601, "ValidationError"},
		{"an ARN", "arn:aws:iam::123456789012", "me", 900, "ValidationError"},
		{"of a role", "arn:aws:iam::123456789012:user/admin", "me", 900, "ValidationError"},
		{"that exists", "arn:aws:iam::123456789012:role/team/none", "me", 900, "AccessDenied"},
		{"under its path", "arn:aws:iam::123456789012:role/target", "me", 900, "AccessDenied"},
		{"with its case", "arn:aws:iam::123456789012:role/team/TARGET", "me", 900, "AccessDenied"},
		{"in an account that exists", "arn:aws:iam::210987654321:role/team/target", "me", 900, "AccessDenied"},
		{"all is well", role, "me", 3600, ""},
	} {
		_, err := b.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &row.arn, RoleSessionName: &row.session, DurationSeconds: &row.seconds})
		if code(err) != row.code {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.code)
		}
	}
	root := newBed(t, withRoot)
	role = must(root.Server.CreateRole("/", "target", "")).ARN
	if _, err := root.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("me")}); code(err) != "AccessDenied" {
		t.Errorf("root assumes no role: got %v", err)
	}
}

func TestAuthorizationDetails(t *testing.T) {
	b, ctx := newBed(t, withRoot), t.Context()
	for i := range 5 {
		u := aws.String(fmt.Sprint("u", i))
		must(b.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: u, Path: aws.String("/p/"), PermissionsBoundary: aws.String(own), Tags: []types.Tag{{Key: aws.String("n"), Value: u}}}))
		must(b.iam.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String(fmt.Sprint("g", i))}))
		must(b.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: u, GroupName: aws.String("g0")}))
		must(b.CreateRole("/", fmt.Sprint("r", i), ""))
	}
	must(b.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("u0"), PolicyName: aws.String("in"), PolicyDocument: aws.String(document)}))
	must(b.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("u0"), PolicyArn: aws.String(readOnly)}))
	collect := func(in iam.GetAccountAuthorizationDetailsInput) (got []string) {
		pages := iam.NewGetAccountAuthorizationDetailsPaginator(b.iam, &in)
		for pages.HasMorePages() {
			page := must(pages.NextPage(ctx))
			for _, u := range page.UserDetailList {
				got = append(got, fmt.Sprint(u.GroupList, *u.Tags[0].Value, *u.PermissionsBoundary.PermissionsBoundaryArn == own, len(u.UserPolicyList), len(u.AttachedManagedPolicies)))
			}
			for _, g := range page.GroupDetailList {
				got = append(got, *g.GroupName)
			}
			for _, r := range page.RoleDetailList {
				got = append(got, *r.Arn)
			}
		}
		return got
	}
	users := []string{"[g0]u0true 1 1", "[g0]u1true 0 0", "[g0]u2true 0 0", "[g0]u3true 0 0", "[g0]u4true 0 0"}
	groups := []string{"g0", "g1", "g2", "g3", "g4"}
	var roles []string
	for i := range 5 {
		roles = append(roles, fmt.Sprint("arn:aws:iam::123456789012:role/r", i))
	}
	all := append(append(append([]string{}, users...), groups...), roles...)
	for _, row := range []struct {
		reason string
		in     iam.GetAccountAuthorizationDetailsInput
		want   []string
	}{
		{"everything in one page", iam.GetAccountAuthorizationDetailsInput{}, all},
		{"everything in pages of 7, across kinds", iam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(7)}, all},
		{"users only", iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeUser}, MaxItems: aws.Int32(2)}, users},
		{"two kinds", iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeRole, types.EntityTypeGroup}}, append(append([]string{}, groups...), roles...)},
		{"managed policies are never listed", iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeLocalManagedPolicy}}, nil},
	} {
		if diff := cmp.Diff(row.want, collect(row.in)); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
	}
	if _, err := b.iam.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{"Users"}}); code(err) != "ValidationError" {
		t.Errorf("an unknown kind is refused: got %v", err)
	}
}
