package authnconfig

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// DecodeDynamic reads the file of the backend DynamicFile: the keys mapRoles,
// mapUsers and mapAccounts, beside Version and LastUpdatedDateTime. With
// byUserID every entry must have its userid, and may do without its ARN.
func DecodeDynamic(text []byte, byUserID bool) (Mappings, error) {
	var m Mappings
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return m, err
	}
	if document.Kind == 0 {
		return m, nil
	}
	var p problems
	var version, updated string
	known := fields{"version": p.text(&version), "lastupdateddatetime": p.text(&updated)}
	p.addMappings(known, &m, byUserID)
	p.mapping(document.Content[0], "the file", known)
	m.Updated = unixTime(updated)
	return m, p.err()
}

// DecodeModes reads the file of backend modes: the key backendMode, names with
// spaces between them, beside Version and LastUpdatedDateTime. What the names
// are is not checked; see Server.CheckModes.
func DecodeModes(text []byte) (modes []string, updated time.Time, err error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, updated, err
	}
	if document.Kind == 0 {
		return nil, updated, errors.New("it is empty")
	}
	var p problems
	var version, at, names string
	p.mapping(document.Content[0], "the file", fields{
		"version": p.text(&version), "lastupdateddatetime": p.text(&at), "backendmode": p.text(&names),
	})
	return strings.Fields(names), unixTime(at), p.err()
}

// unixTime reads seconds since 1970; zero if the text is none.
func unixTime(text string) time.Time {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

func (p *problems) addMappings(known fields, m *Mappings, byUserID bool) {
	known["maproles"] = func(n *yaml.Node) {
		m.Roles = nil
		p.items(n, func(item *yaml.Node) { m.Roles = append(m.Roles, p.role(item, byUserID)) })
	}
	known["mapusers"] = func(n *yaml.Node) {
		m.Users = nil
		p.items(n, func(item *yaml.Node) { m.Users = append(m.Users, p.user(item, byUserID)) })
	}
	known["mapaccounts"] = func(n *yaml.Node) {
		p.texts(&m.Accounts)(n)
		for _, id := range m.Accounts {
			if !isAccountID(id) {
				p.add(n, "mapAccounts: %q is not an account ID of 12 digits", id)
			}
		}
	}
}

func (p *problems) role(n *yaml.Node, byUserID bool) Role {
	var r Role
	p.mapping(n, "mapRoles", fields{
		"rolearn": p.text(&r.ARN), "username": p.text(&r.Username), "groups": p.texts(&r.Groups), "userid": p.text(&r.UserID),
		"sso": func(n *yaml.Node) { r.SSO = p.sso(n) },
	})
	switch {
	case byUserID && r.UserID == "":
		p.add(n, "mapRoles: userid is missing")
	case r.ARN != "" && r.SSO != nil:
		p.add(n, "mapRoles: give roleARN or sso, not both")
	case r.ARN != "":
		r.ARN = p.roleARN(n, r.ARN)
	case r.SSO == nil && !byUserID:
		p.add(n, "mapRoles: roleARN or sso is missing")
	}
	p.username(n, r.Username)
	return r
}

// roleARN gives the ARN that tokens of the role prove.
func (p *problems) roleARN(n *yaml.Node, text string) string {
	a, err := arn.Parse(text)
	switch {
	case err != nil:
		p.add(n, "mapRoles: %v", err)
	case a.Type == arn.TypeAssumedRole:
		a.Type, a.Session = arn.TypeRole, ""
	case a.Type != arn.TypeRole:
		p.add(n, "mapRoles: %s is not a role", text)
	case a.Path != "/":
		p.add(n, "mapRoles: tokens do not tell the path of a role; write %s", a.WithoutPath())
	}
	p.account(n, a)
	return a.String()
}

// account refuses what is no account of AWS's, which has 12 digits.
func (p *problems) account(n *yaml.Node, a arn.ARN) {
	if a.AccountID != "" && !isAccountID(a.AccountID) {
		p.add(n, "no token proves %s: %q is not an account ID of 12 digits", a, a.AccountID)
	}
}

func (p *problems) user(n *yaml.Node, byUserID bool) User {
	var u User
	p.mapping(n, "mapUsers", fields{
		"userarn": p.text(&u.ARN), "username": p.text(&u.Username), "groups": p.texts(&u.Groups), "userid": p.text(&u.UserID),
	})
	switch {
	case byUserID && u.UserID == "":
		p.add(n, "mapUsers: userid is missing")
	case u.ARN == "" && !byUserID:
		p.add(n, "mapUsers: userARN is missing")
	case u.ARN != "":
		a, err := arn.Parse(u.ARN)
		if err != nil {
			p.add(n, "mapUsers: %v", err)
		} else if a.Type != arn.TypeUser && a.Type != arn.TypeRoot && a.Type != arn.TypeFederatedUser {
			p.add(n, "mapUsers: %s is not a user", u.ARN)
		}
		p.account(n, a)
	}
	p.username(n, u.Username)
	return u
}

func (p *problems) username(n *yaml.Node, username string) {
	if username == "" {
		p.add(n, "username is missing")
	}
}

// permissionSet is the name's pattern in the IAM Identity Center API reference,
// data type PermissionSet.
const permissionSet = `^[\w+=,.@-]{1,32}$`

// sso reads a permission set; nil where nothing is written.
func (p *problems) sso(n *yaml.Node) *SSO {
	if isNull(resolve(n)) {
		return nil
	}
	var s SSO
	p.mapping(n, "sso", fields{
		"permissionsetname": p.text(&s.PermissionSetName), "accountid": p.text(&s.AccountID), "partition": p.text(&s.Partition),
	})
	if err := s.Check(); err != nil {
		p.add(n, "sso: %v", err)
	}
	return &s
}

// Check tells what is wrong with s, and fills in the partition.
func (s *SSO) Check() error {
	if s.Partition == "" {
		s.Partition = "aws"
	}
	ok, err := regexp.MatchString(permissionSet, s.PermissionSetName)
	switch {
	case err != nil || !ok:
		return fmt.Errorf("permissionSetName %q is not the name of a permission set", s.PermissionSetName)
	case !isAccountID(s.AccountID):
		return fmt.Errorf("accountID %q is not an account ID of 12 digits", s.AccountID)
	case !slices.Contains(Partitions(), s.Partition):
		return fmt.Errorf("there is no partition %q", s.Partition)
	}
	return nil
}

func isAccountID(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 12
}
