package app

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

// sessionName is what CloudTrail shows of us in other accounts.
const sessionName = "aws-auth-refresher"

// sessionTime is as long as a role may be assumed for by a role, and shorter
// than any role's own limit. beforeExpiry is how early a session is renewed.
const (
	sessionTime  = time.Hour
	beforeExpiry = 5 * time.Minute
)

// Accounts says which AWS accounts are listed beside our own.
type Accounts struct {
	RoleARNs    []string
	ExternalIDs []string
}

// BindFlags adds the flags with their defaults.
func (a *Accounts) BindFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&a.RoleARNs, "account-role-arn", nil,
		"role of another account to assume, whose users and roles are listed too; once for each account")
	flags.StringArrayVar(&a.ExternalIDs, "account-external-id", nil,
		"external id to assume the role of an account with, as ACCOUNT=ID; once for each account that wants one")
}

// accountRole is a role to be assumed.
type accountRole struct {
	arn.ARN
	externalID string // empty: none
}

// roles are the roles, or what is wrong with the flags.
func (a *Accounts) roles() ([]accountRole, error) {
	var roles []accountRole
	find := func(account string) int {
		return slices.IndexFunc(roles, func(r accountRole) bool { return r.AccountID == account })
	}
	for _, text := range a.RoleARNs {
		role, err := arn.Parse(text)
		if err != nil || role.Type != arn.TypeRole {
			return nil, fmt.Errorf("--account-role-arn is %q; give the ARN of a role, as in arn:aws:iam::123456789012:role/aws-auth-refresher", text)
		}
		if find(role.AccountID) >= 0 {
			return nil, fmt.Errorf("--account-role-arn names two roles of account %s; keep one", role.AccountID)
		}
		roles = append(roles, accountRole{ARN: role})
	}
	// The type externalIdType of the STS API.
	externalID := regexp.MustCompile(`^[\w+=,.@:/-]+$`)
	for _, text := range a.ExternalIDs {
		account, id, ok := strings.Cut(text, "=")
		i := find(account)
		switch {
		case !ok || !externalID.MatchString(id) || len(id) < 2 || len(id) > 1224:
			return nil, fmt.Errorf("--account-external-id is %q; give ACCOUNT=ID, as in 123456789012=my-id, with 2 to 1224 letters, digits and _+=,.@:/- as the id", text)
		case i < 0:
			return nil, fmt.Errorf("--account-external-id is for account %q, for which there is no --account-role-arn", account)
		case roles[i].externalID != "":
			return nil, fmt.Errorf("--account-external-id gives account %s two ids; keep one", account)
		}
		roles[i].externalID = id
	}
	return roles, nil
}

// NewLister asks IAM and STS with the given configuration: in its own account,
// and in those whose roles it may assume.
func NewLister(c aws.Config, accounts Accounts) (*principals.Accounts, error) {
	roles, err := accounts.roles()
	if err != nil {
		return nil, err
	}
	var others []*principals.Lister
	for _, role := range roles {
		others = append(others, lister(assuming(c, role), role.ARN))
	}
	return principals.NewAccounts(lister(c, arn.ARN{}), others...), nil
}

func lister(c aws.Config, role arn.ARN) *principals.Lister {
	return principals.New(principals.Config{
		IAM: iam.NewFromConfig(c), STS: sts.NewFromConfig(c), Credentials: c.Credentials, Now: time.Now,
		Partition: role.Partition, AccountID: role.AccountID,
	})
}

// assuming is a configuration with the credentials of a role, which are asked
// for when they are needed and renewed before they end.
func assuming(c aws.Config, role accountRole) aws.Config {
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), role.String(), func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = sessionName, sessionTime
		if role.externalID != "" {
			o.ExternalID = aws.String(role.externalID)
		}
	})
	assumed := c.Copy()
	assumed.Credentials = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = beforeExpiry })
	return assumed
}
