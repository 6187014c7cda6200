package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
)

const (
	maxGroups     = 100
	maxGroup      = 1024
	maxPathPrefix = 512 // the path type of the IAM API
	maxPermission = 32  // the permission set name type of the SSO Admin API

	permissionSetPath = "/aws-reserved/sso.amazonaws.com/"
	permissionSetRole = "AWSReservedSSO_"
	permissionSetHex  = 16
)

// Options say how rules are read.
type Options struct {
	// AllowUnanchored lets arnRegex match any part of an ARN, as an older tool
	// did. Dangerous: user/tmp-1 then also selects user/tmp-1/evil and
	// user/x/user/tmp-1. Patterns that match everything stay refused.
	AllowUnanchored bool
	// AllowShortAccounts takes an account that has not 12 digits. Nobody is of
	// such a one at AWS, so a slip of the pen lets nobody in then.
	AllowShortAccounts bool
	// AccessEntries refuses what no access entry of EKS can say.
	AccessEntries bool
	// Accepted takes rules that are in force already, whatever has come to be
	// refused since because EKS or Kubernetes makes something else of it than
	// was meant: who got in by them goes on getting in.
	Accepted bool
}

// Set is rules that were accepted. It never changes and may be used by several
// goroutines at once.
type Set struct{ users, roles []rule }

// rule is one compiled rule.
type rule struct {
	kind          Kind
	pattern       *pattern // nil: none
	resource      string   // how the ARN's resource begins, as user/vault/; empty: any
	path          string   // the longest path prefix of what it can match
	permissionSet string   // empty: any
	details       details
	maxAge        time.Duration // 0: for ever
	username      template
	groups        []string
	maxMatches    int      // 0: no limit
	digest        []string // its RuleDigest; grants by it alone share the list
	as            string   // the user name as it is written
}

// Parse reads and judges the data of a rules ConfigMap: Decode and Compile in
// one, with the line of every problem. The error is *Problems, lists all of
// them and comes without a Set.
func Parse(data map[string]string, o Options) (*Set, error) {
	var problems report
	sources := decode(data, &problems)
	return compile(sources, o, &problems)
}

// Compile judges rules. The error is *Problems, without lines, lists all of
// them and comes without a Set.
func Compile(r v1alpha1.Rules, o Options) (*Set, error) {
	var problems report
	var sources []source
	for _, k := range Kinds() {
		list := r.MapUsers
		if k == Role {
			list = r.MapRoles
		}
		if len(list) > maxRules {
			problems.add(place{key: k.DataKey()}, "%d rules are more than the %d that are allowed", len(list), maxRules)
			continue
		}
		for i, rule := range list {
			sources = append(sources, source{
				kind: k, at: place{key: k.DataKey(), rule: i + 1}, rule: rule, lines: present(rule),
			})
		}
	}
	return compile(sources, o, &problems)
}

func present(r v1alpha1.Rule) map[string]int {
	lines := make(map[string]int)
	for name, there := range map[string]bool{
		fieldArnRegex: r.ArnRegex != "", fieldPathPrefix: r.PathPrefix != "",
		fieldPermissionSet: r.PermissionSet != "", fieldUsername: r.Username != "",
		fieldIAMGroups: r.IAMGroups != nil, fieldTags: r.Tags != nil,
		fieldBoundary: r.PermissionsBoundary != "", fieldMaxAge: r.MaxAge != "",
	} {
		if there {
			lines[name] = 0
		}
	}
	return lines
}

func compile(sources []source, o Options, problems *report) (*Set, error) {
	set := &Set{}
	tables, steps := maxTables, maxSlow
	for _, s := range sources {
		c := compiler{source: s, options: o, problems: problems, enough: steps < 0}
		compiled := c.compile()
		tables = compiled.pattern.fit(tables)
		steps = c.afford(compiled.pattern, steps)
		if s.kind == User {
			set.users = append(set.users, compiled)
		} else {
			set.roles = append(set.roles, compiled)
		}
	}
	if err := problems.err(); err != nil {
		return nil, err
	}
	return set, nil
}

