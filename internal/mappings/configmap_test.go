package mappings

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

// TestFirstListing: a ConfigMap that comes while the first listing ends without
// it is not taken for absent.
func TestFirstListing(t *testing.T) {
	data := map[string]string{"mapUsers": "- userarn: " + account + "user/x\n  username: x\n"}
	for range 200 {
		b := NewConfigMap(ConfigMapConfig{Log: logr.Discard()})
		var both sync.WaitGroup
		both.Go(func() { b.Set(data) })
		both.Go(b.listed)
		both.Wait()
		if _, ok := b.Content().Find(identity(account + "user/x")); !ok {
			t.Fatal("the ConfigMap was overwritten by its absence")
		}
	}
	b := NewConfigMap(ConfigMapConfig{Log: logr.Discard()})
	if b.listed(); b.Content() == nil {
		t.Error("without a ConfigMap nothing counts as read")
	}
}

// TestDroppedItemsAreReported: once for each content, with the reason.
func TestDroppedItemsAreReported(t *testing.T) {
	var lines []string
	b := NewConfigMap(ConfigMapConfig{Log: funcr.New(func(_, line string) {
		if strings.Contains(line, "lets nobody in") {
			lines = append(lines, line)
		}
	}, funcr.Options{})})
	good := "- rolearn: " + account + "role/r\n  username: r\n- sso: {permissionSetName: Admin, accountID: '123456789012'}\n  username: a\n"
	for _, row := range []struct {
		reason string
		data   map[string]string
		want   []string // in the lines
	}{
		{"nothing is dropped", map[string]string{"mapRoles": good}, nil},
		{"an account without quotes", map[string]string{"mapRoles": good + "- sso: {permissionSetName: B, accountID: 123456789012}\n  username: b\n"},
			[]string{`"key"="mapRoles" "item"=3`}},
		{"the same again", map[string]string{"mapRoles": good + "- sso: {permissionSetName: B, accountID: 123456789012}\n  username: b\n"}, nil},
		{"the same again beside another key", map[string]string{"mapUsers": "- username: u\n- userarn: " + account + "user/u\n- x\n",
			"mapRoles": good + "- sso: {permissionSetName: B, accountID: 123456789012}\n  username: b\n"}, []string{`"key"="mapUsers" "item"=1`, `"key"="mapUsers" "item"=3`}},
		{"a role beside a permission set", map[string]string{"mapRoles": good + "- rolearn: " + account + "role/s\n  sso: {}\n  username: s\n"}, []string{`"item"=3`}},
		{"no ARN", map[string]string{"mapRoles": "- username: r\n- null\n"}, []string{`"item"=1`, `"item"=2`}},
	} {
		lines = nil
		b.Set(row.data)
		if len(lines) != len(row.want) {
			t.Errorf("%s: got %d lines, want %d: %s", row.reason, len(lines), len(row.want), lines)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: got %s, want %s", row.reason, lines[i], want)
			}
		}
	}
	it := readItems("- sso: {permissionSetName: B, accountID: 123456789012}")[0]
	want := `accountID "" is not an account ID of 12 digits; sso.accountID is a number where a text is expected, so put it in quotes`
	if diff := cmp.Diff(want, fmt.Sprint(it.useless("role"))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestPermissionSetsAreComparedExactly: Dev and dev are two permission sets, in
// every backend.
func TestPermissionSetsAreComparedExactly(t *testing.T) {
	b := NewConfigMap(ConfigMapConfig{Log: logr.Discard()})
	b.Set(map[string]string{"mapRoles": "- sso: {permissionSetName: Dev, accountID: '123456789012'}\n  username: sso\n"})
	contents := map[string]Content{
		"aws-auth": b.Content(),
		"a file":   newTable(authnconfig.Mappings{Roles: []authnconfig.Role{{SSO: set("Dev"), Username: "sso"}}}, false),
	}
	for name, content := range contents {
		for role, want := range map[string]bool{
			"AWSReservedSSO_Dev_0123456789abcdef": true,
			"AWSReservedSSO_dev_0123456789abcdef": false,
			"awsreservedsso_Dev_0123456789abcdef": false,
			"AWSReservedSSO_Dev_0123456789ABCDEF": false,
			"AWSReservedSSO_Dev_0123456789abcde":  false,
		} {
			if _, ok := content.Find(identity(account + "role/" + role)); ok != want {
				t.Errorf("%s: %s: found %t, want %t", name, role, ok, want)
			}
		}
	}
}
