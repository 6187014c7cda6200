// Package webidentity turns a person's OIDC login into AWS credentials: STS's
// for a role, or an IAM user's that Vault makes.
//
// Credentials for a role serve only to say who one is: both ways of assuming it
// pass a session policy that denies everything, which GetCallerIdentity does
// not ask.
package webidentity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// Mode is how a role is assumed.
type Mode string

const (
	// WebIdentity hands the ID token to AWS, which verifies it and asks the
	// role's trust policy about it: AssumeRoleWithWebIdentity.
	WebIdentity Mode = "web-identity"
	// AssumeRole assumes the role with the program's own AWS identity, for issuers
	// that IAM does not know. AWS then does not check the person: who may take
	// which role is for the caller to decide before.
	AssumeRole Mode = "assume-role"
)

const (
	minDuration = 15 * time.Minute
	maxDuration = 12 * time.Hour
	// maxChained is the longest session that a role's session can begin.
	maxChained = time.Hour
	callTime   = 10 * time.Second
	// denyAll is the session policy.
	denyAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`
)

// STS is the part of AWS STS that is called; *sts.Client has it.
type STS interface {
	AssumeRoleWithWebIdentity(context.Context, *sts.AssumeRoleWithWebIdentityInput, ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error)
	AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// Config says how roles are assumed.
type Config struct {
	// Mode is WebIdentity if it is empty.
	Mode Mode
	// Region is the region whose STS is asked. Default: what the AWS SDK finds in
	// environment and files.
	Region string
	// Duration is how long credentials are to last, 15 minutes to 12 hours and at
	// most what the role allows. 0: STS's default, an hour.
	Duration time.Duration
	// ClusterName becomes the session tag "cluster" in AssumeRole mode, if set.
	ClusterName string
	// Tags are the claims that become session tags of the same name in AssumeRole
	// mode, all of them transitive. Default: email, iss and sub. A claim that is
	// absent, empty, a list or an object makes no tag.
	Tags []string
	// STS is called. Default: a client of the AWS SDK, configured as the SDK finds
	// in environment and files.
	STS STS
	// CallTimeout bounds one call with its retries. Default 10 seconds.
	CallTimeout time.Duration
}

// Person is somebody who has logged in. Everything in it was verified.
type Person struct {
	Issuer, Subject, Email string
	// IDToken is the raw ID token, needed in WebIdentity mode.
	IDToken string
	// Claims are those of the ID token.
	Claims map[string]any
}

// Credentials are AWS credentials.
type Credentials struct {
	AccessKeyID, SecretAccessKey string
	// SessionToken is empty for the key of an IAM user.
	SessionToken string
	Expires      time.Time
	// RoleSessionName is empty for the key of an IAM user.
	RoleSessionName string
}

// Assumer assumes roles. It is safe for concurrent use.
type Assumer struct {
	cfg Config
	sts STS
}

// New checks the configuration. It reads the SDK's environment and files if
// Config.STS is nil, and asks nothing of the network.
func New(cfg Config) (*Assumer, error) {
	if cfg.Mode == "" {
		cfg.Mode = WebIdentity
	}
	if cfg.Mode != WebIdentity && cfg.Mode != AssumeRole {
		return nil, fmt.Errorf("the mode %q is neither %s nor %s", cfg.Mode, WebIdentity, AssumeRole)
	}
	if cfg.Duration != 0 && (cfg.Duration < minDuration || cfg.Duration > maxDuration) {
		return nil, fmt.Errorf("a session of %s: AWS allows 15 minutes to 12 hours", cfg.Duration)
	}
	if cfg.Duration%time.Second != 0 {
		return nil, fmt.Errorf("a session of %s: AWS counts whole seconds", cfg.Duration)
	}
	if cfg.Tags == nil {
		cfg.Tags = []string{"email", "iss", "sub"}
	}
	if err := checkTags(cfg); err != nil {
		return nil, err
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = callTime
	}
	if cfg.STS == nil {
		client, err := newClient(cfg.Region)
		if err != nil {
			return nil, err
		}
		cfg.STS = client
	}
	return &Assumer{cfg: cfg, sts: cfg.STS}, nil
}

func newClient(region string) (*sts.Client, error) {
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithRegion(region))
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("no AWS region is set: set AWS_REGION or give the region")
	}
	return sts.NewFromConfig(cfg), nil
}

// CheckDuration asks AWS who the program itself is and refuses a session that
// AWS would not grant it: a role's session can begin only sessions of an hour.
// Without AssumeRole mode or a longer Duration it asks nothing.
func (a *Assumer) CheckDuration(ctx context.Context) error {
	if a.cfg.Mode != AssumeRole || a.cfg.Duration <= maxChained {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.CallTimeout)
	defer cancel()
	out, err := a.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("asking AWS who this program is: %w", sorted(err))
	}
	self, err := arn.Parse(aws.ToString(out.Arn))
	if err != nil {
		return err
	}
	if self.Type == "assumed-role" {
		return fmt.Errorf("this program runs as %s, and AWS lets one role's session begin another of at most an hour: a session of %s is not possible", self, a.cfg.Duration)
	}
	return nil
}

// Assume gets credentials for the role. Errors: *Denied if AWS says no for
// good, ErrExpiredLogin, ErrThrottled, ErrUnavailable.
func (a *Assumer) Assume(ctx context.Context, roleARN string, p Person) (Credentials, error) {
	if role, err := arn.Parse(roleARN); err != nil || role.Type != "role" {
		return Credentials{}, fmt.Errorf("%q is not the ARN of a role", roleARN)
	}
	if p.Email == "" {
		return Credentials{}, errors.New("without an email nobody assumes a role")
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.CallTimeout)
	defer cancel()
	name := RoleSessionName(p.Email)
	assume := a.withToken
	if a.cfg.Mode == AssumeRole {
		assume = a.withOwnIdentity
	}
	c, err := assume(ctx, request{roleARN, name, p})
	switch {
	case err != nil:
		return Credentials{}, fmt.Errorf("assuming %s: %w", roleARN, sorted(err))
	case c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil:
		return Credentials{}, fmt.Errorf("assuming %s: AWS answered without credentials: %w", roleARN, ErrUnavailable)
	}
	return Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		Expires: *c.Expiration, RoleSessionName: name,
	}, nil
}

// request is who is to have which role under which name.
type request struct {
	role, name string
	person     Person
}

func (a *Assumer) seconds() *int32 {
	if a.cfg.Duration == 0 {
		return nil
	}
	return aws.Int32(int32(a.cfg.Duration / time.Second))
}

func (a *Assumer) withToken(ctx context.Context, r request) (*types.Credentials, error) {
	out, err := a.sts.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &r.role, RoleSessionName: &r.name, WebIdentityToken: &r.person.IDToken,
		Policy: aws.String(denyAll), DurationSeconds: a.seconds(),
	}, withPatience)
	if err != nil {
		return nil, err
	}
	return out.Credentials, nil
}

func (a *Assumer) withOwnIdentity(ctx context.Context, r request) (*types.Credentials, error) {
	tags := a.tags(r.person)
	keys := make([]string, len(tags))
	for i, t := range tags {
		keys[i] = *t.Key
	}
	out, err := a.sts.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &r.role, RoleSessionName: &r.name, SourceIdentity: &r.name,
		Tags: tags, TransitiveTagKeys: keys,
		Policy: aws.String(denyAll), DurationSeconds: a.seconds(),
	})
	if err != nil {
		return nil, err
	}
	return out.Credentials, nil
}

// clusterTag is the key of the tag that names the cluster.
const clusterTag = "cluster"

func (a *Assumer) tags(p Person) []types.Tag {
	var tags []types.Tag
	add := func(key, value string) {
		if value != "" {
			tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(tagValue(value))})
		}
	}
	add(clusterTag, a.cfg.ClusterName)
	for _, claim := range a.cfg.Tags {
		add(claim, p.claim(claim))
	}
	return tags
}

// claim is a claim as text, empty if it is absent or no text, number or boolean.
func (p Person) claim(name string) string {
	switch name {
	case "email":
		return lower(p.Email)
	case "iss":
		return p.Issuer
	case "sub":
		return p.Subject
	}
	switch v := p.Claims[name].(type) {
	case nil, []any, map[string]any:
		return ""
	case float64:
		return formatNumber(v)
	default:
		return fmt.Sprint(v)
	}
}

func checkTags(cfg Config) error {
	seen := []string{}
	if cfg.ClusterName != "" {
		seen = append(seen, clusterTag)
	}
	for _, claim := range cfg.Tags {
		folded := lower(claim)
		switch {
		case claim == "" || len(claim) > 128 || tagKeyMisfit(claim):
			return fmt.Errorf("the claim %q cannot name a session tag: AWS takes 128 characters of letters, digits, spaces and _.:/=+-@", claim)
		case slices.Contains(seen, folded):
			return fmt.Errorf("the session tag %q is asked for twice", claim)
		}
		seen = append(seen, folded)
	}
	return nil
}
