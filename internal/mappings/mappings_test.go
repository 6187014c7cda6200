package mappings

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

const account = "arn:aws:iam::123456789012:"

// fixed is a backend whose content does not change.
type fixed struct {
	name    string
	content Content
}

func (f fixed) Name() string              { return f.name }
func (f fixed) Content() Content          { return f.content }
func (f fixed) Run(context.Context) error { return nil }

func backend(name string, m authnconfig.Mappings) Backend { return fixed{name, newTable(m, false)} }

func identity(canonicalARN string) ekstoken.Identity {
	return ekstoken.Identity{
		CanonicalARN: canonicalARN, AccountID: "123456789012", UserID: "AROAEXAMPLE",
		SessionName: "alice@example.com", AccessKeyID: "ASIAEXAMPLE",
	}
}

func role(name, username string, groups ...string) authnconfig.Role {
	return authnconfig.Role{ARN: account + "role/" + name, Username: username, Groups: groups}
}

func user(name, username string) authnconfig.User {
	return authnconfig.User{ARN: account + "user/" + name, Username: username}
}

func set(name string) *authnconfig.SSO {
	return &authnconfig.SSO{PermissionSetName: name, AccountID: "123456789012", Partition: "aws"}
}

func TestMap(t *testing.T) {
	first := backend("first", authnconfig.Mappings{
		Roles: []authnconfig.Role{
			role("Twice", "older"), role("twice", "newer"), role("Both", "first"),
			role("T", "{{AccountID}}:{{SessionName}}", "{{SessionNameRaw}}", "{{AccessKeyID}}", "{{Other}}"),
			role("Node", "system:node:{{EC2PrivateDNSName}}"), role("Reserved", "system:admin"), role("Group", "g", "dev", "system:masters"),
			{SSO: set("Admin"), Username: "sso"},
			{ARN: account + "role/AWSReservedSSO_Admin_00000000000000ff", Username: "exact"},
		},
		Users:    []authnconfig.User{user("a/path", "path"), user("Both", "user")},
		Accounts: []string{"123456789012"},
	})
	second := backend("second", authnconfig.Mappings{Roles: []authnconfig.Role{role("Both", "second"), role("Second", "second"), role("Empty", "{{SessionName}}")}})
	chain := &Chain{Backends: []Backend{first, second}, Reserved: map[string][]string{"first": {"system:", ""}}}
	for _, row := range []struct {
		reason, arn string
		want        authenticationv1.UserInfo
		refused     string
	}{
		{"the last of two entries that differ in case", account + "role/TWICE", authenticationv1.UserInfo{Username: "newer"}, ""},
		{"the first backend wins", account + "role/Both", authenticationv1.UserInfo{Username: "first"}, ""},
		{"the second backend comes before the first one's accounts", account + "role/Second", authenticationv1.UserInfo{Username: "second"}, ""},
		{"a user with its path", account + "user/a/path", authenticationv1.UserInfo{Username: "path"}, ""},
		{"a user without it is only of the account", account + "user/path", authenticationv1.UserInfo{Username: account + "user/path"}, ""},
		{"templates", account + "role/T", authenticationv1.UserInfo{
			Username: "123456789012:alice-example.com", Groups: []string{"alice@example.com", "ASIAEXAMPLE", "{{Other}}"}}, ""},
		{"a permission set", account + "role/AWSReservedSSO_Admin_0123456789abcdef", authenticationv1.UserInfo{Username: "sso"}, ""},
		{"an ARN comes before a permission set", account + "role/AWSReservedSSO_Admin_00000000000000ff", authenticationv1.UserInfo{Username: "exact"}, ""},
		{"a permission set with a longer name", account + "role/AWSReservedSSO_Admin_Too_0123456789abcdef", authenticationv1.UserInfo{Username: account + "role/AWSReservedSSO_Admin_Too_0123456789abcdef"}, ""},
		{"a role that only looks like the set's", account + "role/AWSReservedSSO_Admin_mine", authenticationv1.UserInfo{Username: account + "role/AWSReservedSSO_Admin_mine"}, ""},
		{"a reserved username", account + "role/Reserved", authenticationv1.UserInfo{}, `must not give the username "system:admin"`},
		{"a reserved group", account + "role/Group", authenticationv1.UserInfo{}, `must not give the group "system:masters"`},
		{"a session that is no instance", account + "role/Node", authenticationv1.UserInfo{}, "not named after an instance"},
	} {
		got, err := chain.Map(t.Context(), identity(row.arn))
		if row.refused != "" {
			if err == nil || !strings.Contains(err.Error(), row.refused) {
				t.Errorf("%s: got %v %v, want %s", row.reason, got, err, row.refused)
			}
			continue
		}
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v -want +got\n%s", row.reason, err, diff)
		}
	}
	noSession := identity(account + "role/Empty")
	noSession.SessionName = ""
	if got, err := chain.Map(t.Context(), noSession); err == nil {
		t.Errorf("an empty username was given: %v", got)
	}
	other := identity("arn:aws:iam::000000000000:role/Both")
	other.AccountID = "000000000000"
	if _, err := chain.Map(t.Context(), other); !errors.Is(err, ErrNotMapped) {
		t.Errorf("another account: got %v, want that it is not mapped", err)
	}
}

