package app

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go"
)

// errNoCredentials is all that the SDK says in many words when nothing tells it
// who we are. What it says is not wrapped: others would look for the reason of
// a call in it.
var errNoCredentials = errors.New("none found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
	"or give the pod a role, as deploy/iam/README.md says")

// hinting has credentials say what to set where there are none.
type hinting struct{ aws.CredentialsProvider }

// Retrieve gives the credentials. The instance metadata is the last place that
// the SDK looks at.
func (h hinting) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := h.CredentialsProvider.Retrieve(ctx)
	if op, ok := errors.AsType[*smithy.OperationError](err); ok && op.ServiceID == imds.ServiceID {
		return c, errNoCredentials
	}
	return c, err
}
