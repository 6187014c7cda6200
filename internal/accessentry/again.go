package accessentry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/smithy-go"
)

const (
	// pinLag is how long EKS may take the principal that is gone for the one that
	// was made again, and how far their clocks may differ.
	pinLag = time.Minute
	// againEvery is how old a close look at an entry may be whose principal seems
	// to be another one by now, againAtOnce how many there are in one Look.
	againEvery  = time.Minute
	againAtOnce = 200
)

// Extra is what others put on an entry of ours. An entry that is made again gets
// it back.
type Extra struct {
	Policies []Policy          `json:"policies,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// Policy is an access policy that is associated with an entry.
type Policy struct {
	ARN string `json:"arn"`
	// Namespaces are those that it is for; none: the whole cluster.
	Namespaces []string `json:"namespaces,omitempty"`
}

// Equal reports whether two policies say the same.
func (p Policy) Equal(other Policy) bool {
	return p.ARN == other.ARN && slices.Equal(slices.Sorted(slices.Values(p.Namespaces)), slices.Sorted(slices.Values(other.Namespaces)))
}

// IsZero reports whether there is nothing.
func (x Extra) IsZero() bool { return len(x.Policies)+len(x.Tags) == 0 }

// Equal reports whether two say the same.
func (x Extra) Equal(other Extra) bool { return x.without(other).IsZero() && other.without(x).IsZero() }

// without is what x has and other has not.
func (x Extra) without(other Extra) Extra {
	var left Extra
	for _, p := range x.Policies {
		if !slices.ContainsFunc(other.Policies, p.Equal) {
			left.Policies = append(left.Policies, p)
		}
	}
	for key, value := range x.Tags {
		if was, there := other.Tags[key]; there && was == value {
			continue
		}
		if left.Tags == nil {
			left.Tags = map[string]string{}
		}
		left.Tags[key] = value
	}
	return left
}

// beside is what x has where other has nothing at all.
func (x Extra) beside(other Extra) Extra {
	left := Extra{Policies: slices.DeleteFunc(slices.Clone(x.Policies), func(p Policy) bool {
		return slices.ContainsFunc(other.Policies, func(theirs Policy) bool { return theirs.ARN == p.ARN })
	}), Tags: maps.Clone(x.Tags)}
	maps.DeleteFunc(left.Tags, func(key, _ string) bool {
		_, there := other.Tags[key]
		return there
	})
	return left
}

// and is both, x's where they differ.
func (x Extra) and(other Extra) Extra {
	both := Extra{Policies: slices.Clone(x.Policies), Tags: maps.Clone(other.Tags)}
	for _, p := range other.Policies {
		if !slices.ContainsFunc(x.Policies, func(mine Policy) bool { return mine.ARN == p.ARN }) {
			both.Policies = append(both.Policies, p)
		}
	}
	if both.Tags == nil {
		both.Tags = map[string]string{}
	}
	maps.Copy(both.Tags, x.Tags)
	return both
}

// theirTags are the tags that others put on an entry and can put there: AWS
// keeps those that begin with aws: to itself.
func theirTags(tags map[string]string) map[string]string {
	theirs := map[string]string{}
	for key, value := range tags {
		if key != OwnerTag && !strings.HasPrefix(strings.ToLower(key), "aws:") {
			theirs[key] = value
		}
	}
	return theirs
}

// otherID reports whether the record was made for a principal with another
// unique id. A listing that is behind shows that, too.
func otherID(o Owned, e Entry) bool { return o.ID != "" && e.ID != "" && o.ID != e.ID }

// madeAgain reports whether an entry that stands there was made for an earlier
// principal of the name: the present one is younger than the entry.
func madeAgain(o Owned, e Entry, seen Seen) bool {
	if seen.Made.IsZero() {
		return false // EKS does not say when it was made
	}
	if !o.Replaces.IsZero() && !o.Replaces.Equal(seen.Made) {
		return e.Made.After(seen.Made) // it was, by a process that could not tell any more
	}
	return e.Made.After(seen.Made) || otherID(o, e) && e.Made.After(seen.Made.Add(-pinLag))
}

// owed is what is still to be put on the entry that stands there. What stands in
// the one to be replaced is all that others want on it.
func (o Owned) owed(seen Seen) Extra {
	if o.Replaces.Equal(seen.Made) {
		return Extra{}
	}
	return o.Extra.beside(seen.Extra)
}

// again plans that an entry is made again, with what others put on it on record
// before it is deleted. One that is half made gets what it is owed first.
func (d *decider) again(e Entry, before Owned, seen Seen) {
	d.change(&d.plan.Recreate, e)
	owned := d.kept[e.Key()]
	owned.ID = before.ID // until it is made again
	if before.owed(seen).IsZero() {
		owned.Extra, owned.Replaces = seen.Extra, seen.Made
	}
	d.kept[e.Key()] = owned
}

func (c *Cluster) recreate(ctx context.Context, j *job) (outcome, error) {
	entry, seen, is, err := c.confirm(ctx, j)
	switch {
	case is == gone:
		return c.create(ctx, j)
	case is != done:
		return is, err
	case !madeAgain(j.recorded, j.entry, seen):
		return c.correct(ctx, j, standing{entry, seen})
	}
	if owed := j.recorded.owed(seen); !owed.IsZero() {
		j.recorded.Extra = owed
		if is, err := c.putBack(ctx, j, entry.AccessEntryArn, &j.recorded.Extra); is != done {
			return is, err
		}
		seen.Extra = seen.Extra.and(owed)
	}
	if !c.onRecord(j, seen) {
		return undone, nil
	}
	if !seen.Extra.IsZero() {
		// Whether it can be put back shows on the old entry, which has it already.
		if is, err := c.putBack(ctx, j, entry.AccessEntryArn, &seen.Extra); is != done {
			return is, err
		}
		// That took a while, in which others may have changed it.
		if _, seen, is, err = c.confirm(ctx, j); is == notOurs || err != nil {
			return is, err
		}
		if is == done && !c.onRecord(j, seen) {
			return undone, nil
		}
	}
	if is, err := c.erase(ctx, j); is != gone {
		return is, err
	}
	c.mu.Lock()
	c.drop(j.entry.Key())
	c.mu.Unlock()
	return c.create(ctx, j)
}

// onRecord reports whether the entry that is to be deleted is on record as it
// stands there. If not it is put there, for the next pass to go on with.
func (c *Cluster) onRecord(j *job, seen Seen) bool {
	if seen.Extra.Equal(j.recorded.Extra) && seen.Made.Equal(j.recorded.Replaces) {
		return true
	}
	j.recorded.Extra, j.recorded.Replaces = seen.Extra, seen.Made
	c.mu.Lock()
	c.saw(j.entry.Key(), seen)
	c.mu.Unlock()
	c.again.Store(true)
	return false
}

// putBack puts on an entry what others had put on the one before it. x is what
// is left to do.
func (c *Cluster) putBack(ctx context.Context, j *job, entryARN *string, x *Extra) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	if len(x.Tags) > 0 {
		if _, err := c.EKS.TagResource(ctx, &eks.TagResourceInput{ResourceArn: entryARN, Tags: x.Tags}); err != nil {
			return sortPutBack("tags", failed("tag an access entry", err))
		}
		x.Tags = nil
	}
	for ; len(x.Policies) > 0; x.Policies = x.Policies[1:] {
		p := x.Policies[0]
		if j.entry.Admin && p.ARN == j.entry.PolicyARN() {
			continue // ours is for the whole cluster
		}
		if err := c.associate(ctx, j.entry.ARN, p); err != nil {
			return sortPutBack(p.ARN, err)
		}
	}
	return done, nil
}

// sortPutBack tells what waiting does not mend from trouble with EKS.
func sortPutBack(what string, err error) (outcome, error) {
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && (strings.HasPrefix(api.ErrorCode(), "AccessDenied") || api.ErrorCode() == "InvalidParameterException") {
		return refused, fmt.Errorf("the one that is there was made for an earlier principal of that name, and what others put on it (%s) cannot be put on a new one: %w", what, err)
	}
	return undone, err
}

// policies are the access policies that are associated with an entry.
func (c *Cluster) policies(ctx context.Context, principal string) ([]Policy, error) {
	var list []Policy
	in := &eks.ListAssociatedAccessPoliciesInput{ClusterName: &c.Name, PrincipalArn: &principal}
	for p := eks.NewListAssociatedAccessPoliciesPaginator(c.EKS, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, failed("read the access policies of an entry", err)
		}
		for _, a := range page.AssociatedAccessPolicies {
			policy := Policy{ARN: aws.ToString(a.PolicyArn)}
			if a.AccessScope != nil && a.AccessScope.Type == types.AccessScopeTypeNamespace {
				policy.Namespaces = a.AccessScope.Namespaces
			}
			list = append(list, policy)
		}
	}
	return list, nil
}

// scope is the policy's as EKS says it.
func (p Policy) scope() *types.AccessScope {
	if len(p.Namespaces) == 0 {
		return &types.AccessScope{Type: types.AccessScopeTypeCluster}
	}
	return &types.AccessScope{Type: types.AccessScopeTypeNamespace, Namespaces: p.Namespaces}
}
