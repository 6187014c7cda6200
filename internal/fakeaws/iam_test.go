package fakeaws_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	own      = "arn:aws:iam::123456789012:policy/team/Own"
	document = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}`
)

// TestVaultsCalls makes the calls of Vault's AWS secrets engine, in its order:
// those for a new user, then those that take it away.
func TestVaultsCalls(t *testing.T) {
	b, ctx, user := newBed(t), t.Context(), aws.String("vault-token-foo-1795304897-tJq14mk5mRlNHdVcJyMw")
	must(b.iam.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("team")}))
	must(b.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: user, Path: aws.String("/vault/")}))
	must(b.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: user, PolicyArn: aws.String(readOnly)}))
	must(b.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: user, PolicyName: aws.String("p"), PolicyDocument: aws.String(document)}))
	must(b.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: user, GroupName: aws.String("team")}))
	must(b.iam.TagUser(ctx, &iam.TagUserInput{UserName: user, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))
	key := must(b.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: user})).AccessKey
	_, theirs := b.clients(*key.AccessKeyId, *key.SecretAccessKey, "")
	who := must(theirs.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))
	if *who.Arn != "arn:aws:iam::123456789012:user/vault/"+*user {
		t.Errorf("the new key signs as the new user: got %s", *who.Arn)
	}

	conflict := func(reason string) {
		t.Helper()
		if _, err := b.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: user}); code(err) != "DeleteConflict" || status(err) != 409 {
			t.Errorf("with %s left: got %v", reason, err)
		}
	}
	conflict("everything")
	groups := must(b.iam.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: user})).Groups
	inline := must(b.iam.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: user})).PolicyNames
	attached := must(b.iam.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: user})).AttachedPolicies
	keys := must(b.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: user})).AccessKeyMetadata
	got := []string{*groups[0].GroupName, inline[0], *attached[0].PolicyName, *attached[0].PolicyArn, *keys[0].AccessKeyId}
	if diff := cmp.Diff([]string{"team", "p", "ReadOnlyAccess", readOnly, *key.AccessKeyId}, got); diff != "" {
		t.Errorf("what hangs on the user: -want +got\n%s", diff)
	}

	must(b.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: key.AccessKeyId}))
	conflict("a managed policy")
	if _, err := theirs.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); code(err) != "InvalidClientTokenId" {
		t.Errorf("a deleted key signs no more: got %v", err)
	}
	must(b.iam.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: user, PolicyArn: aws.String(readOnly)}))
	conflict("an inline policy")
	must(b.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: user, PolicyName: aws.String("p")}))
	conflict("a group")
	must(b.iam.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{UserName: user, GroupName: aws.String("team")}))
	must(b.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: user}))
	must(b.iam.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: aws.String("team")}))
}

func TestDeletingWhatIsNotThere(t *testing.T) {
	b := newBed(t)
	must(b.CreateUser("/", "u"))
	must(b.iam.CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: aws.String("g")}))
	u, g, none, policy := aws.String("u"), aws.String("g"), aws.String("none"), aws.String(readOnly)
	for reason, call := range map[string]func(context.Context) error{
		"user": func(ctx context.Context) error {
			_, err := b.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: none})
			return err
		},
		"key": func(ctx context.Context) error {
			_, err := b.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: u, AccessKeyId: aws.String("AKIAIOSFODNN7EXAMPLE")})
			return err
		},
		"key of nobody": func(ctx context.Context) error {
			_, err := b.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: none})
			return err
		},
		"inline policy": func(ctx context.Context) error {
			_, err := b.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: u, PolicyName: none})
			return err
		},
		"read inline policy": func(ctx context.Context) error {
			_, err := b.iam.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: u, PolicyName: none})
			return err
		},
		"managed policy": func(ctx context.Context) error {
			_, err := b.iam.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: u, PolicyArn: policy})
			return err
		},
		"boundary": func(ctx context.Context) error {
			_, err := b.iam.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: u})
			return err
		},
		"group": func(ctx context.Context) error {
			_, err := b.iam.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: none})
			return err
		},
		"member": func(ctx context.Context) error {
			_, err := b.iam.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: g, UserName: u})
			return err
		},
		"user for a group": func(ctx context.Context) error {
			_, err := b.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: g, UserName: none})
			return err
		},
		"group for a user": func(ctx context.Context) error {
			_, err := b.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: none, UserName: u})
			return err
		},
		"role": func(ctx context.Context) error {
			_, err := b.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: none})
			return err
		},
		"read role": func(ctx context.Context) error {
			_, err := b.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: none})
			return err
		},
	} {
		if err := call(t.Context()); code(err) != "NoSuchEntity" || status(err) != 404 {
			t.Errorf("%s: got %d %v", reason, status(err), err)
		}
	}
}

func TestPolicies(t *testing.T) {
	b, ctx, u := newBed(t), t.Context(), aws.String("u")
	must(b.CreateUser("/", "u"))
	must(b.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Statement":[]}`)}))
	must(b.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: aws.String("p"), PolicyDocument: aws.String(document)}))
	read := must(b.iam.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: u, PolicyName: aws.String("p")}))
	if got := must(url.PathUnescape(*read.PolicyDocument)); got != document || *read.UserName != "u" {
		t.Errorf("the last document, escaped: got %s of %s", got, *read.UserName)
	}
	_, err := b.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: aws.String("p"), PolicyDocument: aws.String(`{`)})
	if code(err) != "MalformedPolicyDocument" {
		t.Errorf("a document is JSON: got %v", err)
	}
	for i := range 11 {
		arn := fmt.Sprint(own, i)
		_, err = b.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: u, PolicyArn: &arn})
		if want := map[bool]string{true: "LimitExceeded"}[i == 10]; code(err) != want {
			t.Errorf("policy %d: got %q, want %q", i, code(err), want)
		}
	}
	again := own + "0"
	if _, err := b.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: u, PolicyArn: &again}); err != nil {
		t.Errorf("attaching twice changes nothing: got %v", err)
	}
	foreign := "arn:aws:iam::210987654321:policy/X"
	if _, err := b.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: u, PolicyArn: &foreign}); code(err) != "InvalidInput" {
		t.Errorf("a policy of another account cannot be attached: got %v", err)
	}
}

