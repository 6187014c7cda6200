package fakeaws

import (
	"slices"
	"strings"
)

// facts are what the conditions of a policy may ask about a request: the values
// of each known condition key, its name in lower case. A key without values is
// known but absent.
type facts map[string][]string

func (f facts) set(key string, values ...string) {
	if len(values) == 1 && values[0] == "" {
		values = nil
	}
	f[strings.ToLower(key)] = values
}

// tagKeys are the prefixes of the condition keys that end in a tag's key.
func tagKeys() []string { return []string{"aws:requesttag/", "aws:principaltag/"} }

func (f facts) get(key string) (values []string, known bool) {
	key = strings.ToLower(key)
	values, known = f[key]
	known = known || slices.ContainsFunc(tagKeys(), func(p string) bool { return strings.HasPrefix(key, p) })
	return values, known
}

// conditions is the Condition element of a statement: operator, key, values.
type conditions map[string]map[string]oneOrMany[string]

// hold evaluates all; understood is false if an operator or key is not known
// here. Rules: "IAM JSON policy elements: Condition operators" in the IAM user
// guide.
func (c conditions) hold(f facts) (holds, understood bool) {
	holds, understood = true, true
	for operator, keys := range c {
		compare, ok := parseOperator(operator)
		if !ok {
			return false, false
		}
		for key, wanted := range keys {
			values, known := f.get(key)
			understood = understood && known
			holds = holds && compare.holds(values, wanted)
		}
	}
	return holds, understood
}

// operator is a condition operator such as ForAnyValue:StringLikeIfExists.
type operator struct {
	set      string // ForAnyValue, ForAllValues, or neither
	null     bool
	ifExists bool
	negated  bool
	equal    func(value, pattern string) bool
}

func parseOperator(name string) (operator, bool) {
	var o operator
	if set, rest, ok := strings.Cut(name, ":"); ok {
		if set != "ForAnyValue" && set != "ForAllValues" {
			return operator{}, false
		}
		o.set, name = set, rest
	}
	name, o.ifExists = strings.CutSuffix(name, "IfExists")
	if name == "Null" {
		o.null = true
		return o, true
	}
	positive := strings.Replace(name, "Not", "", 1)
	o.negated = positive != name
	switch positive {
	case "StringEquals":
		o.equal = func(a, b string) bool { return a == b }
	case "StringEqualsIgnoreCase":
		o.equal = strings.EqualFold
	case "StringLike":
		o.equal = like
	default:
		return operator{}, false
	}
	return o, true
}

func (o operator) holds(values, wanted []string) bool {
	if o.null {
		return slices.Contains(wanted, "true") == (len(values) == 0)
	}
	if len(values) == 0 {
		return o.ifExists || o.set == "ForAllValues" || o.negated && o.set == ""
	}
	matches := func(value string) bool {
		return o.negated != slices.ContainsFunc(wanted, func(w string) bool { return o.equal(value, w) })
	}
	if o.set == "ForAllValues" || o.set == "" && o.negated {
		return !slices.ContainsFunc(values, func(v string) bool { return !matches(v) })
	}
	return slices.ContainsFunc(values, matches)
}

// like matches with * for any characters and ? for one.
func like(value, pattern string) bool {
	star, retry := -1, 0
	v, p := 0, 0
	for v < len(value) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, v
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == value[v]):
			p, v = p+1, v+1
		case star >= 0:
			retry++
			p, v = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// likeAction matches the name of an action, which has no case.
func likeAction(action, pattern string) bool {
	return like(strings.ToLower(action), strings.ToLower(pattern))
}