// TestWhatATemplatePutsInIsNoTemplate: session names are chosen by whoever
// assumes the role.
func TestWhatATemplatePutsInIsNoTemplate(t *testing.T) {
	chain := &Chain{Backends: []Backend{backend("b", authnconfig.Mappings{Roles: []authnconfig.Role{role("X", "{{SessionName}}/{{AccountID}}")}})}}
	id := identity(account + "role/X")
	id.SessionName = "{{AccessKeyID}}{{AccountID}}"
	got, err := chain.Map(t.Context(), id)
	if want := "{{AccessKeyID}}{{AccountID}}/123456789012"; err != nil || got.Username != want {
		t.Errorf("got %q %v, want %q", got.Username, err, want)
	}
}

func TestUnreadBackend(t *testing.T) {
	content := backend("read", authnconfig.Mappings{Roles: []authnconfig.Role{role("X", "x")}})
	missing := fixed{"missing", nil}
	for _, row := range []struct {
		reason   string
		backends []Backend
		arn      string
		let      bool
	}{
		{"an entry behind it must wait", []Backend{missing, content}, account + "role/X", false},
		{"an entry before it need not", []Backend{content, missing}, account + "role/X", true},
		{"nobody is said to be unmapped", []Backend{content, missing}, account + "role/Y", false},
	} {
		chain := &Chain{Backends: row.backends}
		_, err := chain.Map(t.Context(), identity(row.arn))
		var temporary interface{ Temporary() bool }
		if (err == nil) != row.let || !row.let && (!errors.As(err, &temporary) || !temporary.Temporary()) {
			t.Errorf("%s: got %v", row.reason, err)
		}
		if chain.Ready() == nil {
			t.Errorf("%s: it is ready", row.reason)
		}
	}
}

