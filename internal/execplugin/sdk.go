package execplugin

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// lastRegion is whose STS is used if nothing says another.
const lastRegion = "us-east-1"

const (
	// callTimeout bounds each request to AWS.
	callTimeout = 10 * time.Second
	// metadataTimeout bounds the look for an instance's metadata, which answers
	// within milliseconds or is not there.
	metadataTimeout = 2 * time.Second
)

// fromSDK finds credentials as all AWS tools do.
func (c Config) fromSDK(ctx context.Context) (signer, error) {
	cfg, err := c.load(ctx)
	if err != nil {
		return signer{}, err
	}
	configured := cfg.Region != ""
	if !configured {
		// Providers keep the configuration they were made with, so it has to
		// hold a region from the beginning.
		if cfg, err = c.load(ctx, config.WithDefaultRegion(partitionRegion(c.Options.RoleARN))); err != nil {
			return signer{}, err
		}
	}
	s := signer{region: cfg.Region, sources: sourcesOf(cfg.Credentials)}
	s.fips, s.dualStack = endpoints(ctx, cfg)
	if err := c.retrieve(ctx, cfg, &s); err != nil {
		return signer{}, err
	}
	if !configured && c.Options.RoleARN == "" && slices.Contains(s.sources, aws.CredentialSourceIMDS) {
		s.region = cmp.Or(instanceRegion(ctx, cfg), cfg.Region)
	}
	return s, nil
}

// load reads the SDK's configuration.
func (c Config) load(ctx context.Context, more ...func(*config.LoadOptions) error) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, append(more,
		config.WithRegion(c.Options.Region),
		config.WithSharedConfigProfile(c.Options.Profile),
		config.WithLogger(logging.Nop{}), // its warnings would stand between the user and kubectl's output
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(callTimeout)),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) { o.TokenProvider = c.askCode }),
	)...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	return cfg, nil
}

// askCode asks for the code of an MFA device: on c.Err, because kubectl reads
// what is printed.
func (c Config) askCode() (string, error) {
	fmt.Fprint(c.Err, "MFA code: ")
	line, err := bufio.NewReader(c.In).ReadString('\n')
	if code := strings.TrimSpace(line); code != "" {
		return code, nil
	}
	return "", fmt.Errorf("the profile asks for an MFA code, and nobody gave one: %w", cmp.Or(err, errors.New("the line is empty")))
}

// retrieve gets the credentials, those of the role if there is one.
func (c Config) retrieve(ctx context.Context, cfg aws.Config, s *signer) error {
	found, err := present(ctx, cfg, s.sources)
	if err != nil {
		return err
	}
	if c.Options.RoleARN != "" {
		if found, err = c.assume(ctx, cfg); err != nil {
			return err
		}
	}
	s.credentials = ekstoken.Credentials{
		AccessKeyID:     found.AccessKeyID,
		SecretAccessKey: found.SecretAccessKey,
		SessionToken:    found.SessionToken,
	}
	switch {
	case found.CanExpire:
		s.credentials.Expires = found.Expires
	case slices.Equal(s.sources, []aws.CredentialSource{aws.CredentialSourceEnvVars}):
		s.credentials.Expires = environmentExpiry()
	}
	return nil
}

// present gets the credentials as they are configured.
func present(ctx context.Context, cfg aws.Config, sources []aws.CredentialSource) (aws.Credentials, error) {
	// The instance's role is tried when nothing else is configured.
	lastResort := slices.Equal(sources, []aws.CredentialSource{aws.CredentialSourceIMDS})
	if lastResort {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, metadataTimeout)
		defer cancel()
	}
	found, err := cfg.Credentials.Retrieve(ctx)
	switch {
	case err != nil && lastResort:
		return aws.Credentials{}, fmt.Errorf("no AWS credentials: none in the environment, none in a profile, and no role of an EC2 instance: %w", err)
	case err != nil && slices.ContainsFunc(sources, fromSSO):
		return aws.Credentials{}, fmt.Errorf("getting AWS credentials: %w; log in with: aws sso login", plain(err))
	case err != nil:
		return aws.Credentials{}, fmt.Errorf("getting AWS credentials: %w", plain(err))
	}
	return found, nil
}

func fromSSO(source aws.CredentialSource) bool {
	return source == aws.CredentialSourceSSO || source == aws.CredentialSourceSSOLegacy ||
		source == aws.CredentialSourceProfileSSO || source == aws.CredentialSourceProfileSSOLegacy
}

// assume makes the credentials of a session of the role.
func (c Config) assume(ctx context.Context, cfg aws.Config) (aws.Credentials, error) {
	client := sts.NewFromConfig(cfg)
	name := c.Options.SessionName
	if c.Options.ForwardSessionName {
		present, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("asking for the name of the present session: %w", plain(err))
		}
		// Only sessions have a second part: AROA…:session
		_, name, _ = strings.Cut(aws.ToString(present.UserId), ":")
	}
	found, err := stscreds.NewAssumeRoleProvider(client, c.Options.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		if c.Options.ExternalID != "" {
			o.ExternalID = &c.Options.ExternalID
		}
		if name != "" {
			o.RoleSessionName = name
		}
	}).Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("assuming %s: %w", c.Options.RoleARN, plain(err))
	}
	return found, nil
}

// plain takes from the SDK's chain of errors what AWS answered, if it did.
func plain(err error) error {
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return answer
	}
	return err
}

// endpoints tells which variant of AWS's endpoints is configured; the SDK
// looks in the same places, the first that has an opinion wins.
func endpoints(ctx context.Context, cfg aws.Config) (fips, dualStack bool) {
	type fipsSource interface {
		GetUseFIPSEndpoint(ctx context.Context) (aws.FIPSEndpointState, bool, error)
	}
	type dualStackSource interface {
		GetUseDualStackEndpoint(ctx context.Context) (aws.DualStackEndpointState, bool, error)
	}
	var fipsFound, dualStackFound bool
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(fipsSource); ok && !fipsFound {
			state, found, err := s.GetUseFIPSEndpoint(ctx)
			fips, fipsFound = state == aws.FIPSEndpointStateEnabled, found && err == nil
		}
		if s, ok := source.(dualStackSource); ok && !dualStackFound {
			state, found, err := s.GetUseDualStackEndpoint(ctx)
			dualStack, dualStackFound = state == aws.DualStackEndpointStateEnabled, found && err == nil
		}
	}
	return fips, dualStack
}

func sourcesOf(p aws.CredentialsProvider) []aws.CredentialSource {
	if known, ok := p.(aws.CredentialProviderSource); ok {
		return known.ProviderSources()
	}
	return nil
}

// partitionRegion is the region to use for a role if none is configured: STS of
// one partition knows nothing of the others.
func partitionRegion(roleARN string) string {
	role, err := arn.Parse(roleARN)
	if err != nil {
		return lastRegion
	}
	switch role.Partition {
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	case "aws-iso":
		return "us-iso-east-1"
	case "aws-iso-b":
		return "us-isob-east-1"
	case "aws-iso-e":
		return "eu-isoe-west-1"
	case "aws-iso-f":
		return "us-isof-south-1"
	case "aws-eusc":
		return "eusc-de-east-1"
	}
	return lastRegion
}

// instanceRegion is the region of the EC2 instance this runs on, or "".
func instanceRegion(ctx context.Context, cfg aws.Config) string {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	out, err := imds.NewFromConfig(cfg).GetRegion(ctx, &imds.GetRegionInput{})
	if err != nil {
		return ""
	}
	return out.Region
}
