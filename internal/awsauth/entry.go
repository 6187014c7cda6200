package awsauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
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
}

// errNotAList says that EKS finds no entry at all under the key.
var errNotAList = errors.New("it is not a YAML list, so EKS ignores everything in it")

// decode reads a value as the authenticator's ParseMap does
// (sigs.k8s.io/aws-iam-authenticator pkg/mapper/configmap): the first YAML
// document as JSON, then encoding/json, which keeps what has the right type
// and leaves the rest at its zero value.
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
		UserARN  string   `json:"userarn"`
		RoleARN  string   `json:"rolearn"`
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	}
	var mistyped *json.UnmarshalTypeError
	if err := json.Unmarshal(text, &fields); err != nil && !errors.As(err, &mistyped) {
		return decoded{}, fmt.Errorf("it cannot be read: %w", err)
	}
	d.entries = make([]Entry, len(fields))
	for i, f := range fields {
		e := Entry{Kind: kind, ARN: f.UserARN, Username: f.Username, Groups: f.Groups}
		if kind == rules.Role {
			e.ARN = f.RoleARN
		}
		d.entries[i] = e
	}
	return d, nil
}
