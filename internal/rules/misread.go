package rules

import (
	"fmt"
	"slices"
	"strings"
)

// nodePrefix begins the user names of nodes.
const nodePrefix = reservedPrefix + "node:"

// Misread is a template in a user name or group of aws-auth that EKS does not
// fill in.
type Misread struct {
	// Template is as written, with its braces.
	Template string
	// What is what EKS does, as in "replaces {{SessionName}} by nothing, because
	// an IAM user has no session".
	What string
}

// known is a template that EKS fills in.
type known struct {
	name  string
	users bool // for users, too, and not only for roles
}

// templates are those that EKS fills in (renderTemplate in
// sigs.k8s.io/aws-iam-authenticator pkg/server).
func templates() []known {
	return []known{{"AccountID", true}, {"SessionName", false}, {"SessionNameRaw", false}, {"AccessKeyID", true}, {"EC2PrivateDNSName", false}}
}

// TemplateList names the templates that EKS fills in for a principal of the
// kind.
func TemplateList(k Kind) string {
	var names []string
	for _, t := range templates() {
		if k == Role || t.users {
			names = append(names, "{{"+t.name+"}}")
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Misreads finds the templates in a user name or group that EKS does not fill
// in for a principal of the kind, in order.
func Misreads(k Kind, text string) []Misread {
	var found []Misread
	for _, template := range templatesIn(text) {
		called := strings.TrimSuffix(strings.TrimPrefix(template, "{{"), "}}")
		i := slices.IndexFunc(templates(), func(t known) bool { return t.name == called })
		switch {
		case i < 0:
			found = append(found, Misread{template, "leaves " + template + " as it is, because it is none of its templates"})
		case k == Role || templates()[i].users:
		case called == "EC2PrivateDNSName":
			found = append(found, Misread{template, "refuses the user for " + template + ", because an IAM user has no session"})
		default:
			found = append(found, Misread{template, "replaces " + template + " by nothing, because an IAM user has no session"})
		}
	}
	return found
}

// templatesIn gives every {{…}} without braces in it.
func templatesIn(text string) []string {
	var found []string
	for {
		before, after, ok := strings.Cut(text, "}}")
		if !ok {
			return found
		}
		if at := strings.LastIndex(before, "{{"); at >= 0 && !strings.ContainsAny(before[at+2:], "{}") {
			found = append(found, before[at:]+"}}")
		}
		text = after
	}
}

// misread refuses a template that EKS does not fill in and reports whether
// there was one. label is what is said of the place.
func (c *compiler) misread(field, label, text string) bool {
	if c.options.Accepted {
		return false
	}
	all := Misreads(c.kind, text)
	for _, m := range all {
		c.problems.add(c.field(field), "%s: EKS %s; %s", label, clip(m.What), c.instead(field, m.Template))
	}
	return len(all) > 0
}

// instead is the way out of a template that EKS does not fill in.
func (c *compiler) instead(field, template string) string {
	called := strings.ToLower(strings.TrimSpace(strings.Trim(template, "{}")))
	i := slices.IndexFunc(templates(), func(t known) bool { return strings.EqualFold(t.name, called) })
	switch name := field == fieldUsername; {
	case i >= 0 && (c.kind == Role || templates()[i].users):
		return "write {{" + templates()[i].name + "}}"
	case name && c.kind == User && (i >= 0 || called == "username"):
		return "write ${userName}"
	case name && c.kind == Role && called == "rolename":
		return "write ${roleName}"
	case i >= 0 && "{{"+templates()[i].name+"}}" == template:
		return "write the name itself, as in developers"
	}
	return "use " + TemplateList(c.kind)
}

// reserved says why a user name that begins with system: is refused. Nodes have
// such names, and they are named after their session.
func (c *compiler) reserved(name string) (reason string) {
	if c.options.Accepted || !strings.HasPrefix(name, reservedPrefix) {
		return ""
	}
	if name == GroupMasters {
		return fmt.Sprintf("%s is the name of a group and lets a user do nothing; write it under groups, or better a group of your own such as developers", name)
	}
	reason = "begins with " + reservedPrefix + ", which is Kubernetes' own; write another name"
	if c.kind != Role {
		return reason
	}
	if slices.Contains([]string{"{{EC2PrivateDNSName}}", "{{SessionName}}", "{{SessionNameRaw}}"}, strings.TrimPrefix(name, nodePrefix)) {
		return ""
	}
	return reason + ", or for the roles of nodes " + nodePrefix + "{{EC2PrivateDNSName}}"
}
