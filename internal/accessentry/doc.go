// Package accessentry keeps the access entries of an EKS cluster that are ours.
//
// Decide says, as a function of values, what is to be done about them; Cluster
// lists them, looks at them and does it. Who is granted access, and whose entry
// may go, is decided elsewhere. It promises that nothing is changed that is not
// in our record and does not carry our tag.
package accessentry

import (
	"slices"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Limit is how many access entries a cluster can have; see "View and manage
// Amazon EKS and Fargate service quotas" in the EKS user guide. It cannot be
// raised.
const Limit = 3000

// AdminPolicy is the access policy that gives what the group system:masters
// gives, which access entries refuse.
const AdminPolicy = "cluster-access-policy/AmazonEKSClusterAdminPolicy"

// Entry is what an access entry of ours should say. Its type is STANDARD.
type Entry struct {
	Kind rules.Kind
	// ARN is the principal's with its path, also for roles.
	ARN string
	// ID is the unique id of the principal as it exists now, to which EKS pins
	// the entry; Made is when it was made.
	ID       string
	Made     time.Time
	Username string
	Groups   []string // without system:masters
	// Admin: AmazonEKSClusterAdminPolicy is associated, for the whole cluster.
	Admin bool
	// Selectors are those of the grant, for the record.
	Selectors []string
}

// FromGrant is the entry that a grant to a principal comes to, or the reason
// why there can be none.
func FromGrant(g rules.Grant, p rules.Principal) (e Entry, reason string) {
	e = Entry{
		Kind: g.Kind, ARN: g.PrincipalARN, ID: p.ID, Made: p.CreateDate,
		Username: g.Username, Selectors: g.Selectors,
	}
	if reason := rules.AccessEntryUsername(e.Username); reason != "" {
		return e, "its user name " + reason
	}
	for _, group := range g.Groups {
		if reason := rules.AccessEntryGroup(group); reason != "" {
			return e, "its group " + group + " " + reason
		}
		if group == rules.GroupMasters {
			e.Admin = true
		} else {
			e.Groups = append(e.Groups, group)
		}
	}
	return e, ""
}

// Key identifies the entry.
func (e Entry) Key() string { return arn.Fold(e.ARN) }

// Digest is the digest of what the entry says.
func (e Entry) Digest() string { return rules.ContentDigest(e.Username, e.allGroups()) }

// allGroups are the groups that it amounts to, system:masters among them.
func (e Entry) allGroups() []string {
	if !e.Admin {
		return e.Groups
	}
	return append(slices.Clone(e.Groups), rules.GroupMasters)
}
