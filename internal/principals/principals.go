// Package principals reads from AWS which IAM users and roles exist now.
//
// It leaves to others what follows from that: who is granted what, and what is
// taken away. It promises never to pass a part of a listing off as the whole,
// and that whatever a listing shows is of the account that it names.
package principals

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// The errors that callers tell apart. All others are AWS's.
var (
	// ErrRateLimited: Exists was asked too often. Nothing is known; ask later.
	ErrRateLimited = errors.New("asked too often")
	// ErrOtherAccount: an ARN is not of the account whose credentials we hold.
	ErrOtherAccount = errors.New("not of our account")
	// ErrBrokenListing: AWS's pages do not add up to a whole.
	ErrBrokenListing = errors.New("broken listing")
)

const (
	defaultCallTimeout     = 10 * time.Second
	defaultExistsPerMinute = 600
)

// Users is the part of the IAM client that reads users. A user that does not
// exist is a *types.NoSuchEntityException; every other error means that
// nothing is known.
type Users interface {
	ListUsers(context.Context, *iam.ListUsersInput, ...func(*iam.Options)) (*iam.ListUsersOutput, error)
	GetUser(context.Context, *iam.GetUserInput, ...func(*iam.Options)) (*iam.GetUserOutput, error)
}

// Roles is the part of the IAM client that reads roles; errors as for Users.
type Roles interface {
	ListRoles(context.Context, *iam.ListRolesInput, ...func(*iam.Options)) (*iam.ListRolesOutput, error)
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
}

// Details is the part of the IAM client that reads what is known of all users
// and roles at once, with their groups, tags and permissions boundaries.
type Details interface {
	GetAccountAuthorizationDetails(context.Context, *iam.GetAccountAuthorizationDetailsInput, ...func(*iam.Options)) (*iam.GetAccountAuthorizationDetailsOutput, error)
}

// IAM is what is needed of *iam.Client. Retries are its business.
type IAM interface {
	Users
	Roles
	Details
}

// STS is what is needed of *sts.Client. It must have the credentials of IAM.
type STS interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// Config says how to reach AWS.
type Config struct {
	IAM IAM
	STS STS
	// Credentials are those that both clients sign with. They tell when to ask
	// again who we are: when the access key is another one. Nil: always ask.
	Credentials aws.CredentialsProvider
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// CallTimeout is the deadline of each call, its retries included.
	// Default 10s.
	CallTimeout time.Duration
	// Partition and AccountID say whose credentials these are to be, where that
	// is known beforehand: with those of another account nothing is listed.
	// Default: whosever they are.
	Partition, AccountID string
	// ExistsPerMinute is how many calls Exists makes within any minute.
	// Default 600, a tenth of a second each, which leaves most of IAM's quota to
	// others.
	ExistsPerMinute int
}

// Lister reads users and roles. It is safe for concurrent use.
type Lister struct {
	iam         IAM
	sts         STS
	credentials aws.CredentialsProvider
	now         func() time.Time
	timeout     time.Duration
	expected    caller // empty: anybody

	mu     sync.Mutex // guards what follows
	known  caller
	recent window
}

// New returns a Lister.
func New(cfg Config) *Lister {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = defaultCallTimeout
	}
	if cfg.ExistsPerMinute <= 0 {
		cfg.ExistsPerMinute = defaultExistsPerMinute
	}
	return &Lister{
		iam: cfg.IAM, sts: cfg.STS, credentials: cfg.Credentials,
		now: cfg.Now, timeout: cfg.CallTimeout,
		expected: caller{partition: cfg.Partition, account: cfg.AccountID},
		recent:   newWindow(cfg.ExistsPerMinute),
	}
}

// Listing is what exists, as far as it was asked for.
type Listing struct {
	// Partition and AccountID say whose principals these are. Both are empty
	// if nothing was asked for, or AWS did not say who we are and Config
	// neither.
	Partition, AccountID string
	// Principals are the users and then the roles, in AWS's order. Those of a
	// kind whose listing is not complete are left out.
	Principals []rules.Principal
	Users      Scope
	Roles      Scope
	// Skew is how far AWS's clock is ahead of ours, by the Date header of its
	// answers, to about a second; SkewKnown tells whether there was one.
	Skew      time.Duration
	SkewKnown bool
	// Others are the listings of other accounts; see Accounts.
	Others []Listing
}

// Scope says what the listing of one kind covers.
type Scope struct {
	// Asked is whether the kind was to be listed.
	Asked bool
	// PathPrefix is the path that was listed; "/" is everything.
	PathPrefix string
	// Detailed is whether the principals were to come with Details.
	Detailed bool
	// Complete is whether every principal under PathPrefix that AWS showed is
	// there. It says nothing about when AWS will show changes.
	Complete bool
	// Begun is when the listing began.
	Begun time.Time
	// Calls is how many list calls were made; the client's retries count as one,
	// and calls that list both kinds are the users'.
	Calls int
	// Err is why the listing is not complete. Its text does not change while
	// the cause stays the same, unless AWS's own message does.
	Err error
}

// List lists what n asks for, users and roles at the same time. Trouble is in
// the scopes: one kind may be complete while the other is not.
func (l *Lister) List(ctx context.Context, n rules.Needs) Listing {
	out := l.nothing(n)
	if !n.Users && !n.Roles {
		return out
	}
	who, err := l.caller(ctx)
	if err != nil {
		out.Partition, out.AccountID = l.expected.partition, l.expected.account
		out.Users.fail(err)
		out.Roles.fail(err)
		return out
	}
	out.Partition, out.AccountID = who.partition, who.account

	users, roles := l.collectors(who)
	var all sync.WaitGroup
	all.Go(func() { l.listDetails(ctx, &out, users, roles) })
	all.Go(func() { l.listUsers(ctx, &out.Users, users) })
	all.Go(func() { l.listRoles(ctx, &out.Roles, roles) })
	all.Wait()

	if err := l.stillIn(ctx, who); err != nil {
		out.Users.fail(err)
		out.Roles.fail(err)
		return out
	}
	out.Principals = users.found
	out.Principals = append(out.Principals, roles.found...)
	for _, c := range []*collector{users, roles} {
		if c.skewKnown {
			out.Skew, out.SkewKnown = c.skew, true
		}
	}
	return out
}

// nothing is a Listing before anything was asked.
func (l *Lister) nothing(n rules.Needs) Listing {
	scope := func(asked, detailed bool, prefix string) Scope {
		if prefix == "" || detailed {
			prefix = "/" // details come of everybody
		}
		return Scope{Asked: asked, Detailed: asked && detailed, PathPrefix: prefix, Begun: l.now()}
	}
	return Listing{
		Users: scope(n.Users, n.UserDetails, n.UserPathPrefix), Roles: scope(n.Roles, n.RoleDetails, n.RolePathPrefix),
	}
}

// fail marks an asked scope as not complete; the first reason stays.
func (s *Scope) fail(err error) {
	if !s.Asked {
		return
	}
	s.Complete = false
	if s.Err == nil {
		s.Err = err
	}
}
