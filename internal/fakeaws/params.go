package fakeaws

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are a call's parameters.
type params url.Values

func (p params) get(name string) string { return url.Values(p).Get(name) }

func (p params) has(name string) bool { return url.Values(p).Has(name) }

// members reads a list as the query protocol flattens it: name.member.1 and on.
func (p params) members(name string) []string { return p.numbered(name + ".member") }

// numbered reads a list as EC2 flattens it: name.1 and on.
func (p params) numbered(name string) []string {
	var values []string
	for i := 1; ; i++ {
		key := name + "." + strconv.Itoa(i)
		if !p.has(key) {
			return values
		}
		values = append(values, p.get(key))
	}
}

func member(name string, i int) string { return name + ".member." + strconv.Itoa(i) }

// integer reads a number between lo and hi, def if it is absent.
func (p params) integer(name string, def, lo, hi int) (int, error) {
	if !p.has(name) {
		return def, nil
	}
	n, err := strconv.Atoi(p.get(name))
	field := lowerFirst(name)
	switch {
	case err != nil:
		return 0, errValidation("1 validation error detected: Value at '%s' is not an integer", field)
	case n < lo:
		return 0, errConstraint(field, fmt.Sprintf("Member must have value greater than or equal to %d", lo))
	case n > hi:
		return 0, errConstraint(field, fmt.Sprintf("Member must have value less than or equal to %d", hi))
	}
	return n, nil
}

// name reads the name of a user, group, role or policy, or of a session: at
// most limit characters of [\w+=,.@-].
func (p params) name(field string, limit int) (string, error) {
	v := p.get(field)
	if err := checkName(lowerFirst(field), v, limit); err != nil {
		return "", err
	}
	return v, nil
}

func checkName(field, v string, limit int) error {
	switch {
	case v == "":
		return errConstraint(field, "Member must have length greater than or equal to 1")
	case len(v) > limit:
		return errConstraint(field, fmt.Sprintf("Member must have length less than or equal to %d", limit))
	}
	for i := range len(v) {
		if !isAlnum(v[i]) && strings.IndexByte("_+=,.@-", v[i]) < 0 {
			return errValidation("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", field)
		}
	}
	return nil
}

// path reads Path: "/", or printable ASCII between two slashes.
func (p params) path() (string, error) {
	if !p.has("Path") {
		return "/", nil
	}
	v := p.get("Path")
	return v, checkPath(v)
}

func checkPath(v string) error {
	if !isPathPrefix(v) || !strings.HasSuffix(v, "/") || v == "//" {
		return errValidation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

// pathPrefix reads PathPrefix: a slash and printable ASCII.
func (p params) pathPrefix() (string, error) {
	if !p.has("PathPrefix") {
		return "/", nil
	}
	if v := p.get("PathPrefix"); isPathPrefix(v) {
		return v, nil
	}
	return "", errValidation("The specified value for pathPrefix is invalid. It must begin with / and contain only alphanumeric characters and/or / characters.")
}

func isPathPrefix(v string) bool {
	if !strings.HasPrefix(v, "/") || len(v) > 512 {
		return false
	}
	return !strings.ContainsFunc(v, func(c rune) bool { return c < '!' || c > 0x7e })
}

const maxTags = 50

// tags reads Tags.member.N.Key and .Value.
func (p params) tags() ([]tag, error) {
	var tags []tag
	for i := 1; ; i++ {
		prefix := member("Tags", i)
		if !p.has(prefix+".Key") && !p.has(prefix+".Value") {
			return tags, nil
		}
		t := tag{Key: p.get(prefix + ".Key"), Value: p.get(prefix + ".Value")}
		if err := t.check(); err != nil {
			return nil, err
		}
		for _, other := range tags {
			if strings.EqualFold(other.Key, t.Key) {
				return nil, errInvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		if tags = append(tags, t); len(tags) > maxTags {
			return nil, errConstraint("tags", fmt.Sprintf("Member must have length less than or equal to %d", maxTags))
		}
	}
}

func (t tag) check() error {
	switch n := utf8.RuneCountInString(t.Key); {
	case n < 1:
		return errConstraint("tags.key", "Member must have length greater than or equal to 1")
	case n > 128:
		return errConstraint("tags.key", "Member must have length less than or equal to 128")
	case utf8.RuneCountInString(t.Value) > 256:
		return errConstraint("tags.value", "Member must have length less than or equal to 256")
	case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
		return errInvalidInput("Tag keys must not begin with aws:, which is reserved.")
	}
	return nil
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
