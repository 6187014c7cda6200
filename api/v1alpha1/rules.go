// Package v1alpha1 holds the words that people write: the rules that say which
// IAM users and roles get into a cluster, and as whom.
//
// What the words mean, and which of them are refused, is decided elsewhere.
package v1alpha1

// Rules is the data of the rules ConfigMap. Each key of data holds a YAML list
// of rules.
type Rules struct {
	// MapUsers are the rules for IAM users, in order.
	MapUsers []Rule `json:"mapUsers,omitempty"`
	// MapRoles are the rules for IAM roles, in order.
	MapRoles []Rule `json:"mapRoles,omitempty"`
}

// Rule lets the principals that all of its selectors match into the cluster.
// At least one of ArnRegex, PathPrefix, PermissionSet, IAMGroups, Tags and
// PermissionsBoundary must be there.
type Rule struct {
	// ArnRegex is an RE2 pattern that must match the principal's whole ARN,
	// with its path. It begins with ^ and ends with $. At most 1,024
	// characters.
	ArnRegex string `json:"arnRegex,omitempty"`
	// PathPrefix is the beginning of the principal's IAM path, as in /vault/.
	// It begins and ends with a slash.
	PathPrefix string `json:"pathPrefix,omitempty"`
	// PermissionSet is the name of an IAM Identity Center permission set,
	// exactly. It selects the roles that IAM Identity Center made for it, and
	// stands only in mapRoles.
	PermissionSet string `json:"permissionSet,omitempty"`
	// IAMGroups are names of IAM groups, without path and in any case. A user
	// in any one of them is selected. It stands only in mapUsers, because roles
	// are in no group.
	IAMGroups []string `json:"iamGroups,omitempty"`
	// Tags are those that the principal must all have: keys in any case, as in
	// IAM, values exactly. A value may be empty.
	Tags map[string]string `json:"tags,omitempty"`
	// PermissionsBoundary is the ARN of the policy that must be the principal's
	// permissions boundary.
	PermissionsBoundary string `json:"permissionsBoundary,omitempty"`
	// MaxAge is how long after its creation a principal is selected, as a Go
	// duration: 24h, 90m. Empty: for ever. It is no selector of its own.
	MaxAge string `json:"maxAge,omitempty"`
	// Username is the Kubernetes user. ${1} and ${name} are what ArnRegex
	// captured, ${userName}, ${roleName}, ${accountID}, ${path} and ${userID}
	// come from the principal, $$ is a dollar sign. The templates of aws-auth,
	// as {{SessionName}}, are left to the authenticator.
	Username string `json:"username"`
	// Groups are the Kubernetes groups, literally.
	Groups []string `json:"groups,omitempty"`
	// MaxMatches is how many principals the rule may match. One that matches
	// more grants nothing new. 0, and only by leaving it out: no limit.
	MaxMatches int `json:"maxMatches,omitempty"`
}
