// Package arn reads and writes the Amazon Resource Names of the identities
// that IAM and STS know: who somebody is, and under which account, path and
// name.
//
// It leaves to its callers what an ARN is allowed to do. It promises that what
// Parse accepts is printable ASCII without spaces, and that String gives back
// the text that was parsed.
package arn

import (
	"errors"
	"fmt"
	"strings"
)

// The resource types that Parse accepts.
const (
	TypeRoot            = "root"
	TypeUser            = "user"
	TypeRole            = "role"
	TypeGroup           = "group"
	TypeInstanceProfile = "instance-profile"
	TypeAssumedRole     = "assumed-role"
	TypeFederatedUser   = "federated-user"
)

const (
	serviceIAM = "iam"
	serviceSTS = "sts"

	maxLength    = 2048 // the ARN type of the IAM API
	maxPath      = 512  // the path type of the IAM API
	maxName      = 128  // groups and instance profiles; users and roles have 64
	maxShortName = 64
	maxAccount   = 12
	quotedInText = 120
)

// ErrInvalid is what every error of Parse wraps.
var ErrInvalid = errors.New("not an IAM or STS ARN")

// ARN is one IAM or STS identity, as in
// arn:aws:iam::123456789012:user/vault/alice.
type ARN struct {
	// Partition is aws, aws-cn, aws-us-gov and so on.
	Partition string
	// AccountID is a run of 1 to 12 decimal digits; AWS itself prints 12.
	AccountID string
	// Type is one of the Type constants; it also tells the service.
	Type string
	// Path begins and ends with a slash and is "/" where there is none. Only
	// users, roles, groups and instance profiles have another one.
	Path string
	// Name is the user's, role's, group's or profile's name; the role's name
	// for an assumed role; empty for root.
	Name string
	// Session is the session's name of an assumed role, otherwise empty.
	Session string
}

// Parse reads an IAM or STS ARN of one of the types above and refuses
// everything else with an error that wraps ErrInvalid. Lengths and characters
// are those of the IAM and STS API references; the account may have fewer than
// 12 digits, because examples do.
func Parse(s string) (ARN, error) {
	if len(s) > maxLength {
		return ARN{}, invalid(s, "it is longer than 2,048 characters")
	}
	rest, ok := strings.CutPrefix(s, "arn:")
	if !ok {
		return ARN{}, invalid(s, `it does not begin with "arn:"`)
	}
	partition, rest, ok1 := strings.Cut(rest, ":")
	service, rest, ok2 := strings.Cut(rest, ":")
	region, rest, ok3 := strings.Cut(rest, ":")
	account, resource, ok4 := strings.Cut(rest, ":")
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4:
		return ARN{}, invalid(s, "it has fewer than six parts")
	case !isPartition(partition):
		return ARN{}, invalid(s, "its partition is not aws or aws-…")
	case service != serviceIAM && service != serviceSTS:
		return ARN{}, invalid(s, "its service is neither iam nor sts")
	case region != "":
		return ARN{}, invalid(s, "it names a region")
	case !isAccount(account):
		return ARN{}, invalid(s, "its account is not a number of up to 12 digits")
	}
	a := ARN{Partition: partition, AccountID: account, Path: "/"}
	if reason := a.parseResource(service, resource); reason != "" {
		return ARN{}, invalid(s, reason)
	}
	return a, nil
}

// parseResource fills what follows the account; it returns why it cannot.
func (a *ARN) parseResource(service, resource string) (reason string) {
	kind, rest, slash := strings.Cut(resource, "/")
	a.Type = kind
	if serviceOf(kind) != service {
		return "its resource type is not one of " + service + "'s identities"
	}
	if kind == TypeRoot {
		if slash {
			return "root has no name"
		}
		return ""
	}
	switch kind {
	case TypeAssumedRole:
		a.Name, a.Session, slash = strings.Cut(rest, "/")
		if !slash || !isName(a.Session, maxShortName) {
			return "its session name is missing or not one"
		}
	case TypeFederatedUser:
		a.Name = rest
	default:
		last := strings.LastIndexByte(rest, '/')
		a.Name = rest[last+1:]
		if last >= 0 {
			a.Path = resource[len(kind) : len(kind)+1+last+1]
		}
		if !isPath(a.Path) {
			return "its path is not one"
		}
	}
	limit := maxShortName
	if kind == TypeGroup || kind == TypeInstanceProfile {
		limit = maxName
	}
	if !isName(a.Name, limit) {
		return "its name is missing or not one"
	}
	return ""
}

// String gives the ARN's text; for what Parse returned, the text it was given.
func (a ARN) String() string {
	path, end := a.Path, ""
	switch a.Type {
	case TypeRoot:
		path = ""
	case TypeAssumedRole:
		end = "/" + a.Session
	}
	return "arn:" + a.Partition + ":" + serviceOf(a.Type) + "::" + a.AccountID + ":" + a.Type + path + a.Name + end
}

// WithoutPath is the same identity with the path "/". That is how aws-auth
// must hold a role (role/a/b/X as role/X), because the ARN of an assumed role,
// which is all that a token proves, does not tell the role's path. Users keep
// theirs.
func (a ARN) WithoutPath() ARN {
	a.Path = "/"
	return a
}

// Fold gives the form in which two ARNs are compared: aws-iam-authenticator
// looks them up in lower case. It does not allocate when s is in lower case
// already.
func Fold(s string) string { return strings.ToLower(s) }

func serviceOf(kind string) string {
	switch kind {
	case TypeRoot, TypeUser, TypeRole, TypeGroup, TypeInstanceProfile:
		return serviceIAM
	case TypeAssumedRole, TypeFederatedUser:
		return serviceSTS
	default:
		return ""
	}
}

func invalid(s, reason string) error {
	if len(s) > quotedInText {
		s = s[:quotedInText] + "…"
	}
	return fmt.Errorf("%w: %q: %s", ErrInvalid, s, reason)
}

func isPartition(s string) bool {
	if s == "aws" {
		return true
	}
	s, ok := strings.CutPrefix(s, "aws-")
	if !ok || len(s) > maxShortName || strings.HasSuffix(s, "-") || strings.HasPrefix(s, "-") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && !isLower(c) && !isDigit(c) {
			return false
		}
	}
	return s != ""
}

func isAccount(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxAccount
}

// isPath holds IAM's path type: a slash, or printable characters between two.
func isPath(s string) bool {
	if s == "/" {
		return true
	}
	if len(s) < 3 || len(s) > maxPath || s[0] != '/' || s[len(s)-1] != '/' {
		return false
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isName holds IAM's and STS's name types: letters, digits and _+=,.@-
func isName(s string, limit int) bool {
	for i := range len(s) {
		c := s[i]
		if !isLower(c) && !isDigit(c) && (c < 'A' || c > 'Z') && strings.IndexByte("_+=,.@-", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
