package awsauth

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestLookup(t *testing.T) {
	block := func(field string, pairs ...string) string {
		var b strings.Builder
		for i := 0; i < len(pairs); i += 2 {
			b.WriteString("- " + field + ": " + pairs[i] + "\n  username: " + pairs[i+1] + "\n")
		}
		return b.String()
	}
	sso := func(value string) string { return "  sso: " + value + "\n" } // of the last entry
	for _, row := range []struct {
		reason, roles, users string
		arn, want            string // the username, empty: none
	}{
		{"a user", "", block("userarn", account+"user/alice", "alice"), account + "user/alice", "alice"},
		{"a user with a path is a user of that path", "", block("userarn", account+"user/a/alice", "alice"), account + "user/a/alice", "alice"},
		{"a user with a path is not the one without", "", block("userarn", account+"user/a/alice", "alice"), account + "user/alice", ""},
		{"a role", block("rolearn", account+"role/x", "x"), "", account + "role/x", "x"},
		{"nobody", block("rolearn", account+"role/x", "x"), "", account + "role/y", ""},
		{"an empty ARN", block("rolearn", account+"role/x", "x") + "- username: nobody\n", "- username: nobody\n", "", ""},
		{"an empty document", "", "", account + "role/x", ""},
		{"the case of the entry does not matter", block("rolearn", account+"role/Admin", "x"), "", account + "role/admin", "x"},
		{"the case of the identity does not matter", block("rolearn", account+"role/admin", "x"), "", account + "role/ADMIN", "x"},
		{"the last of equal entries counts", block("rolearn", account+"role/x", "first", account+"role/x", "last"), "", account + "role/x", "last"},
		{"the last of entries that differ in case counts", "", block("userarn", account+"user/x", "first", account+"user/X", "last"), account + "user/x", "last"},
		{"also under the first one's spelling", "", block("userarn", account+"user/X", "first", account+"user/x", "last"), account + "user/X", "last"},
		{"an entry for another one between them does not matter", "", block("userarn", account+"user/x", "first", account+"user/y", "y"), account + "user/x", "first"},
		{"roles come before users", block("rolearn", account+"role/x", "role"), block("userarn", account+"role/x", "user"), account + "role/x", "role"},
		{"a user's ARN may stand under mapRoles", block("rolearn", account+"user/x", "role"), block("userarn", account+"user/x", "user"), account + "user/x", "role"},
		{"a role's ARN may stand under mapUsers", "", block("userarn", account+"role/x", "user"), account + "role/x", "user"},
		{"a role entry with a path does not match the session", block("rolearn", account+"role/a/x", "x"), "", account + "role/x", ""},
		{"a role entry with a path matches nothing", block("rolearn", account+"role/a/x", "x"), "", account + "role/a/x", ""},
		{"nor in another case", block("rolearn", account+"role/a/x", "x"), "", account + "role/A/X", ""},
		{"an entry with a path does not hide the one without", block("rolearn", account+"role/x", "x", account+"role/a/x", "path"), "", account + "role/x", "x"},
		{"an item without ARN does not hide one", "- rolearn: " + account + "role/x\n  username: x\n- username: y\n", "", account + "role/x", "x"},
		{"a role beside a permission set is dropped", block("rolearn", account+"role/x", "x") + sso(`{permissionSetName: Admin, accountID: "123456789012"}`), "", account + "role/x", ""},
		{"a role beside an empty permission set is dropped", block("rolearn", account+"role/x", "x") + sso("{}"), "", account + "role/x", ""},
		{"a role beside what is no permission set is dropped", block("rolearn", account+"role/x", "x") + sso("plain text"), "", account + "role/x", ""},
		{"a role beside nothing as permission set stays", block("rolearn", account+"role/x", "x") + sso("null"), "", account + "role/x", "x"},
		{"what is dropped does not hide an earlier entry", block("rolearn", account+"role/x", "first", account+"role/x", "last") + sso("{}"), "", account + "role/x", "first"},
		{"what is dropped does not hide a user's entry", block("rolearn", account+"user/x", "role") + sso("{}"), block("userarn", account+"user/x", "user"), account + "user/x", "user"},
		{"users have no permission set", "", block("userarn", account+"user/x", "x") + sso("{}"), account + "user/x", "x"},
		{"root", "", block("userarn", account+"root", "root"), account + "root", "root"},
		{"JSON", `[{"rolearn": "` + account + `role/x", "username": "x"}]`, "", account + "role/x", "x"},
		{"what may not be edited is read all the same", "!!seq\n" + block("rolearn", account+"role/x", "x"), "", account + "role/x", "x"},
		{"what is no YAML holds nobody", "{", block("userarn", account+"role/x", "user"), account + "role/x", "user"},
	} {
		data := map[string]string{"mapRoles": row.roles, "mapUsers": row.users}
		got, ok := read(data).Lookup(row.arn)
		if got.Username != row.want || ok != (row.want != "") {
			t.Errorf("%s: got %q %t, want %q", row.reason, got.Username, ok, row.want)
		}
	}
}

