package execplugin

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// signer is who signs a token, and for which endpoint of STS.
type signer struct {
	credentials     ekstoken.Credentials
	region          string
	fips, dualStack bool
	// sources are where the credentials began, before roles were assumed;
	// empty for the environment.
	sources []aws.CredentialSource
}

// lasting tells whether a token of this signer may be cached: no if the
// credentials come from where they could change without a change of the
// cache's key, and no if it is unknown when they expire.
func (s signer) lasting() bool {
	if s.credentials.SessionToken != "" && s.credentials.Expires.IsZero() {
		return false
	}
	return !slices.ContainsFunc(s.sources, func(source aws.CredentialSource) bool {
		switch source {
		case aws.CredentialSourceProcess, aws.CredentialSourceProfileProcess,
			aws.CredentialSourceIMDS, aws.CredentialSourceHTTP, aws.CredentialSourceProfileSTSWebIDToken:
			return true
		}
		return false
	})
}

func (c Config) signer(ctx context.Context) (signer, error) {
	if s, ok := c.fromEnvironment(); ok {
		return s, nil
	}
	return c.fromSDK(ctx)
}

// fromEnvironment reads keys from the environment where the SDK would come to
// the same result, because reading its files would take most of the run's time.
func (c Config) fromEnvironment() (signer, bool) {
	if c.Options.Profile != "" || c.Options.RoleARN != "" {
		return signer{}, false
	}
	id := cmp.Or(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_ACCESS_KEY"))
	secret := cmp.Or(os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SECRET_KEY"))
	if id == "" || secret == "" {
		return signer{}, false
	}
	region := cmp.Or(c.Options.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if region == "" {
		if hasFiles() {
			return signer{}, false
		}
		region = lastRegion
	}
	return signer{
		region:    region,
		fips:      strings.EqualFold(os.Getenv("AWS_USE_FIPS_ENDPOINT"), "true"),
		dualStack: strings.EqualFold(os.Getenv("AWS_USE_DUALSTACK_ENDPOINT"), "true"),
		credentials: ekstoken.Credentials{
			AccessKeyID:     id,
			SecretAccessKey: secret,
			SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
			Expires:         environmentExpiry(),
		},
	}, true
}

// environmentExpiry is what `aws configure export-credentials` and aws-vault
// say about the session keys they put into the environment.
func environmentExpiry() time.Time {
	if os.Getenv("AWS_SESSION_TOKEN") == "" {
		return time.Time{}
	}
	expires, err := time.Parse(time.RFC3339, os.Getenv("AWS_CREDENTIAL_EXPIRATION"))
	if err != nil {
		return time.Time{}
	}
	return expires
}

// hasFiles tells whether there is a file that could name a region.
func hasFiles() bool {
	for _, file := range sharedFiles() {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}
