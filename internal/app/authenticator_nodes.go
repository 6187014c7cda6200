package app

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/nodenames"
)

// nodeNames looks instances up in the server's own region, with its own
// credentials or those of the role that the configuration names.
func nodeNames(s authnconfig.Server, account aws.Config, called func()) *nodenames.Finder {
	c := nodenames.Config{
		Endpoint: ec2Endpoint(s.Partition, account), Region: account.Region, Credentials: account.Credentials,
		Limiter: flowcontrol.NewTokenBucketRateLimiter(float32(s.QPS), s.Burst),
		Now:     time.Now, Called: called,
	}
	if s.EC2.RoleARN != "" {
		c.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sourced(s.SourceARN, account), s.EC2.RoleARN))
	}
	return nodenames.New(c)
}

func ec2Endpoint(partition string, account aws.Config) string {
	if account.BaseEndpoint != nil {
		return strings.TrimSuffix(*account.BaseEndpoint, "/")
	}
	suffix := map[string]string{
		"aws-cn": "amazonaws.com.cn", "aws-iso": "c2s.ic.gov", "aws-iso-b": "sc2s.sgov.gov",
		"aws-iso-e": "cloud.adc-e.uk", "aws-iso-f": "csp.hci.ic.gov", "aws-eusc": "amazonaws.eu",
	}[partition]
	if suffix == "" {
		suffix = "amazonaws.com"
	}
	return "https://ec2." + account.Region + "." + suffix
}

// sourced is a client of STS that tells for whom it assumes a role (IAM user
// guide, the confused deputy problem), if source says so.
func sourced(source string, account aws.Config) *sts.Client {
	return sts.NewFromConfig(account, func(o *sts.Options) {
		if source == "" {
			return
		}
		headers := []func(*middleware.Stack) error{smithyhttp.AddHeaderValue("x-amz-source-arn", source)}
		if parts := strings.Split(source, ":"); len(parts) > 5 { // any ARN, also of a cluster
			headers = append(headers, smithyhttp.AddHeaderValue("x-amz-source-account", parts[4]))
		}
		o.APIOptions = append(o.APIOptions, headers...)
	})
}
