package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

const (
	iamGroup  = "developers"
	iamPolicy = "arn:aws:iam::aws:policy/ReadOnlyAccess"
)

// createUser makes an IAM user and returns its ARN.
func (w *world) createUser(ctx context.Context, name string) (arn string, err error) {
	user, err := w.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: &name})
	if err != nil {
		return "", err
	}
	w.made = append(w.made, *user.User.Arn)
	return *user.User.Arn, nil
}

// ensureGroup makes the IAM group that Vault puts users into.
func (w *world) ensureGroup(ctx context.Context) error {
	_, err := w.iam.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String(iamGroup)})
	if _, exists := errors.AsType[*types.EntityAlreadyExistsException](err); exists {
		return nil
	}
	return err
}

// vaultName is a name as Vault's AWS engine makes them: who asked, when,
// something random (username_template in Vault's documentation of aws/config/root).
func vaultName(who string) string {
	return fmt.Sprintf("vault-%s-%d-%s", who, time.Now().Unix(), rand.Text()[:20])
}

// issue does what Vault's AWS engine does for `vault read aws/creds/jane`, and
// uses the access key that comes out.
func (w *world) issue(ctx context.Context, name string) (bearer, error) {
	arn, err := w.createUser(ctx, name)
	if err != nil {
		return bearer{}, err
	}
	if _, err := w.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{
		UserName: &name, PolicyArn: aws.String(iamPolicy),
	}); err != nil {
		return bearer{}, err
	}
	if _, err := w.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{
		UserName: &name, GroupName: aws.String(iamGroup),
	}); err != nil {
		return bearer{}, err
	}
	b, err := w.createKey(ctx, name)
	if err != nil {
		return bearer{}, err
	}
	who, err := w.whoIs(ctx, b)
	if err != nil {
		return bearer{}, fmt.Errorf("using the new access key: %w", err)
	}
	if who != arn {
		return bearer{}, fmt.Errorf("the new access key belongs to %s, not to %s", who, arn)
	}
	b.arn = arn
	return b, nil
}

// createKey makes an access key for an IAM user.
func (w *world) createKey(ctx context.Context, name string) (bearer, error) {
	made, err := w.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return bearer{}, err
	}
	return bearer{name: name, key: ekstoken.Credentials{
		AccessKeyID: *made.AccessKey.AccessKeyId, SecretAccessKey: *made.AccessKey.SecretAccessKey,
	}}, nil
}

// whoIs is the ARN that STS knows the key by.
func (w *world) whoIs(ctx context.Context, b bearer) (string, error) {
	client := sts.NewFromConfig(w.emulator.configWith(b.key.AccessKeyID, b.key.SecretAccessKey))
	who, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *who.Arn, nil
}

// revoke does what Vault's AWS engine does at the end of a lease.
func (w *world) revoke(ctx context.Context, name string) error {
	keys, err := w.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &name})
	if err != nil {
		return err
	}
	for _, key := range keys.AccessKeyMetadata {
		if _, err := w.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{
			UserName: &name, AccessKeyId: key.AccessKeyId,
		}); err != nil {
			return err
		}
	}
	if _, err := w.iam.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{
		UserName: &name, PolicyArn: aws.String(iamPolicy),
	}); err != nil {
		return err
	}
	if _, err := w.iam.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{
		UserName: &name, GroupName: aws.String(iamGroup),
	}); err != nil {
		return err
	}
	_, err = w.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &name})
	return err
}
