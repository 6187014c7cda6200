package rules

import (
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// Needs says what must be listed to evaluate rules.
type Needs struct {
	// Users and Roles tell whether there are rules of the kind.
	Users, Roles bool
	// UserPathPrefix and RolePathPrefix are the longest path that begins the
	// paths of all principals that any rule of the kind can match; "/" if
	// there is none in common. Each begins and ends with a slash.
	UserPathPrefix, RolePathPrefix string
	// UserDetails and RoleDetails tell whether any rule of the kind selects by
	// Principal.Details.
	UserDetails, RoleDetails bool
}

// Details tells whether a kind's details are needed.
func (n Needs) Details(k Kind) bool { return k == User && n.UserDetails || k == Role && n.RoleDetails }

// Needs derives what must be listed from the rules' paths and from the
// beginnings of their patterns.
func (s *Set) Needs() Needs {
	return Needs{
		Users: len(s.users) > 0, UserPathPrefix: commonPath(s.users),
		Roles: len(s.roles) > 0, RolePathPrefix: commonPath(s.roles),
		UserDetails: slices.ContainsFunc(s.users, rule.detailed), RoleDetails: slices.ContainsFunc(s.roles, rule.detailed),
	}
}

func commonPath(list []rule) string {
	if len(list) == 0 {
		return "/"
	}
	common := list[0].path
	for _, r := range list[1:] {
		common = common[:strings.LastIndexByte(common[:sharedBytes(common, r.path)], '/')+1]
	}
	if common == "//" {
		return "/" // AWS does not take that for a path
	}
	return common
}

// CouldMatch tells whether any rule could select a principal with this ARN, if
// it exists: whatever its groups, tags, boundary and age may be. It is false
// for what is not an ARN of the kind.
func (s *Set) CouldMatch(k Kind, principalARN string) bool {
	a, err := arn.Parse(principalARN)
	if err != nil || a.Type != string(k) {
		return false
	}
	of := newSubject(&Principal{Kind: k, ARN: principalARN})
	list := s.of(k)
	for i := range list {
		if list[i].selectsARN(of) && (list[i].pattern == nil || list[i].pattern.match(principalARN)) {
			return true
		}
	}
	return false
}

// subject is a principal under evaluation.
type subject struct {
	*Principal
	// resource is the end of its ARN, as user/vault/alice.
	resource string
	// shared is how many bytes its ARN begins with in common with the one
	// before.
	shared int
}

func newSubject(p *Principal) subject {
	return subject{Principal: p, resource: p.ARN[resourceAt(p.ARN):]}
}

// selects tells whether every selector but the pattern and the age matches.
func (r *rule) selects(s subject) bool { return r.selectsARN(s) && r.details.match(s.Details) }

// selectsARN tells whether every selector matches that looks at the ARN, but
// for the pattern.
func (r *rule) selectsARN(s subject) bool {
	return strings.HasPrefix(s.resource, r.resource) &&
		(r.permissionSet == "" || isPermissionSetRole(s.resource, r.permissionSet))
}

// isPermissionSetRole recognizes the role that IAM Identity Center makes for a
// permission set: AWSReservedSSO_<name>_<16 hexadecimal digits>, under a path
// of its own that may end in a region. See "Referencing permission sets in
// resource policies, Amazon EKS Cluster config maps, and AWS KMS key policies"
// in the IAM Identity Center User Guide.
func isPermissionSetRole(resource, permissionSet string) bool {
	rest, ok := strings.CutPrefix(resource, string(Role)+permissionSetPath)
	if !ok {
		return false
	}
	if region, name, ok := strings.Cut(rest, "/"); ok {
		if !isRegion(region) {
			return false
		}
		rest = name
	}
	rest, ok = strings.CutPrefix(rest, permissionSetRole)
	if !ok {
		return false
	}
	digits, ok := strings.CutPrefix(rest, permissionSet)
	if !ok || len(digits) != 1+permissionSetHex || digits[0] != '_' {
		return false
	}
	for i := range len(digits) - 1 {
		if c := digits[i+1]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isRegion(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}
