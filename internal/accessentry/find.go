package accessentry

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Existing is an access entry as it stands in the cluster, whosever it is.
type Existing struct {
	ARN      string // the principal's
	Type     string // STANDARD, EC2_LINUX ...
	Username string
	Groups   []string
	Policies []Policy
	// Owner is the value of OwnerTag, empty for none. Ours: it is ours by type
	// and tag; the record has to say so, too.
	Owner string
	Ours  bool
	Made  time.Time
}

// Digest is the digest of what the entry says, as Entry.Digest.
func (x Existing) Digest() string {
	e := Entry{ARN: x.ARN, Username: x.Username, Groups: x.Groups}
	for _, p := range x.Policies {
		e.Admin = e.Admin || p.Equal(e.adminPolicy())
	}
	return e.Digest()
}

// Find reads the entries whose principals' ARNs match.
func (c *Cluster) Find(ctx context.Context, match func(principalARN string) bool) ([]Existing, error) {
	listed, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	var found []Existing
	for _, principal := range listed {
		if !match(principal) {
			continue
		}
		entry, seen, err := c.describe(ctx, principal)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		x := Existing{
			ARN: principal, Type: aws.ToString(entry.Type), Username: aws.ToString(entry.Username), Groups: entry.KubernetesGroups,
			Owner: entry.Tags[OwnerTag], Ours: seen.Ours, Made: seen.Made, Policies: seen.Extra.Policies,
		}
		if seen.Digest != rules.ContentDigest(x.Username, x.Groups) {
			x.Policies = append([]Policy{{ARN: policyARN(principal)}}, x.Policies...)
		}
		found = append(found, x)
	}
	return found, nil
}
