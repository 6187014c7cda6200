package iamevents_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const account = "123456789012"

var at = time.Date(2026, 11, 22, 3, 0, 1, 0, time.UTC)

func event(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func about(verb iamevents.Verb, kind rules.Kind, name string) iamevents.Announcement {
	return iamevents.Announcement{Verb: verb, Kind: kind, Name: name, AccountID: account, At: at}
}

func changed(c iamevents.Change) []iamevents.Announcement {
	a := about(iamevents.Changed, rules.User, "bob")
	a.Change = c
	return []iamevents.Announcement{a}
}

func TestEventsAnnounce(t *testing.T) {
	user := about(iamevents.Exists, rules.User, "tmp-foo-1")
	user.ARN, user.ID = "arn:aws:iam::123456789012:user/vault/tmp-foo-1", "AIDAEXAMPLE1"
	const sso = "AWSReservedSSO_Admin_0123456789abcdef"
	role := about(iamevents.Exists, rules.Role, sso)
	role.ARN, role.ID = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/"+sso, "AROAEXAMPLE1"
	renamed := about(iamevents.Exists, rules.User, "new")
	renamed.Path = "/x/"
	for file, want := range map[string][]iamevents.Announcement{
		"create-user":            {user},
		"delete-user":            {about(iamevents.Gone, rules.User, "tmp-foo-1")},
		"update-user":            {renamed, about(iamevents.Gone, rules.User, "old")},
		"tag-user":               changed(iamevents.Change{Tags: map[string]string{"team": "a b"}}),
		"untag-user":             changed(iamevents.Change{NoTags: []string{"team"}}),
		"add-user-to-group":      changed(iamevents.Change{Group: "devs"}),
		"remove-user-from-group": changed(iamevents.Change{Group: "devs", Left: true}),
		"put-user-boundary":      changed(iamevents.Change{Bounded: true, Boundary: "arn:aws:iam::123456789012:policy/b"}),
		"delete-user-boundary":   changed(iamevents.Change{Bounded: true}),
		"create-role":            {role},
		"delete-role":            {about(iamevents.Gone, rules.Role, "ci")},
		"refused":                nil,
		"other-action":           nil,
	} {
		got, err := iamevents.Parse(event(t, file))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", file, err, diff)
		}
	}
}

