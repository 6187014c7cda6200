package mappings

import (
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// table is the content of a list of mappings. Roles are looked up before
// users; of entries for the same identity the last one counts.
type table struct {
	byUserID     bool
	roles, users map[string]found
	sso          []permissionSet
	accounts     map[string]bool
	updated      time.Time // when its file says it was written; zero if it does not
}

type found struct {
	entry Entry
	arn   string
}

// permissionSet finds the roles that IAM Identity Center makes for a
// permission set: its name, an underscore and 16 hexadecimal digits. Unlike
// ARNs that people write, which aws-iam-authenticator compares without case, the
// name is compared exactly: Dev and dev are two permission sets.
// (aws-iam-authenticator takes the one for the other.)
type permissionSet struct {
	prefix string // of the role's ARN, up to the digits
	entry  Entry
}

func newTable(m authnconfig.Mappings, byUserID bool) *table {
	t := &table{byUserID: byUserID, roles: map[string]found{}, users: map[string]found{}, accounts: map[string]bool{}, updated: m.Updated}
	for _, r := range m.Roles {
		entry := Entry{Username: r.Username, Groups: r.Groups}
		switch {
		case r.SSO != nil && !byUserID:
			t.sso = append(t.sso, permissionSet{ssoPrefix(*r.SSO), entry})
		case byUserID:
			t.roles[r.UserID] = found{entry, r.ARN}
		default:
			t.roles[arn.Fold(r.ARN)] = found{entry, r.ARN}
		}
	}
	for _, u := range m.Users {
		key := arn.Fold(u.ARN)
		if byUserID {
			key = u.UserID
		}
		t.users[key] = found{Entry{Username: u.Username, Groups: u.Groups}, u.ARN}
	}
	for _, id := range m.Accounts {
		t.accounts[id] = true
	}
	return t
}

// Find finds the entry of an identity. Looked up by its unique id, an identity
// must also have the entry's ARN, if there is one.
func (t *table) Find(id ekstoken.Identity) (Entry, bool) {
	key := arn.Fold(id.CanonicalARN)
	if t.byUserID {
		key = id.UserID
	}
	f, ok := t.roles[key]
	if !ok {
		if entry, ok := findSSO(t.sso, id.CanonicalARN); ok {
			return entry, true
		}
		f, ok = t.users[key]
	}
	if !ok || t.byUserID && f.arn != "" && arn.Fold(f.arn) != arn.Fold(id.CanonicalARN) {
		return Entry{}, false
	}
	return f.entry, true
}

// Account tells whether a whole account is let in.
func (t *table) Account(id string) bool { return t.accounts[id] }

func ssoPrefix(s authnconfig.SSO) string {
	role := arn.ARN{Partition: s.Partition, AccountID: s.AccountID, Type: arn.TypeRole, Path: "/", Name: "AWSReservedSSO_" + s.PermissionSetName + "_"}
	return role.String()
}

func findSSO(sets []permissionSet, canonicalARN string) (Entry, bool) {
	for _, set := range slices.Backward(sets) {
		digits, ok := strings.CutPrefix(canonicalARN, set.prefix)
		if ok && len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == "" {
			return set.entry, true
		}
	}
	return Entry{}, false
}
