package rules

import (
	"fmt"
	"slices"
	"strings"
)

// GroupMasters is the group of Kubernetes that may do everything. An access
// entry cannot name it; the access policy AmazonEKSClusterAdminPolicy gives the
// same.
const GroupMasters = "system:masters"

// What access entries accept follows "Create access entries" and "Set a custom
// username for EKS access entries" in the Amazon EKS user guide. They list no
// templates but those of the session's name.

// AccessEntryUsername says why EKS would not take a user name for an access
// entry, empty if it would.
func AccessEntryUsername(name string) (reason string) {
	for _, prefix := range []string{reservedPrefix, "eks:", "aws:", "amazon:", "iam:"} {
		if strings.HasPrefix(name, prefix) {
			return fmt.Sprintf("begins with %s, which access entries refuse", prefix)
		}
	}
	for rest := name; ; {
		before, after, found := strings.Cut(rest, "{{")
		if !found {
			return ""
		}
		called, tail, _ := strings.Cut(after, "}}")
		if called != "SessionName" && called != "SessionNameRaw" {
			return fmt.Sprintf("holds {{%s}}; access entries know {{SessionName}} and {{SessionNameRaw}} only", clip(called))
		}
		if !strings.Contains(name[:len(name)-len(rest)]+before, ":") {
			return fmt.Sprintf("has no colon before {{%s}}, which access entries want; write for example role:{{%s}}", called, called)
		}
		rest = tail
	}
}

// AccessEntryGroup says why EKS would not take a group for an access entry,
// empty if it would or if it has another way to say the same.
func AccessEntryGroup(group string) (reason string) {
	switch {
	case group == GroupMasters:
		return ""
	case strings.HasPrefix(group, reservedPrefix):
		return fmt.Sprintf("begins with %s, which access entries refuse but for %s", reservedPrefix, GroupMasters)
	case strings.Contains(group, "{{"):
		return "holds {{, and access entries know no templates in groups"
	}
	return ""
}

// accessEntry refuses what no access entry can say. What a principal brings in
// is judged once there is one; only a path or a submatch may hold a colon.
func (c *compiler) accessEntry(username template) {
	var sample strings.Builder
	for _, p := range username.parts {
		switch {
		case p.literal != "":
			sample.WriteString(p.literal)
		case p.builtin == builtinNone || p.builtin == builtinPath:
			sample.WriteString(":")
		default:
			sample.WriteString("x")
		}
	}
	if reason := AccessEntryUsername(sample.String()); reason != "" {
		c.refuse(fieldUsername, "%s", reason)
	}
	for i, g := range c.rule.Groups {
		if reason := AccessEntryGroup(g); reason != "" && slices.Index(c.rule.Groups, g) == i {
			c.refuse(fieldGroups, "number %d %s", i+1, reason)
		}
	}
}
