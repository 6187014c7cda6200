package mappings

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// item is an item of mapRoles or mapUsers, read in the way in which
// aws-iam-authenticator reads it: what has the wrong type is left empty.
type item struct {
	RoleARN string `json:"rolearn"`
	UserARN string `json:"userarn"`
	SSO     *struct {
		PermissionSetName string `json:"permissionSetName"`
		AccountID         string `json:"accountID"`
		Partition         string `json:"partition"`
	} `json:"sso"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	// mistyped is the first value of the wrong type.
	mistyped *json.UnmarshalTypeError
}

// items is a whole value; empty if it cannot be read at all.
type items []item

func readItems(value string) items {
	text, err := yaml.ToJSON([]byte(value))
	if err != nil {
		return nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil
	}
	read := make(items, len(raw))
	for i := range raw {
		// The text is JSON: an error is about a type.
		if err := json.Unmarshal(raw[i], &read[i]); err != nil && !errors.As(err, &read[i].mistyped) {
			return nil
		}
	}
	return read
}

// set is the permission set that an item names instead of a role.
func (it *item) set() (authnconfig.SSO, error) {
	s := authnconfig.SSO{PermissionSetName: it.SSO.PermissionSetName, AccountID: it.SSO.AccountID, Partition: it.SSO.Partition}
	err := s.Check()
	return s, err
}

// sets are the entries of permission sets.
func (list items) sets() []permissionSet {
	var sets []permissionSet
	for i := range list {
		it := &list[i]
		if it.SSO == nil || it.RoleARN != "" {
			continue
		}
		if s, err := it.set(); err == nil {
			sets = append(sets, permissionSet{ssoPrefix(s), Entry{Username: it.Username, Groups: it.Groups}})
		}
	}
	return sets
}

// useless tells why an item lets nobody in; nil if it may.
func (it *item) useless(kind rules.Kind) error {
	var err error
	switch {
	case kind == rules.Role && it.RoleARN != "" && it.SSO != nil:
		return errors.New("it has both rolearn and sso; keep one of them")
	case kind == rules.User && it.UserARN != "" || kind == rules.Role && it.RoleARN != "":
		return nil
	case kind == rules.User:
		err = errors.New("there is no userarn")
	case it.SSO == nil:
		err = errors.New("there is neither rolearn nor sso")
	default:
		_, err = it.set()
	}
	if err != nil && it.mistyped != nil && it.mistyped.Value == "number" {
		err = fmt.Errorf("%w; %s is a number where a text is expected, so put it in quotes", err, it.mistyped.Field)
	}
	return err
}

// report logs the items that let nobody in, once for each content.
func (b *ConfigMap) report(kind rules.Kind, data map[string]string, list items) {
	key := kind.DataKey()
	if value := data[key]; b.dropped[key] == value {
		return
	}
	if b.dropped == nil {
		b.dropped = map[string]string{}
	}
	b.dropped[key] = data[key]
	for i := range list {
		if err := list[i].useless(kind); err != nil {
			b.config.Log.Error(err, "an item of aws-auth lets nobody in", "key", key, "item", i+1)
		}
	}
}
