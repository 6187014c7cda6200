package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/mappings"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// permissionSet reads the value of --sso.
func permissionSet(given map[string]string) (authnconfig.SSO, error) {
	var s authnconfig.SSO
	for _, key := range slices.Sorted(maps.Keys(given)) {
		switch key {
		case "permissionSetName":
			s.PermissionSetName = given[key]
		case "accountID":
			s.AccountID = given[key]
		case "partition":
			s.Partition = given[key]
		default:
			return s, fmt.Errorf("there is no key %q; use permissionSetName, accountID and partition", key)
		}
	}
	err := s.Check()
	return s, err
}

// roleOfSet is a role that IAM Identity Center could make for a permission set.
func roleOfSet(s authnconfig.SSO) arn.ARN {
	name := "AWSReservedSSO_" + s.PermissionSetName + "_0000000000000000"
	return arn.ARN{Partition: s.Partition, AccountID: s.AccountID, Type: arn.TypeRole, Path: "/", Name: name}
}

// findSet finds the entry of a permission set as the server does.
func findSet(data map[string]string, s authnconfig.SSO) (mappings.Entry, bool) {
	backend := mappings.NewConfigMap(mappings.ConfigMapConfig{Log: logr.Discard()})
	backend.Set(map[string]string{rules.Role.DataKey(): data[rules.Role.DataKey()]})
	return backend.Content().Find(ekstoken.Identity{CanonicalARN: roleOfSet(s).String()})
}

// nameSet turns the entry of roleOfSet, which was just added, into one of the
// permission set: in the text, so that nothing else in it changes.
func nameSet(values map[string]string, entry awsauth.Entry, s authnconfig.SSO) error {
	key := entry.Kind.DataKey()
	before := values[key]
	set := fmt.Sprintf(`{"permissionSetName": %q, "accountID": %q`, s.PermissionSetName, s.AccountID)
	if s.Partition != "aws" {
		set += fmt.Sprintf(`, "partition": %q`, s.Partition)
	}
	set += "}"
	after := strings.NewReplacer(
		"rolearn: "+entry.ARN, "sso: "+set, // as an item of a block
		`rolearn: "`+entry.ARN+`"`, "sso: "+set,
		`"rolearn":"`+entry.ARN+`"`, `"sso":`+set, // in braces
	).Replace(before)
	values[key] = after

	// The result must hold the set as it was meant, and all other entries.
	got, ok := findSet(values, s)
	with, without := awsauth.Read(entry.Kind, before, true).Entries(), awsauth.Read(entry.Kind, after, true).Entries()
	with = slices.DeleteFunc(with, func(e awsauth.Entry) bool { return e.ARN == entry.ARN })
	same := slices.EqualFunc(with, without, func(a, b awsauth.Entry) bool { return a.ARN == b.ARN && a.Grants(b) })
	if !ok || !same || !entry.Grants(awsauth.Entry{Username: got.Username, Groups: got.Groups}) {
		return errors.New("the entry cannot be written into " + key + " without changing what is there; write it with kubectl -n kube-system edit configmap aws-auth")
	}
	return nil
}
