package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

// RESTConfig is how to reach the cluster: --kubeconfig, the pod's own cluster,
// or what kubectl would use.
func (t *Target) RESTConfig() (*rest.Config, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = t.Kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to work with: %w", withoutCluster(loading, err))
	}
	return present(c), nil
}

// withoutCluster says which kubeconfig is to blame, and the way out. Those in
// $KUBECONFIG may be missing, so client-go says nothing of them.
func withoutCluster(loading *clientcmd.ClientConfigLoadingRules, err error) error {
	missing := func(name string) bool {
		_, err := os.Stat(name)
		return errors.Is(err, fs.ErrNotExist)
	}
	named := os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	switch {
	case loading.ExplicitPath != "" && missing(loading.ExplicitPath):
		return fmt.Errorf("--kubeconfig names %s, which does not exist; correct it, or leave it out for what kubectl would use", loading.ExplicitPath)
	case !clientcmd.IsEmptyConfig(err):
		return fmt.Errorf("%w; correct it, or give another file with --kubeconfig", err)
	case loading.ExplicitPath != "":
		return fmt.Errorf("%s, which --kubeconfig names, has no current context; choose one with: kubectl config use-context NAME", loading.ExplicitPath)
	case named == "":
		return fmt.Errorf("KUBECONFIG is not set, and %s does not exist or has no current context; run in a pod or give --kubeconfig", clientcmd.RecommendedHomeFile)
	case !slices.ContainsFunc(filepath.SplitList(named), func(name string) bool { return !missing(name) }):
		return fmt.Errorf("KUBECONFIG is %s, which does not exist; correct it, unset it, or give --kubeconfig", named)
	}
	return fmt.Errorf("no file in KUBECONFIG, which is %s, has a current context; choose one with: kubectl config use-context NAME", named)
}

// client is the client for the core API group of the cluster.
func (t *Target) client() (corev1client.CoreV1Interface, error) {
	cluster, err := t.RESTConfig()
	if err != nil {
		return nil, err
	}
	core, err := corev1client.NewForConfig(cluster)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	return core, nil
}

// present sets what all our requests to an API server have in common.
func present(c *rest.Config) *rest.Config {
	c.UserAgent = "aws-auth-refresher/" + version
	// An aws-auth of 1 MiB costs a fraction of the memory in this encoding.
	c.ContentType = runtime.ContentTypeProtobuf
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return c
}

// AWSConfig is the SDK's default configuration, with more patience for
// throttling. Without a region it asks the instance metadata, for a second,
// and then settles for us-east-1, which is right for the partition aws: IAM
// has one endpoint a partition.
func AWSConfig(ctx context.Context, log logr.Logger) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithLogger(sdkLogger{log}), config.WithRetryer(func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 6
			o.MaxBackoff = 5 * time.Second
		})
	}))
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	c.HTTPClient = principals.WholeBodies(c.HTTPClient)
	c.Credentials = hinting{c.Credentials}
	if c.Region == "" {
		c.Region = instanceRegion(ctx, c)
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	return c, nil
}

// ownAWSConfig is the SDK's configuration with a region, or "" for the one that
// this program runs in; empty if nothing tells it.
func ownAWSConfig(ctx context.Context, region string, log logr.Logger) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithLogger(sdkLogger{log}), config.WithRegion(region))
	if err != nil {
		return c, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if c.Region == "" {
		c.Region = instanceRegion(ctx, c)
	}
	return c, nil
}

// sdkLogger passes on what the SDK would print on standard error: it speaks of
// its ways to credentials and endpoints, which is for debugging.
type sdkLogger struct{ to logr.Logger }

// Logf logs one message.
func (l sdkLogger) Logf(kind logging.Classification, format string, args ...any) {
	l.to.V(1).Info("the AWS SDK says", "kind", string(kind), "message", fmt.Sprintf(format, args...))
}

// instanceRegion asks the instance metadata, for a second; empty if it does not
// tell.
func instanceRegion(ctx context.Context, c aws.Config) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	out, err := imds.NewFromConfig(c).GetRegion(ctx, &imds.GetRegionInput{})
	if err != nil {
		return ""
	}
	return out.Region
}
