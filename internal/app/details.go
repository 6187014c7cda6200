package app

import (
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// accountDetails is what `aws iam get-account-authorization-details` prints, as
// far as it matters here (IAM API reference, data types UserDetail and
// RoleDetail).
type accountDetails struct {
	UserDetailList *[]awsDetail `json:"UserDetailList"`
	RoleDetailList *[]awsDetail `json:"RoleDetailList"`
	IsTruncated    bool         `json:"IsTruncated"`
	NextToken      string       `json:"NextToken"`
}

type awsDetail struct {
	awsPrincipal
	GroupList           []string    `json:"GroupList"`
	Tags                []rules.Tag `json:"Tags"`
	PermissionsBoundary struct {
		PermissionsBoundaryARN string `json:"PermissionsBoundaryArn"`
	} `json:"PermissionsBoundary"`
}

const detailsCommand = "aws iam get-account-authorization-details"

// details reads what the AWS CLI printed, as JSON or YAML, and tells the kinds
// that it lists. One of which there is nobody counts as not listed: --filter
// leaves it empty, too.
func (in *inputs) details(flag, name string) (found []rules.Principal, kinds []rules.Kind, err error) {
	text, err := in.read(flag, name)
	if err != nil {
		return nil, nil, err
	}
	var list accountDetails
	switch err := yaml.Unmarshal(text, &list); {
	case err != nil:
		return nil, nil, fmt.Errorf("%s is not what `%s` prints: %s", fileName(name), detailsCommand, parseError(err))
	case list.UserDetailList == nil && list.RoleDetailList == nil:
		return nil, nil, fmt.Errorf("%s has no UserDetailList; it should be what `%s --output json` prints", fileName(name), detailsCommand)
	case list.IsTruncated || list.NextToken != "":
		return nil, nil, fmt.Errorf("%s is only a part of the listing; run `%s` without --max-items and --no-paginate", fileName(name), detailsCommand)
	}
	for _, part := range []struct {
		field string
		kind  rules.Kind
		list  *[]awsDetail
	}{{"UserDetailList", rules.User, list.UserDetailList}, {"RoleDetailList", rules.Role, list.RoleDetailList}} {
		if part.list == nil || len(*part.list) == 0 {
			continue
		}
		kinds = append(kinds, part.kind)
		for i, p := range *part.list {
			principal, err := p.principal(part.kind)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %s[%d]: %w", fileName(name), part.field, i, err)
			}
			principal.Details = &rules.Details{
				IAMGroups: p.GroupList, Tags: p.Tags, PermissionsBoundary: p.PermissionsBoundary.PermissionsBoundaryARN,
			}
			found = append(found, principal)
		}
	}
	return found, kinds, nil
}

// enough refuses a listing without the details that the rules look at. What is
// wrong with the rules themselves is said elsewhere.
func enough(d controllers.PlanData, options rules.Options) error {
	if d.Rules == nil {
		return nil
	}
	set, err := rules.Parse(d.Rules.Data, options)
	if err != nil {
		return nil //nolint:nilerr // who computes with the rules says so, with the place
	}
	for _, kind := range rules.Kinds() {
		lacking := func(p rules.Principal) bool { return p.Kind == kind && p.Details == nil }
		if set.Needs().Details(kind) && slices.ContainsFunc(d.Principals, lacking) {
			return fmt.Errorf("the rules select %ss by what `aws iam list-%ss` does not print: IAM groups, tags or permissions boundary; "+
				"give what `%s` prints with --details, in place of --%ss", kind, kind, detailsCommand, kind)
		}
	}
	return nil
}
