// Package rules turns the rules that people wrote, and the IAM principals that
// exist, into grants: who gets which Kubernetes user name and groups.
//
// It does no input or output and keeps no state. Reading principals from AWS,
// deciding when a grant may be taken away and writing aws-auth belong to
// others; the record that they share is defined here. It promises that the
// same rules and principals give the same grants in the same order, and that
// rules are accepted or refused as a whole.
package rules

import (
	"time"
)

// Kind says what a principal is, and with it which list of rules and entries
// it belongs to.
type Kind string

// The kinds of principals that rules are written for.
const (
	User Kind = "user"
	Role Kind = "role"
)

// Keys of the rules ConfigMap's data, which are also those of aws-auth.
const (
	keyMapUsers = "mapUsers"
	keyMapRoles = "mapRoles"
)

// Kinds lists every kind in the order in which results are given.
func Kinds() []Kind { return []Kind{User, Role} }

// DataKey is the key of ConfigMap data that holds the kind: mapUsers or
// mapRoles, in the rules as in aws-auth. It is empty for an unknown kind.
func (k Kind) DataKey() string {
	switch k {
	case User:
		return keyMapUsers
	case Role:
		return keyMapRoles
	default:
		return ""
	}
}

// Principal is an IAM user or role as AWS lists it.
type Principal struct {
	Kind Kind
	// ARN is what AWS prints, with the path.
	ARN string
	// AccountID, Path and Name repeat what the ARN says.
	AccountID, Path, Name string
	// ID is the unique id, as AIDA…, which a principal that was made again
	// under the same name does not share.
	ID string
	// CreateDate is when AWS says the principal was made.
	CreateDate time.Time
	// Details are nil if they were not asked for. Rules that select by them do
	// not match then.
	Details *Details
}

// Details are what IAM tells of a principal only in
// GetAccountAuthorizationDetails.
type Details struct {
	// IAMGroups are the names of a user's groups, without path.
	IAMGroups []string
	Tags      []Tag
	// PermissionsBoundary is a policy's ARN, empty if there is none.
	PermissionsBoundary string
}

// Tag is one tag of a principal.
type Tag struct{ Key, Value string }

// Grant is one principal's access: what its entry in aws-auth must say.
type Grant struct {
	Kind Kind
	// PrincipalARN is the ARN with its path.
	PrincipalARN string
	// EntryARN is the ARN as aws-auth must hold it: a role's path stripped.
	EntryARN string
	// Username is never empty.
	Username string
	// Groups are the groups of every matching rule, in rule order, each once.
	// Grants share them: do not modify.
	Groups []string
	// Rule is the 0-based index, within its kind, of the first matching rule.
	Rule int
	// Selectors is the RuleDigest of every rule that granted, in rule order, each
	// once; of a frozen one that of the text by which it did. Grants share them:
	// do not modify.
	Selectors []string
}
