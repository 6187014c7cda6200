package fakevault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// issue answers aws/creds/ROLE: a new IAM user with a key, under a lease.
func (s *Server) issue(c *call) (any, error) {
	name := strings.TrimPrefix(c.path, s.cfg.AWSMount+"/creds/")
	role, ok := s.cfg.AWSRoles[name]
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Role %q not found", name)
	}
	if role.LeaseTTL == 0 {
		role.LeaseTTL = systemTTL
	}
	if role.UserPath == "" {
		role.UserPath = "/"
	}
	user := userName(c.caller.displayName, name, s.cfg.Now())
	key, err := s.createUser(c, user, role)
	if err != nil {
		undone := s.deleteUser(context.WithoutCancel(c), user)
		return nil, errors.Join(fmt.Errorf("making the IAM user: %w", err), undone)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	l := &lease{
		id:   s.cfg.AWSMount + "/creds/" + name + "/" + rand.Text()[:24],
		user: user, owner: c.caller, expires: now.Add(role.LeaseTTL),
	}
	s.leases[l.id] = l
	return map[string]any{
		"lease_id": l.id, "lease_duration": int64(role.LeaseTTL / time.Second), "renewable": true,
		"data": map[string]any{"access_key": *key.AccessKeyId, "secret_key": *key.SecretAccessKey, "security_token": nil},
	}, nil
}

// userName is the default of username_template ("Configure root credentials" in
// the HTTP API of Vault's AWS secrets engine).
func userName(displayName, role string, now time.Time) string {
	name := fmt.Sprintf("vault-%s-%d-%s", cut(normalized(displayName+"-"+role), 42), now.Unix(), rand.Text()[:20])
	return cut(name, 64)
}

func cut(s string, limit int) string { return s[:min(len(s), limit)] }

// normalized replaces what a name of IAM cannot hold.
func normalized(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("+=,.@_-", c):
			return c
		default:
			return '-'
		}
	}, s)
}

// createUser makes the calls of Vault's AWS engine in its order.
func (s *Server) createUser(ctx context.Context, name string, role AWSRole) (*types.AccessKey, error) {
	if _, err := s.cfg.IAM.CreateUser(ctx, &iam.CreateUserInput{UserName: &name, Path: &role.UserPath}); err != nil {
		return nil, err
	}
	for _, policy := range role.PolicyARNs {
		if _, err := s.cfg.IAM.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &name, PolicyArn: &policy}); err != nil {
			return nil, err
		}
	}
	for _, group := range role.Groups {
		if _, err := s.cfg.IAM.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: &name, GroupName: &group}); err != nil {
			return nil, err
		}
	}
	if len(role.Tags) > 0 {
		var tags []types.Tag
		for _, key := range slices.Sorted(maps.Keys(role.Tags)) {
			tags = append(tags, types.Tag{Key: &key, Value: aws.String(role.Tags[key])})
		}
		if _, err := s.cfg.IAM.TagUser(ctx, &iam.TagUserInput{UserName: &name, Tags: tags}); err != nil {
			return nil, err
		}
	}
	made, err := s.cfg.IAM.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return nil, err
	}
	return made.AccessKey, nil
}

// deleteUser takes away all that hangs on the user, then the user. One that is
// gone already is no error.
func (s *Server) deleteUser(ctx context.Context, name string) error {
	for _, step := range []func(context.Context, string) error{s.leaveGroups, s.deleteKeys, s.detachPolicies} {
		if err := step(ctx, name); err != nil {
			return unlessGone(err)
		}
	}
	_, err := s.cfg.IAM.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &name})
	return unlessGone(err)
}

func unlessGone(err error) error {
	if _, gone := errors.AsType[*types.NoSuchEntityException](err); gone {
		return nil
	}
	return err
}

func (s *Server) leaveGroups(ctx context.Context, name string) error {
	groups, err := s.cfg.IAM.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: &name})
	if err != nil {
		return err
	}
	for _, g := range groups.Groups {
		if _, err := s.cfg.IAM.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{UserName: &name, GroupName: g.GroupName}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) deleteKeys(ctx context.Context, name string) error {
	keys, err := s.cfg.IAM.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &name})
	if err != nil {
		return err
	}
	for _, k := range keys.AccessKeyMetadata {
		if _, err := s.cfg.IAM.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &name, AccessKeyId: k.AccessKeyId}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) detachPolicies(ctx context.Context, name string) error {
	attached, err := s.cfg.IAM.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: &name})
	if err != nil {
		return err
	}
	for _, p := range attached.AttachedPolicies {
		if _, err := s.cfg.IAM.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: &name, PolicyArn: p.PolicyArn}); err != nil {
			return err
		}
	}
	return nil
}
