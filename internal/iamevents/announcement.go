// Package iamevents hears from a queue what changes in IAM. The messages are
// events of CloudTrail that EventBridge forwards; each announces that a user or
// role came, went or changed. An announcement is a hint, never a fact: it makes
// IAM be listed sooner, and only the listing decides who may come in. So a lost
// event costs time, and a forged one a listing.
package iamevents

import (
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Verb says what is announced.
type Verb string

// The verbs.
const (
	// Exists: a listing will show the principal.
	Exists Verb = "exists"
	// Gone: a listing will no longer show it.
	Gone Verb = "gone"
	// Changed: its groups, tags or permissions boundary are others now.
	Changed Verb = "changed"
)

// Announcement is what an event says about one user or role.
type Announcement struct {
	Verb            Verb
	Kind            rules.Kind
	AccountID, Name string
	// ARN and ID are empty where the event does not tell them, as for all that
	// does not come into being. The ARN has the path.
	ARN, ID string
	// Path is the one that the principal was moved to; else empty.
	Path string
	// At is when it happened, in full seconds.
	At time.Time
	// Change is what Changed is about.
	Change Change
}

// size is the length of its texts.
func (a *Announcement) size() int {
	n := len(a.Name) + len(a.ARN) + len(a.ID) + len(a.Path) + len(a.Change.Group) + len(a.Change.Boundary)
	for key, value := range a.Change.Tags {
		n += len(key) + len(value)
	}
	for _, key := range a.Change.NoTags {
		n += len(key)
	}
	return n
}

// Change is a change of what a principal has.
type Change struct {
	// Tags were set, NoTags (keys) taken away.
	Tags   map[string]string
	NoTags []string
	// Group is an IAM group that the user joined, or left.
	Group string
	Left  bool
	// Boundary is the ARN of the permissions boundary; Bounded tells whether
	// this change is about it, since an empty one means that it was taken away.
	Boundary string
	Bounded  bool
}

// Details are a principal's groups, tags and permissions boundary.
type Details struct {
	Groups   []string
	Tags     map[string]string
	Boundary string
}

// shown tells whether the details are what they are after the change. Names of
// groups and keys of tags have no case in IAM.
func (c *Change) shown(d Details) bool {
	for key, value := range c.Tags {
		if have, ok := tag(d.Tags, key); !ok || have != value {
			return false
		}
	}
	for _, key := range c.NoTags {
		if _, ok := tag(d.Tags, key); ok {
			return false
		}
	}
	if c.Bounded && c.Boundary != d.Boundary {
		return false
	}
	if c.Group == "" {
		return true
	}
	for _, g := range d.Groups {
		if rules.SameName(g, c.Group) {
			return !c.Left
		}
	}
	return c.Left
}

func tag(tags map[string]string, key string) (string, bool) {
	for k, v := range tags {
		if rules.SameName(k, key) {
			return v, true
		}
	}
	return "", false
}
