package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
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

// vaultName is a name as Vault's AWS engine makes them: who asked, when,
// something random (username_template in Vault's documentation of aws/config/root).
func vaultName(who string) string {
	return fmt.Sprintf("vault-%s-%d-%s", who, time.Now().Unix(), rand.Text()[:20])
}

// issue does what Vault's AWS engine does for `vault read aws/creds/jane`, and
// uses the access key that comes out.
func (w *world) issue(ctx context.Context, name string) (arn string, err error) {
	if arn, err = w.createUser(ctx, name); err != nil {
		return "", err
	}
	if _, err := w.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{
		UserName: &name, PolicyArn: aws.String(iamPolicy),
	}); err != nil {
		return "", err
	}
	if _, err := w.iam.AddUserToGroup(ctx, &iam.AddUserToGroupInput{
		UserName: &name, GroupName: aws.String(iamGroup),
	}); err != nil {
		return "", err
	}
	key, err := w.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return "", err
	}
	asUser := sts.NewFromConfig(w.emulator.configWith(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey))
	who, err := asUser.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("using the new access key: %w", err)
	}
	if *who.Arn != arn {
		return "", fmt.Errorf("the new access key belongs to %s, not to %s", *who.Arn, arn)
	}
	return arn, nil
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