func TestByUserID(t *testing.T) {
	table := newTable(authnconfig.Mappings{
		Roles: []authnconfig.Role{{UserID: "AROAEXAMPLE", ARN: account + "role/X", Username: "x"}, {UserID: "AROAFREE", Username: "free"}},
	}, true)
	free := identity(account + "role/Any")
	free.UserID = "AROAFREE"
	for _, row := range []struct {
		reason string
		id     ekstoken.Identity
		want   bool
	}{
		{"id and ARN", identity(account + "role/x"), true},
		{"the id alone, where the entry has an ARN", identity(account + "role/Y"), false},
		{"the id alone, where it has none", free, true},
	} {
		if _, ok := table.Find(row.id); ok != row.want {
			t.Errorf("%s: got %t", row.reason, ok)
		}
	}
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	failures := 0
	config := FileConfig{Path: path, Log: logr.Discard(), Failed: func() { failures++ }}
	mounted, dynamic := NewMountedFile(config), NewDynamicFile(config, false)
	const entry = "mapUsers: [{userarn: 'arn:aws:iam::123456789012:user/x', username: x}]"
	has := func(b Backend) string {
		c := b.Content()
		if c == nil {
			return "nothing read"
		}
		if _, ok := c.Find(identity(account + "user/x")); ok {
			return "x"
		}
		return "empty"
	}
	for _, row := range []struct {
		reason, text     string
		mounted, dynamic string
		failures         int
	}{
		{"missing", "", "nothing read", "empty", 1},
		{"an entry", "server: {" + entry + "}", "x", "empty", 2},
		{"an entry of a dynamic file; the last good content stays", entry, "x", "x", 3},
		{"the same again is not reported again", entry, "x", "x", 3},
		{"broken", "{", "x", "x", 5},
		{"empty", "{}", "empty", "empty", 5},
		{"an entry again", "server: {" + entry + "}", "x", "empty", 6},
		{"cut off while it is written", "\n", "x", "empty", 8},
	} {
		if row.text != "" {
			if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mounted.Refresh()
		dynamic.Refresh()
		if has(mounted) != row.mounted || has(dynamic) != row.dynamic || failures != row.failures {
			t.Errorf("%s: mounted %s, dynamic %s, %d failures; want %s, %s, %d", row.reason, has(mounted), has(dynamic), failures, row.mounted, row.dynamic, row.failures)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if mounted.Refresh(); has(mounted) != "x" {
		t.Errorf("a mounted file that is gone: %s, want its last content", has(mounted))
	}
}

func TestConfigMap(t *testing.T) {
	entry := func(arn, name string) string {
		return "- " + arn + "arn: " + account + arn + "/" + name + "\n  username: " + name + "\n"
	}
	sso := "- sso: {permissionSetName: Admin, accountID: \"123456789012\"}\n  username: sso\n- sso: {permissionSetName: 'A*', accountID: \"123456789012\"}\n  username: wild\n"
	admin := account + "role/AWSReservedSSO_Admin_0123456789abcdef"
	for _, wipe := range []bool{false, true} {
		b := NewConfigMap(ConfigMapConfig{Log: logr.Discard(), Wipe: wipe})
		if b.Content() != nil {
			t.Fatal("it has content before it was read")
		}
		for _, row := range []struct {
			reason string
			data   map[string]string
			want   string // who is found, in order; kept: stands only where nothing is wiped
			wiped  string
		}{
			{"there is none", nil, "", ""},
			{"all keys", map[string]string{"mapRoles": entry("role", "r") + sso, "mapUsers": entry("user", "u"), "mapAccounts": "- '123456789012'"}, "r u sso account", "r u sso account"},
			{"a key cannot be parsed", map[string]string{"mapRoles": "\t", "mapUsers": entry("user", "u")}, "r u sso", "u"},
			{"it stays so", map[string]string{"mapRoles": "{", "mapUsers": "a: b", "mapAccounts": "{"}, "r u sso", ""},
			{"it can be parsed again", map[string]string{"mapRoles": entry("role", "r")}, "r", "r"},
			{"it is emptied", map[string]string{"mapRoles": "[]"}, "", ""},
			{"an entry again, and a set", map[string]string{"mapRoles": entry("role", "r") + sso}, "r sso", "r sso"},
			{"the entry is taken out in a form that we do not edit", map[string]string{"mapRoles": "%YAML 1.1\n---\n" + sso}, "sso", "sso"},
			{"so is the set", map[string]string{"mapRoles": "!!seq []"}, "", ""},
			{"a key was deleted, and comes back broken", map[string]string{"mapRoles": "{"}, "", ""},
		} {
			b.Set(row.data)
			var found []string
			for _, arn := range []string{account + "role/R", account + "user/u", admin} {
				if e, ok := b.Content().Find(identity(arn)); ok {
					found = append(found, e.Username)
				}
			}
			if b.Content().Account("123456789012") {
				found = append(found, "account")
			}
			want := row.want
			if wipe {
				want = row.wiped
			}
			if got := strings.Join(found, " "); got != want {
				t.Errorf("%s (wipe=%t): got %q, want %q", row.reason, wipe, got, want)
			}
		}
	}
}
