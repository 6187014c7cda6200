package awsauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Entry is one entry of mapUsers or mapRoles as the authenticator decodes it.
type Entry struct {
	Kind rules.Kind
	// ARN as written; compare with arn.Fold. Role ARNs match only without path.
	ARN string
	// Username and Groups may hold aws-auth templates such as {{SessionName}}.
	Username string
	Groups   []string
}

// Key identifies the entry as the authenticator does: by its ARN, without case.
func (e Entry) Key() string { return arn.Fold(e.ARN) }

// Digest is the digest of what the entry grants; see rules.ContentDigest.
func (e Entry) Digest() string { return rules.ContentDigest(e.Username, e.Groups) }

// Grants reports whether both entries give the same user name and set of
// groups.
func (e Entry) Grants(same Entry) bool {
	return e.Username == same.Username && (slices.Equal(e.Groups, same.Groups) || e.Digest() == same.Digest())
}

// arnField is the key that holds the ARN in entries of this kind.
func arnField(k rules.Kind) string {
	if k == rules.Role {
		return "rolearn"
	}
	return "userarn"
}

// decoded is the meaning of a value: its items, readable or not.
type decoded struct {
	entries []Entry           // one per item; ARN "" where the authenticator drops the item
	raw     []json.RawMessage // the same items whole, with fields nobody reads
	sets    []*permissionSet  // by item of mapRoles: what stands under sso; nil for nothing
	both    []bool            // by item: it names a role and has sso, so it is dropped
}

// permissionSet is what stands under sso: the permission set of IAM Identity
// Center whose roles are meant. It is there, and empty, for whatever the
// authenticator cannot read but null.
type permissionSet struct {
	PermissionSetName string `json:"permissionSetName"`
	AccountID         string `json:"accountID"`
	Partition         string `json:"partition"`
}

// check tells why the authenticator drops an item with this permission set.
func (p *permissionSet) check() error {
	s := authnconfig.SSO{PermissionSetName: p.PermissionSetName, AccountID: p.AccountID, Partition: p.Partition}
	return s.Check()
}

// errNotAList says that EKS finds no entry at all under the key.
var errNotAList = errors.New("it is not a YAML list, so EKS ignores everything in it")

// decode reads a value as the authenticator's ParseMap does
// (sigs.k8s.io/aws-iam-authenticator pkg/mapper/configmap): the first YAML
// document as JSON, then encoding/json, which keeps what has the right type
// and leaves the rest at its zero value. Of the items it drops those without an
// ARN, and those of mapRoles that have rolearn and sso.
func decode(kind rules.Kind, value string) (decoded, error) {
	text, err := yaml.ToJSON([]byte(value))
	if err != nil {
		return decoded{}, fmt.Errorf("it is not valid YAML, so EKS ignores everything in it: %w", err)
	}
	var d decoded
	if err := json.Unmarshal(text, &d.raw); err != nil {
		return decoded{}, errNotAList
	}
	var fields []struct {
		UserARN  string         `json:"userarn"`
		RoleARN  string         `json:"rolearn"`
		SSO      *permissionSet `json:"sso"`
		Username string         `json:"username"`
		Groups   []string       `json:"groups"`
	}
	var mistyped *json.UnmarshalTypeError
	if err := json.Unmarshal(text, &fields); err != nil && !errors.As(err, &mistyped) {
		return decoded{}, fmt.Errorf("it cannot be read: %w", err)
	}
	d.entries, d.sets, d.both = make([]Entry, len(fields)), make([]*permissionSet, len(fields)), make([]bool, len(fields))
	for i, f := range fields {
		e := Entry{Kind: kind, ARN: f.UserARN, Username: f.Username, Groups: f.Groups}
		if kind == rules.Role {
			e.ARN, d.sets[i] = f.RoleARN, f.SSO
			if d.both[i] = f.RoleARN != "" && f.SSO != nil; d.both[i] {
				e.ARN = ""
			}
		}
		d.entries[i] = e
	}
	return d, nil
}
