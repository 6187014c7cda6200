package accessentry

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
)

// Make creates an entry that is nobody's but the caller's: it does not carry our
// tag. It reports false if there is one for the principal already, which stays
// as it is.
func (c *Cluster) Make(ctx context.Context, e Entry) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	_, err = c.EKS.CreateAccessEntry(ctx, &eks.CreateAccessEntryInput{
		ClusterName: &c.Name, PrincipalArn: &e.ARN, Type: aws.String(standard),
		Username: &e.Username, KubernetesGroups: groupsOf(e),
	})
	if _, taken := errors.AsType[*types.ResourceInUseException](err); taken {
		return false, nil
	}
	if err != nil {
		_, err = sortError(failed("create an access entry", err))
		return false, err
	}
	if !e.Admin {
		return true, nil
	}
	if err := c.associate(ctx, e.ARN, e.adminPolicy()); err != nil {
		return true, fmt.Errorf("the entry is made, but without its access policy: %w", err)
	}
	return true, nil
}

// PolicyARN is the ARN of the access policy that an entry with Admin has.
func (e Entry) PolicyARN() string { return policyARN(e.ARN) }

func (e Entry) adminPolicy() Policy { return Policy{ARN: e.PolicyARN()} }