// TestParseEdits changes one thing of an event that announces a user.
func TestParseEdits(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, row := range []struct {
		reason, old, new string
		refused          bool
		arn              string // of what is announced; "none": nothing is
	}{
		{reason: "as it is", arn: "arn:aws:iam::123456789012:user/vault/tmp-foo-1"},
		{reason: "from another service", old: `"source": "aws.iam"`, new: `"source": "aws.ec2"`, refused: true},
		{reason: "another type", old: "AWS API Call via CloudTrail", new: "Scheduled Event", refused: true},
		{reason: "another event source", old: "iam.amazonaws.com", new: "evil.example.com", refused: true},
		{reason: "a newer format", old: `"eventVersion": "1.09"`, new: `"eventVersion": "2.0"`, refused: true},
		{reason: "a later minor format", old: `"eventVersion": "1.09"`, new: `"eventVersion": "1.99"`, arn: "arn:aws:iam::123456789012:user/vault/tmp-foo-1"},
		{reason: "no account", old: `"recipientAccountId": "123456789012"`, new: `"recipientAccountId": "me"`, refused: true},
		{reason: "no time", old: `"eventTime": "2026-11-22T03:00:01Z"`, new: `"eventTime": "yesterday"`, refused: true},
		{reason: "nobody", old: `"userName": "tmp-foo-1"`, new: `"groupName": "x"`, refused: true},
		{reason: "a name with a line break", old: `"userName": "tmp-foo-1"`, new: `"userName": "tmp\nfoo"`, refused: true},
		{reason: "a name that is too long", old: `"userName": "tmp-foo-1"`, new: `"userName": "` + long + `"`, refused: true},
		{reason: "a name that is a number", old: `"userName": "tmp-foo-1"`, new: `"userName": 5`, refused: true},
		{reason: "an ARN of another account is not believed", old: `"arn": "arn:aws:iam::123456789012:user`, new: `"arn": "arn:aws:iam::999999999999:user`},
		{reason: "an ARN of another user is not believed", old: "user/vault/tmp-foo-1", new: "user/vault/admin"},
		{reason: "an ARN of a role is not believed", old: "user/vault/tmp-foo-1", new: "role/vault/tmp-foo-1"},
		{reason: "an action that is not known", old: `"eventName": "CreateUser"`, new: `"eventName": "CreateLlama"`, arn: "none"},
		{reason: "cut off", old: `"version": "0",`, new: `"version": "0",` + long, refused: true},
	} {
		text := event(t, "create-user")
		if !strings.Contains(text, row.old) {
			t.Fatalf("%s: nothing to edit", row.reason)
		}
		got, err := iamevents.Parse(strings.Replace(text, row.old, row.new, 1))
		switch {
		case (err != nil) != row.refused:
			t.Errorf("%s: %v", row.reason, err)
		case err != nil && len(err.Error()) > 400:
			t.Errorf("%s: the error has %d bytes", row.reason, len(err.Error()))
		case err == nil && row.arn == "none" && len(got) > 0:
			t.Errorf("%s: announces %v", row.reason, got)
		case err == nil && row.arn != "none" && (len(got) != 1 || got[0].ARN != row.arn):
			t.Errorf("%s: announces %v", row.reason, got)
		}
	}
	for _, body := range []string{"", "null", "[]", "{", "hello", `{"detail":[]}`, "\xff", strings.Repeat("[", 1<<20+1)} {
		if got, err := iamevents.Parse(body); err == nil {
			t.Errorf("%.20q announces %v", body, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := iamevents.Parse(body)
		if err != nil {
			if text := err.Error(); len(text) > 1000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r") || got != nil {
				t.Errorf("error %q, with %v", text, got)
			}
			return
		}
		for _, a := range got {
			if a.Name == "" || len(a.Name) > 128 || len(a.AccountID) != 12 || a.At.IsZero() || !slices.Contains(rules.Kinds(), a.Kind) {
				t.Errorf("announces %+v", a)
			}
			if a.ARN != "" && (a.Verb != iamevents.Exists || !strings.Contains(a.ARN, ":"+a.AccountID+":")) {
				t.Errorf("announces %+v", a)
			}
		}
	})
}

func TestRegionOfAQueue(t *testing.T) {
	for url, want := range map[string]string{
		"https://sqs.us-east-1.amazonaws.com/123456789012/aws-auth-refresher":                "us-east-1",
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q":                             "cn-north-1",
		"https://sqs.eu-west-1.api.aws/123456789012/q":                                       "eu-west-1",
		"https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q":                   "eu-west-1",
		"https://eu-west-1.queue.amazonaws.com/123456789012/q":                               "eu-west-1",
		"http://127.0.0.1:4566/123456789012/q":                                               "",
		"https://sqs.us-east-1.amazonaws.com/123456789012/aws-auth-refresher.fifo":           "refused",
		"https://sqs.us-east-1.amazonaws.com/aws-auth-refresher":                             "refused",
		"https://user:secret@sqs.us-east-1.amazonaws.com/123456789012/q":                     "refused",
		"arn:aws:sqs:us-east-1:123456789012:q":                                               "refused",
		"ftp://sqs.us-east-1.amazonaws.com/123456789012/q":                                   "refused",
		"https://sqs.us-east-1.amazonaws.com/123456789012/q?Action=DeleteQueue":              "refused",
		"https://sqs.us-east-1.amazonaws.com/123456789012/aws-auth-refresher/ReceiveMessage": "refused",
	} {
		got, err := iamevents.Region(url)
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %q, %v; want %q", url, got, err, want)
		}
	}
}
