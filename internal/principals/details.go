package principals

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// listDetails lists the kinds that are needed with their details, in one pass
// for both. It is the one listing that shows groups, tags and boundaries
// without a call for each principal; ListUsers and ListRoles leave them out.
func (l *Lister) listDetails(ctx context.Context, out *Listing, users, roles *collector) {
	var filter []types.EntityType
	counted, clock := &out.Users, users
	if out.Users.Detailed {
		filter = append(filter, types.EntityTypeUser)
	} else {
		counted, clock = &out.Roles, roles
	}
	if out.Roles.Detailed {
		filter = append(filter, types.EntityTypeRole)
	}
	if len(filter) == 0 {
		return
	}
	texts := interned{}
	err := l.pages(ctx, counted, func(ctx context.Context, marker *string) (truncated bool, next *string, err error) {
		page, err := l.iam.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{
			Filter: filter, MaxItems: aws.Int32(pageSize), Marker: marker,
		})
		if err != nil {
			return false, nil, err
		}
		clock.compareClocks(page.ResultMetadata)
		for i := range page.UserDetailList {
			if err := users.add(texts.user(&page.UserDetailList[i])); err != nil {
				return false, nil, err
			}
		}
		for i := range page.RoleDetailList {
			if err := roles.add(texts.role(&page.RoleDetailList[i])); err != nil {
				return false, nil, err
			}
		}
		return page.IsTruncated, page.Marker, nil
	})
	if out.Users.Detailed {
		users.take(&out.Users, err)
	}
	if out.Roles.Detailed {
		roles.take(&out.Roles, err)
	}
}

// interned keeps each text once: thousands of principals share their groups,
// tags and boundaries.
type interned map[string]string

func (in interned) text(s *string) string {
	if s == nil {
		return ""
	}
	if known, ok := in[*s]; ok {
		return known
	}
	in[*s] = *s
	return *s
}

func (in interned) user(u *types.UserDetail) rules.Principal {
	p := rules.Principal{
		ARN: aws.ToString(u.Arn), Path: aws.ToString(u.Path), Name: aws.ToString(u.UserName),
		ID: aws.ToString(u.UserId), CreateDate: aws.ToTime(u.CreateDate),
		Details: in.details(u.Tags, u.PermissionsBoundary),
	}
	for i := range u.GroupList {
		p.Details.IAMGroups = append(p.Details.IAMGroups, in.text(&u.GroupList[i]))
	}
	return p
}

func (in interned) role(r *types.RoleDetail) rules.Principal {
	return rules.Principal{
		ARN: aws.ToString(r.Arn), Path: aws.ToString(r.Path), Name: aws.ToString(r.RoleName),
		ID: aws.ToString(r.RoleId), CreateDate: aws.ToTime(r.CreateDate),
		Details: in.details(r.Tags, r.PermissionsBoundary),
	}
}

func (in interned) details(tags []types.Tag, boundary *types.AttachedPermissionsBoundary) *rules.Details {
	d := &rules.Details{}
	for _, t := range tags {
		d.Tags = append(d.Tags, rules.Tag{Key: in.text(t.Key), Value: in.text(t.Value)})
	}
	if boundary != nil {
		d.PermissionsBoundary = in.text(boundary.PermissionsBoundaryArn)
	}
	return d
}
