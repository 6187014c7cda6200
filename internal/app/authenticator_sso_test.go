package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestAddPermissionSet: the set's entry comes into whatever form mapRoles has,
// and nothing else changes.
func TestAddPermissionSet(t *testing.T) {
	const r = "- rolearn: arn:aws:iam::123456789012:role/r # nodes\n  username: r\n"
	const block = "- sso: {\"permissionSetName\": \"Admin\", \"accountID\": \"123456789012\"}\n  username: sso:{{SessionName}}\n  groups:\n  - dev\n"
	for _, row := range []struct {
		reason, flags, before, want string
	}{
		{"nothing is there", "permissionSetName=Admin accountID=123456789012", "", block},
		{"an empty list", "permissionSetName=Admin accountID=123456789012", "[]", block},
		{"behind another entry", "permissionSetName=Admin accountID=123456789012", r, r + block},
		{"in braces", "permissionSetName=Admin accountID=123456789012", `[{"rolearn": "arn:aws:iam::123456789012:role/r", "username": "r"}]`,
			`[{"rolearn": "arn:aws:iam::123456789012:role/r", "username": "r"},{"sso":{"permissionSetName": "Admin", "accountID": "123456789012"},"username":"sso:{{SessionName}}","groups":["dev"]}]`},
		{"another partition, and what YAML may take for something else", "permissionSetName=@,=+. accountID=012345670123 partition=aws-cn", r,
			r + strings.Replace(block, `"Admin", "accountID": "123456789012"`, `"@,=+.", "accountID": "012345670123", "partition": "aws-cn"`, 1)},
		{"another set is there", "permissionSetName=Dev accountID=123456789012", block, block + strings.Replace(block, "Admin", "Dev", 1)},
	} {
		given := map[string]string{}
		for pair := range strings.FieldsSeq(row.flags) {
			key, value, _ := strings.Cut(pair, "=")
			given[key] = value
		}
		set, err := permissionSet(given)
		if err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		entry := awsauth.Entry{Kind: rules.Role, ARN: roleOfSet(set).String(), Username: "sso:{{SessionName}}", Groups: []string{"dev"}}
		cm := &corev1.ConfigMap{Data: map[string]string{"mapRoles": row.before, "mapUsers": "x: y"}}
		if err := withEntry(cm, entry, &set); err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		if diff := cmp.Diff(map[string]string{"mapRoles": row.want, "mapUsers": "x: y"}, cm.Data); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
		if err := withEntry(cm, entry, &set); err == nil || !strings.Contains(err.Error(), "has an entry already, as sso:{{SessionName}}") {
			t.Errorf("%s: added twice: %v", row.reason, err)
		}
	}
}

func TestFeatureGates(t *testing.T) {
	for _, row := range []struct {
		reason string
		given  map[string]string
		want   string
	}{
		{"none", nil, ""},
		{"all that are on", map[string]string{"SSORoleMatch": "true", "ConfiguredInitDirectories": "True", "IAMIdentityMappingCRD": "1", "AllAlpha": "true"}, ""},
		{"one that is always on", map[string]string{"SSORoleMatch": "false"}, "SSORoleMatch cannot be turned off: entries with sso always match"},
		{"an unknown one", map[string]string{"X": "true"}, `there is no feature gate "X"; there are AllAlpha, AllBeta,`},
		{"neither on nor off", map[string]string{"SSORoleMatch": "maybe"}, `SSORoleMatch is "maybe"; use true or false`},
	} {
		err := checkGates(row.given)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
	}
}