// Digests are the RuleDigests of all rules of a kind, and their SelectorDigests,
// by which records of version 2 know them.
func (s *Set) Digests(k Kind) map[string]bool {
	all := digestsOf(s.of(k))
	for _, r := range s.of(k) {
		all[SelectorOf(r.digest[0])] = true
	}
	return all
}

// Digest is the RuleDigest of the rule with a 0-based index within its kind.
func (s *Set) Digest(k Kind, rule int) string { return s.of(k)[rule].digest[0] }

func (s *Set) of(k Kind) []rule {
	switch k {
	case User:
		return s.users
	case Role:
		return s.roles
	default:
		return nil
	}
}

// compiler judges one rule. A field that is there but could not be read is
// empty and has been reported: it is passed over.
type compiler struct {
	source
	options  Options
	problems *report
	// enough: patterns have been refused as too slow already, so no more of
	// them are looked at.
	enough bool
}

func (c *compiler) refuse(field, format string, args ...any) {
	c.problems.add(c.field(field), "%s %s", field, fmt.Sprintf(format, args...))
}

func (c *compiler) compile() rule {
	r := c.rule
	out := rule{kind: c.kind, path: "/", maxMatches: r.MaxMatches, as: r.Username, digest: []string{RuleDigest(c.kind, r)}}
	c.selectors()
	if r.ArnRegex != "" && !c.enough {
		out.pattern = c.pattern()
	}
	if r.PathPrefix != "" && c.pathPrefix() {
		out.resource, out.path = string(c.kind)+r.PathPrefix, r.PathPrefix
	}
	if r.PermissionSet != "" && c.permissionSet() {
		out.permissionSet = r.PermissionSet
		out.path = longer(out.path, permissionSetPath)
	}
	out.details = c.details()
	out.maxAge = c.maxAge()
	c.together(&out)
	out.username = c.username(out.pattern)
	out.groups = c.groups()
	if c.options.AccessEntries {
		c.accessEntry(out.username)
	}
	if r.MaxMatches < 0 {
		c.refuse(fieldMaxMatches, "must be at least 1; drop the field for no limit")
	}
	return out
}

// selectors refuses a rule that has none.
func (c *compiler) selectors() {
	if c.hasBeside("") {
		return
	}
	choice := "arnRegex, pathPrefix, iamGroups, tags or permissionsBoundary"
	if c.kind == Role {
		choice = "arnRegex, pathPrefix, permissionSet, tags or permissionsBoundary"
	}
	if c.has(fieldMaxAge) {
		c.problems.add(c.at, "maxAge alone selects every new %s; add %s", c.kind, choice)
		return
	}
	c.problems.add(c.at, "selects nobody; write %s", choice)
}

func (c *compiler) pattern() *pattern {
	p, reason := newPattern(c.kind, c.rule.ArnRegex, c.options.AllowUnanchored)
	if reason == "" && !c.options.AllowShortAccounts && !c.options.Accepted {
		reason = p.shortAccount(c.kind, c.rule.ArnRegex)
	}
	if reason != "" {
		c.refuse(fieldArnRegex, "%s", reason)
	}
	return p
}

func (c *compiler) pathPrefix() bool {
	p := c.rule.PathPrefix
	switch {
	case strings.ContainsFunc(p, func(r rune) bool { return r < firstByte || r > lastByte }):
		c.refuse(fieldPathPrefix, "has characters that no IAM path has")
	case len(p) > maxPathPrefix:
		c.refuse(fieldPathPrefix, "is longer than an IAM path, which has at most %d characters", maxPathPrefix)
	case p == "/" && !c.hasBeside(fieldPathPrefix):
		c.refuse(fieldPathPrefix, "/ alone selects every %s; name a path, as in /vault/, or add another selector", c.kind)
	case p[0] != '/' || p[len(p)-1] != '/':
		c.refuse(fieldPathPrefix, "must begin and end with a slash; write /%s/", strings.Trim(clip(p), "/"))
	case p == "//":
		c.refuse(fieldPathPrefix, "// is not an IAM path; write /")
	default:
		return true
	}
	return false
}

