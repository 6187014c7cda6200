package principals

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go/middleware"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	// pageSize is the most that IAM gives in one page.
	pageSize = 1000
	// maxPages stops a listing that never ends. AWS may give fewer than
	// pageSize in a page, but an account has 5,000 users and 5,000 roles.
	maxPages = 1000
)

func (l *Lister) collectors(who caller) (users, roles *collector) {
	return &collector{kind: rules.User, who: who, head: who.head(rules.User), now: l.now},
		&collector{kind: rules.Role, who: who, head: who.head(rules.Role), now: l.now}
}

func (l *Lister) listUsers(ctx context.Context, s *Scope, c *collector) {
	if !s.Asked || s.Detailed {
		return
	}
	c.take(s, l.pages(ctx, s, func(ctx context.Context, marker *string) (truncated bool, next *string, err error) {
		out, err := l.iam.ListUsers(ctx, &iam.ListUsersInput{
			PathPrefix: &s.PathPrefix, MaxItems: aws.Int32(pageSize), Marker: marker,
		})
		if err != nil {
			return false, nil, err
		}
		c.compareClocks(out.ResultMetadata)
		for _, u := range out.Users {
			if err := c.add(rules.Principal{
				ARN: aws.ToString(u.Arn), Path: aws.ToString(u.Path), Name: aws.ToString(u.UserName),
				ID: aws.ToString(u.UserId), CreateDate: aws.ToTime(u.CreateDate),
			}); err != nil {
				return false, nil, err
			}
		}
		return out.IsTruncated, out.Marker, nil
	}))
}

func (l *Lister) listRoles(ctx context.Context, s *Scope, c *collector) {
	if !s.Asked || s.Detailed {
		return
	}
	c.take(s, l.pages(ctx, s, func(ctx context.Context, marker *string) (truncated bool, next *string, err error) {
		out, err := l.iam.ListRoles(ctx, &iam.ListRolesInput{
			PathPrefix: &s.PathPrefix, MaxItems: aws.Int32(pageSize), Marker: marker,
		})
		if err != nil {
			return false, nil, err
		}
		c.compareClocks(out.ResultMetadata)
		for _, r := range out.Roles {
			if err := c.add(rules.Principal{
				ARN: aws.ToString(r.Arn), Path: aws.ToString(r.Path), Name: aws.ToString(r.RoleName),
				ID: aws.ToString(r.RoleId), CreateDate: aws.ToTime(r.CreateDate),
			}); err != nil {
				return false, nil, err
			}
		}
		return out.IsTruncated, out.Marker, nil
	}))
}

// fetchPage gets the page after marker, nil for the first, and takes in what is
// on it.
type fetchPage func(ctx context.Context, marker *string) (truncated bool, next *string, err error)

func (l *Lister) pages(ctx context.Context, s *Scope, fetch fetchPage) error {
	seen := map[string]bool{}
	for marker := (*string)(nil); ; {
		s.Calls++
		truncated, next, err := l.fetch(ctx, marker, fetch)
		switch {
		case err != nil:
			return err
		case !truncated:
			return nil
		case aws.ToString(next) == "":
			return fmt.Errorf("%w: page %d is not the last but names no next", ErrBrokenListing, s.Calls)
		case seen[*next]:
			return fmt.Errorf("%w: page %d leads back to an earlier one", ErrBrokenListing, s.Calls)
		case s.Calls == maxPages:
			return fmt.Errorf("%w: no end after %d pages", ErrBrokenListing, maxPages)
		}
		seen[*next], marker = true, next
	}
}

func (l *Lister) fetch(ctx context.Context, marker *string, fetch fetchPage) (truncated bool, next *string, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return fetch(ctx, marker)
}

// collector takes in the principals of one kind.
type collector struct {
	kind  rules.Kind
	who   caller
	head  string // what their ARNs begin with, up to the path
	found []rules.Principal

	now       func() time.Time
	skew      time.Duration // how far AWS's clock is ahead of ours
	skewKnown bool
}

// take ends a listing: what was found is all of it, or nothing.
func (c *collector) take(s *Scope, err error) {
	if err != nil {
		s.fail(stable(fmt.Sprintf("list %ss under %s", c.kind, s.PathPrefix), err))
		c.found = nil
		return
	}
	s.Complete = true
}

// compareClocks notes what the Date header of an answer says.
func (c *collector) compareClocks(answer middleware.Metadata) {
	if at, ok := awsmiddleware.GetServerTime(answer); ok {
		c.skew, c.skewKnown = at.Sub(c.now()), true
	}
}

// add takes in one principal if it is of our account. Path and name are cut
// out of the ARN, so that a listing holds each text once.
func (c *collector) add(p rules.Principal) error {
	rest, ok := strings.CutPrefix(p.ARN, c.head)
	if !ok {
		return fmt.Errorf("%w: %q in a listing of account %s", ErrOtherAccount, p.ARN, c.who.account)
	}
	if name, ok := strings.CutPrefix(rest, p.Path); !ok || name != p.Name || p.Path == "" || p.Name == "" {
		return fmt.Errorf("%w: ARN %q is not that of %s%s", ErrBrokenListing, p.ARN, p.Path, p.Name)
	}
	p.Kind, p.AccountID = c.kind, c.who.account
	p.Path, p.Name = rest[:len(p.Path)], rest[len(p.Path):]
	c.found = append(c.found, p)
	return nil
}