func TestBoundary(t *testing.T) {
	b, ctx, u := newBed(t), t.Context(), aws.String("u")
	must(b.CreateUser("/", "u"))
	must(b.iam.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: u, PermissionsBoundary: aws.String(own)}))
	if got := must(b.iam.GetUser(ctx, &iam.GetUserInput{UserName: u})).User.PermissionsBoundary; got == nil || *got.PermissionsBoundaryArn != own {
		t.Errorf("the boundary is shown: got %+v", got)
	}
	must(b.iam.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: u}))
	if got := must(b.iam.GetUser(ctx, &iam.GetUserInput{UserName: u})).User.PermissionsBoundary; got != nil {
		t.Errorf("the boundary is gone: got %+v", got)
	}
}

func TestAccessKeyQuota(t *testing.T) {
	b := newBed(t)
	for i, want := range []string{"", "LimitExceeded"} { // the admin has one
		if _, err := b.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{}); code(err) != want {
			t.Errorf("key %d of the caller: got %v", i+2, err)
		}
	}
	root := newBed(t, withRoot)
	if _, err := root.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{}); code(err) != "ValidationError" {
		t.Errorf("root must name a user: got %v", err)
	}
}

func TestGroups(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	for _, name := range []string{"u2", "U1", "u3"} {
		must(b.CreateUser("/", name))
	}
	for i := range 11 {
		g := aws.String(fmt.Sprintf("g%02d", i))
		made := must(b.iam.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: g, Path: aws.String("/x/")}))
		_, err := b.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: g, UserName: aws.String("u1")})
		if want := map[bool]string{true: "LimitExceeded"}[i == 10]; code(err) != want || *made.Group.Arn != "arn:aws:iam::123456789012:group/x/"+*g {
			t.Errorf("a user is in ten groups at most: got %v", err)
		}
	}
	for _, name := range []string{"u3", "u2", "u2"} {
		must(b.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: aws.String("G00"), UserName: &name}))
	}
	var names []string
	pages := iam.NewGetGroupPaginator(b.iam, &iam.GetGroupInput{GroupName: aws.String("g00"), MaxItems: aws.Int32(2)})
	for pages.HasMorePages() {
		for _, u := range must(pages.NextPage(ctx)).Users {
			names = append(names, *u.UserName)
		}
	}
	if diff := cmp.Diff([]string{"U1", "u2", "u3"}, names); diff != "" {
		t.Errorf("members in order: -want +got\n%s", diff)
	}
	if _, err := b.iam.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: aws.String("g00")}); code(err) != "DeleteConflict" {
		t.Errorf("a group with members stays: got %v", err)
	}
	if err := b.DeleteUser("u1"); err != nil {
		t.Errorf("the Go method removes memberships too: %v", err)
	}
	if groups := must(b.iam.ListGroups(ctx, &iam.ListGroupsInput{PathPrefix: aws.String("/x/")})).Groups; len(groups) != 11 {
		t.Errorf("groups by path: got %d", len(groups))
	}
	must(b.iam.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: aws.String("g01"), PolicyName: aws.String("p"), PolicyDocument: aws.String(document)}))
	if _, err := b.iam.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: aws.String("g01")}); code(err) != "DeleteConflict" {
		t.Errorf("a group with policies stays: got %v", err)
	}
}

func TestGoMethodsRefuse(t *testing.T) {
	s := newBed(t).Server
	_, noUser := s.CreateAccessKey("none")
	_, badName := s.CreateUser("/", "a b")
	_, badPath := s.CreateRole("x", "r", "")
	_, badTrust := s.CreateRole("/", "r", "{}")
	for want, err := range map[string]error{
		"NoSuchEntity: The user with name none cannot be found.":                                                                                               noUser,
		"ValidationError: The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-":             badName,
		"ValidationError: The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.": badPath,
		"MalformedPolicyDocument: Syntax errors in policy.":                                                                                                    badTrust,
	} {
		var e *fakeaws.Error
		if !errors.As(err, &e) || e.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
