// Package mappings says as which Kubernetes user an AWS identity is let in: it
// keeps what each backend holds in memory, up to date, and asks them in order.
//
// Who the identity is was proven before. It promises that a backend which can
// not be read any more keeps its last good content, and that while one has not
// been read at all nobody is told that they are not let in.
package mappings

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// Entry is what a backend holds about an identity. Both fields may hold
// templates; see render.
type Entry struct {
	Username string
	Groups   []string
}

// Content is what a backend holds at one moment; it does not change.
type Content interface {
	// Find finds the entry of an identity.
	Find(ekstoken.Identity) (Entry, bool)
	// Account tells whether all identities of an account are let in, under
	// their ARN and without groups.
	Account(id string) bool
}

// Backend is a place that mappings come from.
type Backend interface {
	// Name is the backend's name in configurations.
	Name() string
	// Run keeps the content up to date until ctx ends.
	Run(ctx context.Context) error
	// Content is the content now, nil as long as it has not been read.
	Content() Content
}

// NodeNames knows the private DNS names of instances.
type NodeNames interface {
	// PrivateDNSName gives the name of an instance, for example
	// ip-10-0-0-1.ec2.internal.
	PrivateDNSName(ctx context.Context, instanceID string) (string, error)
}

// Chain asks backends in order.
type Chain struct {
	Backends []Backend
	// Reserved are, by backend, what usernames and groups must not begin with.
	Reserved map[string][]string
	// Nodes resolves {{EC2PrivateDNSName}}. Default: an identity whose entry
	// holds that template is refused.
	Nodes NodeNames
}

// ErrNotMapped says that no backend lets an identity in.
var ErrNotMapped = errors.New("the identity is not mapped")

// unread says that a backend has not been read yet.
type unread struct{ backend string }

func (e unread) Error() string { return "the backend " + e.backend + " has not been read yet" }

// Temporary tells that the next try may succeed.
func (unread) Temporary() bool { return true }

// Ready is nil once all backends have been read.
func (c *Chain) Ready() error {
	for _, b := range c.Backends {
		if b.Content() == nil {
			return unread{b.Name()}
		}
	}
	return nil
}

// Map gives the username and the groups of an identity: those of the first
// backend that has an entry for it, else, where its whole account is let in,
// its ARN and no groups. The error has a method Temporary that says true while
// a backend that may have the entry has not been read, or while EC2 cannot be
// asked.
func (c *Chain) Map(ctx context.Context, id ekstoken.Identity) (authenticationv1.UserInfo, error) {
	var account string
	for _, b := range c.Backends {
		content := b.Content()
		if content == nil {
			return authenticationv1.UserInfo{}, unread{b.Name()}
		}
		if entry, ok := content.Find(id); ok {
			return c.user(ctx, b.Name(), entry, id)
		}
		if account == "" && content.Account(id.AccountID) {
			account = b.Name()
		}
	}
	if account == "" {
		return authenticationv1.UserInfo{}, ErrNotMapped
	}
	user := authenticationv1.UserInfo{Username: id.CanonicalARN}
	return user, c.check(account, user)
}

func (c *Chain) user(ctx context.Context, backend string, e Entry, id ekstoken.Identity) (authenticationv1.UserInfo, error) {
	var user authenticationv1.UserInfo
	var err error
	if user.Username, err = c.render(ctx, e.Username, id); err != nil {
		return user, err
	}
	for _, group := range e.Groups {
		rendered, err := c.render(ctx, group, id)
		if err != nil {
			return user, err
		}
		user.Groups = append(user.Groups, rendered)
	}
	return user, c.check(backend, user)
}

// check refuses names that a backend must not give.
func (c *Chain) check(backend string, user authenticationv1.UserInfo) error {
	if user.Username == "" {
		return fmt.Errorf("the entry in the backend %s gives no username", backend)
	}
	for _, prefix := range c.Reserved[backend] {
		if prefix == "" {
			continue
		}
		if strings.HasPrefix(user.Username, prefix) {
			return fmt.Errorf("the backend %s must not give the username %q, because %q is reserved", backend, user.Username, prefix)
		}
		if i := slices.IndexFunc(user.Groups, func(g string) bool { return strings.HasPrefix(g, prefix) }); i >= 0 {
			return fmt.Errorf("the backend %s must not give the group %q, because %q is reserved", backend, user.Groups[i], prefix)
		}
	}
	return nil
}