func TestLookupGivesTheWholeEntry(t *testing.T) {
	want := role("x", "x:{{SessionName}}", "a", "b")
	doc := read(map[string]string{"mapRoles": asSeed([]Entry{want}, "", "\n")})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if got, _ := doc.Lookup(want.ARN); cmp.Diff(want, got) != "" {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	all.Wait()
}

// TestDroppedEntriesGiveWay: an item that EKS drops is nobody's, so a rule's
// entry for the same role goes in, and the item stays as it is.
func TestDroppedEntriesGiveWay(t *testing.T) {
	const dropped = "- rolearn: " + account + "role/x\n  sso: plain text\n  username: theirs\n"
	before := read(map[string]string{"mapRoles": dropped})
	if got := before.Entries(); len(got) != 0 {
		t.Errorf("EKS sees none of %v", got)
	}
	want := role("x", "ours", "g")
	after := before.Merge(Edit{Owned: func(Entry) bool { return false }, Want: []Entry{want}}).Document
	if got, _ := after.Lookup(want.ARN); cmp.Diff(want, got) != "" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := after.Values()["mapRoles"]; !strings.HasPrefix(got, dropped) {
		t.Errorf("what others wrote changed: %s", got)
	}
}

func TestLookupAfterMerge(t *testing.T) {
	before := read(map[string]string{
		"mapUsers":    asSeed([]Entry{user("tmp-old", "old", "g"), user("stays", "stays", "g")}, "", "\n"),
		"mapAccounts": "- '123456789012'",
	})
	if _, ok := before.Lookup(account + "user/tmp-old"); !ok {
		t.Fatal("tmp-old is there before")
	}
	after := before.Merge(Edit{Owned: temporary, Want: []Entry{user("tmp-new", "new", "g")}}).Document
	for name, want := range map[string]bool{"tmp-old": false, "tmp-new": true, "stays": true} {
		if _, ok := after.Lookup(account + "user/" + name); ok != want {
			t.Errorf("%s: got %t, want %t", name, ok, want)
		}
	}
	if diff := cmp.Diff([]string{"123456789012"}, after.MapAccounts()); diff != "" {
		t.Errorf("an edit keeps the accounts: -want +got\n%s", diff)
	}
}

func TestMapAccounts(t *testing.T) {
	for _, row := range []struct {
		reason, value string
		want          []string
		problem       bool
	}{
		{"quoted", "- \"012345678901\"\n- '123456789012'\n", []string{"012345678901", "123456789012"}, false},
		{"bare numbers keep their digits", "- 012345670123\n- 123456789012", []string{"012345670123", "123456789012"}, false},
		{"a number with underscores is no account, but stays as it is", "- 123_456", []string{"123_456"}, false},
		{"JSON", `["123456789012"]`, []string{"123456789012"}, false},
		{"the first document counts", "- '1'\n---\n- '2'\n", []string{"1"}, false},
		{"a comment", "# none\n", nil, false},
		{"nothing", "", nil, false},
		{"quotes around nothing", "''\n", nil, false},
		{"backticks around nothing", " `` ", nil, false},
		{"null", "null", nil, false},
		{"an empty list", "[]", nil, false},
		{"empty items and nulls are dropped", "- ''\n- null\n- '1'\n-\n", []string{"1"}, false},
		{"items of other types are dropped", "- {a: b}\n- '1'\n- [x]\n", []string{"1"}, false},
		{"a string", "'123456789012'", nil, true},
		{"a mapping", "a: b", nil, true},
		{"no YAML", "- [", nil, true},
	} {
		doc := read(map[string]string{"mapAccounts": row.value})
		if diff := cmp.Diff(row.want, doc.MapAccounts()); diff != "" && len(row.want)+len(doc.MapAccounts()) > 0 {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
		if err := doc.MapAccountsProblem(); (err != nil) != row.problem {
			t.Errorf("%s: got problem %v", row.reason, err)
		}
	}
	if none := read(nil); none.MapAccounts() != nil || none.MapAccountsProblem() != nil {
		t.Error("without the key there are no accounts and no problem")
	}
}

func TestReaderReadsChangedAccounts(t *testing.T) {
	var r Reader
	for _, row := range []struct {
		reason string
		data   map[string]string
		want   int
		same   bool
	}{
		{"at first", map[string]string{accountsKey: "['1']"}, 1, false},
		{"unchanged", map[string]string{accountsKey: "['1']", rules.User.DataKey(): "[]"}, 1, true},
		{"changed", map[string]string{accountsKey: "['1', '2']"}, 2, false},
		{"gone", map[string]string{}, 0, false},
	} {
		last := r.last.accounts
		doc := r.Read(row.data, 0)
		if got := len(doc.MapAccounts()); got != row.want {
			t.Errorf("%s: got %d accounts, want %d", row.reason, got, row.want)
		}
		if row.same && doc.accounts != last {
			t.Errorf("%s: it was read again", row.reason)
		}
	}
}

func TestUnread(t *testing.T) {
	document := new(Reader).Read(map[string]string{
		"mapUsers": "- userarn: arn:aws:iam::123456789012:user/a\n  username: a\n- userarn: arn:aws:iam::123456789012:user/b\n  username: b\n" +
			"- userarn: arn:aws:iam::123456789012:user/b\n  username: c\n",
		"mapRoles": "- rolearn: arn:aws:iam::123456789012:role/p/r\n  username: r\n- rolearn: arn:aws:iam::123456789012:user/d\n  username: d\n",
	}, 0)
	entries := document.Entries()
	entries = append(entries, Entry{Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/d", Username: "d"})
	var got []string
	for _, e := range document.Unread(entries) {
		got = append(got, e.ARN+" "+e.Username)
	}
	want := []string{
		"arn:aws:iam::123456789012:user/b b",   // a later one counts
		"arn:aws:iam::123456789012:role/p/r r", // nobody has a path
		"arn:aws:iam::123456789012:user/d d",   // mapRoles comes first
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
