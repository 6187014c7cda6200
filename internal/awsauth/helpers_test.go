package awsauth

import (
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const account = "arn:aws:iam::123456789012:"

func user(name, username string, groups ...string) Entry {
	return Entry{Kind: rules.User, ARN: account + "user/" + name, Username: username, Groups: groups}
}

func role(name, username string, groups ...string) Entry {
	return Entry{Kind: rules.Role, ARN: account + "role/" + name, Username: username, Groups: groups}
}

// temporary is the ownership rule of these tests: names that begin with tmp-.
func temporary(e Entry) bool {
	return strings.Contains(e.ARN, "/tmp-")
}

func read(data map[string]string) *Document {
	var r Reader
	return r.Read(data, 0)
}

// asSeed renders entries in the documented layout, without the package's own
// renderer.
func asSeed(entries []Entry, indent, newline string) string {
	var b strings.Builder
	for _, e := range entries {
		field := "userarn"
		if e.Kind == rules.Role {
			field = "rolearn"
		}
		b.WriteString(indent + "- " + field + ": " + e.ARN + newline)
		b.WriteString(indent + "  username: " + e.Username + newline)
		b.WriteString(indent + "  groups:" + newline)
		for _, g := range e.Groups {
			b.WriteString(indent + "  - " + g + newline)
		}
	}
	return b.String()
}