// hasBeside tells whether the rule has another selector than this one.
func (c *compiler) hasBeside(selector string) bool {
	return slices.ContainsFunc([]string{
		fieldArnRegex, fieldPathPrefix, fieldPermissionSet, fieldIAMGroups, fieldTags, fieldBoundary,
	}, func(other string) bool { return other != selector && c.has(other) })
}

func (c *compiler) permissionSet() bool {
	name := c.rule.PermissionSet
	switch {
	case c.kind != Role:
		c.refuse(fieldPermissionSet, "selects roles; move the rule to %s", keyMapRoles)
	case strings.HasPrefix(name, permissionSetRole):
		c.refuse(fieldPermissionSet, "is the name of the permission set, not of its role; drop %s and the hexadecimal end",
			permissionSetRole)
	case !isIAMName(name) || len(name) > maxPermission:
		c.refuse(fieldPermissionSet, "must be 1 to %d letters, digits and _+=,.@- characters, exactly the set's name", maxPermission)
	default:
		return true
	}
	return false
}

// together refuses selectors that exclude each other, and finds the path that
// all of them allow.
func (c *compiler) together(r *rule) {
	if r.permissionSet != "" && r.resource != "" && !related(c.rule.PathPrefix, permissionSetPath) {
		c.refuse(fieldPathPrefix, "excludes permissionSet, whose roles stand under %s; drop one", permissionSetPath)
		return
	}
	if r.pattern == nil {
		return
	}
	if !r.pattern.possible(shape(c.kind, r.path)) {
		c.refuse(fieldArnRegex, "matches nothing under the path %s, which another selector asks for; drop one", clip(r.path))
		return
	}
	r.path = longer(r.path, pathOf(c.kind, r.pattern.literal))
}

// pathOf is the longest path prefix of all ARNs that begin with a literal.
func pathOf(kind Kind, literal string) string {
	at := resourceAt(literal)
	path, ok := strings.CutPrefix(literal[at:], string(kind))
	if at == 0 || !ok || !strings.HasPrefix(path, "/") {
		return "/"
	}
	return path[:strings.LastIndexByte(path, '/')+1]
}

func related(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

func (c *compiler) username(p *pattern) template {
	name := c.rule.Username
	if name == "" {
		if !c.has(fieldUsername) {
			c.problems.add(c.at, "has no username; write whom the cluster is to take the principal for, as in username: foo")
		}
		return template{}
	}
	if reason := badLiteral(name, maxUsername); reason != "" {
		c.refuse(fieldUsername, "%s", reason)
		return template{}
	}
	if p == nil && c.has(fieldArnRegex) {
		return template{} // what its references mean cannot be known
	}
	t, reason := newTemplate(c.kind, name, p.regexp())
	if reason == "" {
		reason = c.reserved(name)
	}
	if reason != "" {
		c.refuse(fieldUsername, "%s", reason)
		return template{}
	}
	if c.misread(fieldUsername, fieldUsername, name) {
		return template{}
	}
	t.strict = !c.options.Accepted
	return t
}

// groups gives each group once.
func (c *compiler) groups() []string {
	if len(c.rule.Groups) > maxGroups {
		c.refuse(fieldGroups, "has %d groups; at most %d are allowed", len(c.rule.Groups), maxGroups)
		return nil
	}
	var out []string
	for i, g := range c.rule.Groups {
		if reason := badLiteral(g, maxGroup); reason != "" {
			c.refuse(fieldGroups, "number %d %s", i+1, reason)
		} else if !c.misread(fieldGroups, fmt.Sprintf("%s number %d", fieldGroups, i+1), g) && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return slices.Clip(out)
}

// badLiteral says why a text may not stand in aws-auth as a name.
func badLiteral(s string, limit int) (reason string) {
	switch {
	case strings.TrimSpace(s) == "":
		return "is empty"
	case len(s) > limit:
		return fmt.Sprintf("is longer than %d bytes", limit)
	}
	return unprintable(s)
}
