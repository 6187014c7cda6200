package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits of the IAM API: the types groupNameType, tagKeyType, tagValueType and
// arnType, and the tags of one principal.
const (
	maxIAMGroup = 128
	maxTagKey   = 128
	maxTagValue = 256
	maxTags     = 50
	maxPolicy   = 2048
)

// details are the selectors that look at Principal.Details. The zero value
// selects everybody.
type details struct {
	iamGroups []string // any of them; none: any user
	tags      []Tag    // all of them, by key
	boundary  string   // empty: any
}

func (r rule) detailed() bool { return r.details.used() }

func (d *details) used() bool { return len(d.iamGroups)+len(d.tags) > 0 || d.boundary != "" }

// match tells whether a principal has what is selected by. Without its details
// that is not known, and false.
func (d *details) match(of *Details) bool {
	if !d.used() {
		return true
	}
	return of != nil && d.inGroup(of) && d.missingTag(of) < 0 && d.bounded(of)
}

func (d *details) inGroup(of *Details) bool {
	return len(d.iamGroups) == 0 || slices.ContainsFunc(of.IAMGroups, func(name string) bool { return contains(d.iamGroups, name) })
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return SameName(n, name) })
}

// missingTag is the index of the first tag that a principal lacks or has with
// another value, -1 if there is none.
func (d *details) missingTag(of *Details) int {
	return slices.IndexFunc(d.tags, func(want Tag) bool {
		value, ok := of.tag(want.Key)
		return !ok || value != want.Value
	})
}

// tag finds a tag as IAM does: the case of keys does not count.
func (of *Details) tag(key string) (value string, ok bool) {
	i := slices.IndexFunc(of.Tags, func(t Tag) bool { return SameName(t.Key, key) })
	if i < 0 {
		return "", false
	}
	return of.Tags[i].Value, true
}

func (d *details) bounded(of *Details) bool {
	return d.boundary == "" || SameName(d.boundary, of.PermissionsBoundary)
}

// but says what keeps a principal from being selected.
func (d *details) but(of *Details) []string {
	if !d.used() {
		return nil
	}
	if of == nil {
		return []string{"its IAM groups, tags and permissions boundary are not known"}
	}
	var but []string
	if !d.inGroup(of) {
		but = append(but, "it is in none of the IAM groups "+strings.Join(d.iamGroups, ", "))
	}
	if i := d.missingTag(of); i >= 0 {
		want := d.tags[i]
		if value, ok := of.tag(want.Key); ok {
			but = append(but, fmt.Sprintf("its tag %s is %s and not %s", want.Key, quote(value), quote(want.Value)))
		} else {
			but = append(but, fmt.Sprintf("it has no tag %s, which must be %s", want.Key, quote(want.Value)))
		}
	}
	switch {
	case d.bounded(of):
	case of.PermissionsBoundary == "":
		but = append(but, "it has no permissions boundary, which must be "+d.boundary)
	default:
		but = append(but, "its permissions boundary is "+of.PermissionsBoundary+" and not "+d.boundary)
	}
	return but
}

// details compiles the selectors that look at details.
func (c *compiler) details() details {
	var d details
	if c.has(fieldIAMGroups) && c.iamGroups() {
		d.iamGroups = c.rule.IAMGroups
	}
	if c.has(fieldTags) && c.tags() {
		d.tags = sortedTags(c.rule.Tags)
	}
	if b := c.rule.PermissionsBoundary; b != "" {
		if isPolicyARN(b) {
			d.boundary = b
		} else {
			c.refuse(fieldBoundary, "must be the ARN of a policy, as in arn:aws:iam::123456789012:policy/boundary, and is %s", quote(b))
		}
	}
	return d
}

func (c *compiler) iamGroups() bool {
	groups := c.rule.IAMGroups
	switch {
	case c.kind != User:
		c.refuse(fieldIAMGroups, "selects users, because roles are in no IAM group; move the rule to %s or drop the field", keyMapUsers)
		return false
	case len(groups) == 0 && groups != nil:
		c.refuse(fieldIAMGroups, "is empty, so it selects nobody; name a group or drop the field")
		return false
	case len(groups) > maxGroups:
		c.refuse(fieldIAMGroups, "has %d groups; at most %d are allowed", len(groups), maxGroups)
		return false
	}
	good := true
	for i, g := range groups {
		if g == "" || len(g) > maxIAMGroup || !isIAMName(g) {
			good = false
			c.refuse(fieldIAMGroups, "number %d, %s, is not the name of an IAM group, which is up to %d letters, digits and _+=,.@- without a path",
				i+1, quote(g), maxIAMGroup)
		}
	}
	return good
}

// isIAMName: the characters that IAM allows in the names of users, roles and
// groups.
func isIAMName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("_+=,.@-", r)
	})
}

func (c *compiler) tags() bool {
	tags := sortedTags(c.rule.Tags)
	good := true
	refuse := func(format string, args ...any) {
		good = false
		c.refuse(fieldTags, format, args...)
	}
	switch {
	case len(tags) == 0 && c.rule.Tags != nil:
		refuse("is empty, so it selects everybody; name a tag or drop the field")
	case len(tags) > maxTags:
		refuse("has %d tags; a principal has at most %d", len(tags), maxTags)
	}
	for i, t := range tags {
		switch {
		case t.Key == "" || len(t.Key) > maxTagKey*4 || len([]rune(t.Key)) > maxTagKey:
			refuse("has the key %s; keys have 1 to %d characters", quote(t.Key), maxTagKey)
		case len(t.Value) > maxTagValue*4 || len([]rune(t.Value)) > maxTagValue:
			refuse("has a value for %s that is longer than %d characters", quote(t.Key), maxTagValue)
		case i > 0 && SameName(t.Key, tags[i-1].Key):
			refuse("has the keys %s and %s, which are the same for IAM; keep one", quote(tags[i-1].Key), quote(t.Key))
		}
	}
	return good
}

// sortedTags gives tags by key, whatever its case.
func sortedTags(tags map[string]string) []Tag {
	var out []Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, Tag{key, tags[key]})
	}
	slices.SortStableFunc(out, func(a, b Tag) int { return strings.Compare(foldASCII(a.Key), foldASCII(b.Key)) })
	return out
}

// foldedSet gives names without case, sorted, each once.
func foldedSet(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, foldASCII(n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// isPolicyARN recognizes arn:PARTITION:iam::ACCOUNT:policy/PATH/NAME, where the
// account is aws for AWS's own policies.
func isPolicyARN(s string) bool {
	parts := strings.SplitN(s, ":", 6)
	if len(s) > maxPolicy || len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] != "iam" || parts[3] != "" {
		return false
	}
	account := len(parts[4]) == 12 && strings.Trim(parts[4], "0123456789") == "" || parts[4] == "aws"
	name, ok := strings.CutPrefix(parts[5], "policy/")
	return ok && account && isIAMName(strings.ReplaceAll(name, "/", "")) && name != "" && !strings.HasSuffix(name, "/")
}
