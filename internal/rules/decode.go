package rules

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
)

// maxRules bounds the rules of one kind.
const maxRules = 500

// Fields of a rule.
const (
	fieldArnRegex      = "arnRegex"
	fieldPathPrefix    = "pathPrefix"
	fieldPermissionSet = "permissionSet"
	fieldIAMGroups     = "iamGroups"
	fieldTags          = "tags"
	fieldBoundary      = "permissionsBoundary"
	fieldMaxAge        = "maxAge"
	fieldUsername      = "username"
	fieldGroups        = "groups"
	fieldMaxMatches    = "maxMatches"
)

func fieldNames() []string {
	return []string{
		fieldArnRegex, fieldPathPrefix, fieldPermissionSet, fieldIAMGroups, fieldTags, fieldBoundary,
		fieldMaxAge, fieldUsername, fieldGroups, fieldMaxMatches,
	}
}

// source is a rule with where it was written.
type source struct {
	kind  Kind
	at    place
	rule  v1alpha1.Rule
	lines map[string]int // field: its line; every field that is there, usable or not
}

func (s source) has(field string) bool {
	_, ok := s.lines[field]
	return ok
}

// field is where a field stands, or the rule itself.
func (s source) field(name string) place {
	at := s.at
	if line := s.lines[name]; line > 0 {
		at.line = line
	}
	return at
}

// Decode reads the data of a rules ConfigMap: YAML lists of rules under
// mapUsers and mapRoles. A missing, empty or null value means no rules of that
// kind. Reading is strict, because a misspelled word must never mean "no rules"
// or "no selector": unknown keys and fields, duplicate fields, values of
// another type, texts that YAML 1.1 reads as something else, merge keys, tags
// and second documents are refused. The error is *Problems and lists them all.
//
// Decode does not judge what the rules mean; Parse does both.
func Decode(data map[string]string) (v1alpha1.Rules, error) {
	var problems report
	var out v1alpha1.Rules
	for _, s := range decode(data, &problems) {
		if s.kind == User {
			out.MapUsers = append(out.MapUsers, s.rule)
		} else {
			out.MapRoles = append(out.MapRoles, s.rule)
		}
	}
	if err := problems.err(); err != nil {
		return v1alpha1.Rules{}, err
	}
	return out, nil
}

func decode(data map[string]string, problems *report) []source {
	var out []source
	for _, key := range slices.Sorted(maps.Keys(data)) {
		switch key {
		case keyMapUsers:
			out = append(out, decodeList(User, data[key], problems)...)
		case keyMapRoles:
			out = append(out, decodeList(Role, data[key], problems)...)
		default:
			unknown(problems, place{key: key}, "key", []string{keyMapUsers, keyMapRoles})
		}
	}
	return out
}

// unknown reports a word that is not one of those known; for a key of the data
// the word is the place itself.
func unknown(problems *report, at place, what string, known []string) {
	if guess, ok := nearest(at.key, known); ok {
		problems.add(at, "unknown %s; did you mean %q?", what, guess)
		return
	}
	problems.add(at, "unknown %s; the keys are %s", what, strings.Join(known, " and "))
}

func decodeList(kind Kind, value string, problems *report) []source {
	at := place{key: kind.DataKey()}
	root, err := document(value)
	if err != nil {
		at.line = err.line
		problems.add(at, "%s", err.reason)
		return nil
	}
	if root == nil || isNull(root) {
		return nil
	}
	at.line = root.Line
	if root.Kind != yaml.SequenceNode || root.Style&yaml.TaggedStyle != 0 {
		problems.add(at, `must be a list of rules and is %s; begin each rule with "- "`, describe(root))
		return nil
	}
	if len(root.Content) > maxRules {
		problems.add(at, "%d rules are more than the %d that are allowed", len(root.Content), maxRules)
		return nil
	}
	var out []source
	for i, item := range root.Content {
		d := ruleDecoder{problems: problems, source: source{
			kind:  kind,
			at:    place{key: at.key, rule: i + 1, line: item.Line},
			lines: make(map[string]int),
		}}
		d.decode(resolve(item))
		out = append(out, d.source)
	}
	return out
}

// ruleDecoder reads one rule.
type ruleDecoder struct {
	source
	problems *report
}

func (d *ruleDecoder) decode(n *yaml.Node) {
	if n.Kind != yaml.MappingNode || n.Style&yaml.TaggedStyle != 0 {
		// Whatever it lacks is not worth a word beside this.
		for _, f := range fieldNames() {
			d.lines[f] = n.Line
		}
		d.problems.add(d.at, "must be a rule, as in %q, and is %s", "arnRegex: ^…$", describe(n))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		at := d.at
		at.line = n.Content[i].Line
		if name, ok := d.key(key, at); ok {
			if seen[name] {
				d.problems.add(at, "%s stands there twice; keep one", name)
			}
			seen[name] = true
			d.lines[name] = at.line
			d.value(name, resolve(n.Content[i+1]), at)
		}
	}
}

// key reads the name of a field.
func (d *ruleDecoder) key(n *yaml.Node, at place) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.problems.add(at, "a field's name must be a word and is %s", describe(n))
		return "", false
	case n.ShortTag() == "!!merge":
		d.problems.add(at, "merge keys (<<) are not read; write the fields out")
		return "", false
	case slices.Contains(fieldNames(), n.Value):
		return n.Value, true
	}
	if guess, ok := nearest(n.Value, fieldNames()); ok {
		d.lines[guess] = at.line // so that it is not reported as missing, too
		d.problems.add(at, "unknown field %s; did you mean %q?", quote(n.Value), guess)
	} else {
		d.problems.add(at, "unknown field %s; the fields are %s", quote(n.Value), strings.Join(fieldNames(), ", "))
	}
	return "", false
}

// value reads the value of a field into the rule.
func (d *ruleDecoder) value(name string, n *yaml.Node, at place) {
	var err error
	switch name {
	case fieldArnRegex:
		d.rule.ArnRegex, err = text(n)
	case fieldPathPrefix:
		d.rule.PathPrefix, err = text(n)
	case fieldPermissionSet:
		d.rule.PermissionSet, err = text(n)
	case fieldUsername:
		d.rule.Username, err = text(n)
	case fieldMaxMatches:
		d.rule.MaxMatches, err = count(n)
	case fieldBoundary:
		d.rule.PermissionsBoundary, err = text(n)
	case fieldMaxAge:
		d.rule.MaxAge, err = age(n)
	case fieldGroups:
		d.rule.Groups = d.list(name, "developers", n, at)
	case fieldIAMGroups:
		d.rule.IAMGroups = d.list(name, "Developers", n, at)
	case fieldTags:
		d.rule.Tags = d.tags(n, at)
	}
	if err != nil {
		d.problems.add(at, "%s %v", name, err)
	}
}

// list reads a list of texts; example is one that a message may show.
func (d *ruleDecoder) list(name, example string, n *yaml.Node, at place) []string {
	if n.Kind != yaml.SequenceNode || n.Style&yaml.TaggedStyle != 0 {
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			example = clip(n.Value)
		}
		d.problems.add(at, "%s must be a list and is %s; write %s: [%s]", name, describe(n), name, example)
		return nil
	}
	out := make([]string, 0, len(n.Content))
	for i, item := range n.Content {
		at.line = item.Line
		g, err := text(resolve(item))
		if err != nil {
			d.problems.add(at, "%s number %d %v", name, i+1, err)
			continue
		}
		out = append(out, g)
	}
	if len(out) < len(n.Content) {
		return nil // what is wrong is said
	}
	return out
}

// tags reads a mapping of texts. Only a value may be empty, in quotes.
func (d *ruleDecoder) tags(n *yaml.Node, at place) map[string]string {
	if n.Kind != yaml.MappingNode || n.Style&yaml.TaggedStyle != 0 {
		d.problems.add(at, "tags must be a mapping and is %s; write tags: {team: payments}", describe(n))
		return nil
	}
	out := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		at.line = n.Content[i].Line
		key, err := text(resolve(n.Content[i]))
		if err != nil {
			d.problems.add(at, "a key of tags %v", err)
			continue
		}
		value := resolve(n.Content[i+1])
		if v, err := text(value); err == nil || isEmptyText(value) {
			if _, twice := out[key]; twice {
				d.problems.add(at, "tags has the key %s twice; keep one", quote(key))
			}
			out[key] = v
		} else {
			d.problems.add(at, "the value of the tag %s %v", quote(key), err)
		}
	}
	if len(out) < len(n.Content)/2 {
		return nil // what is wrong is said
	}
	return out
}

// yamlError is a text that is not one YAML document.
type yamlError struct {
	line   int
	reason string
}

// document gives the root of the only document in a text, nil if there is
// none.
func document(value string) (*yaml.Node, *yamlError) {
	if !utf8.ValidString(value) {
		valid := strings.ToValidUTF8(value, "\x00")
		return nil, &yamlError{lineAt(value, strings.IndexByte(valid, 0)), "is not UTF-8 text"}
	}
	decoder := yaml.NewDecoder(strings.NewReader(value))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, invalid(value, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, &yamlError{second.Line, "a second YAML document begins here; keep all rules in one list"}
	} else if !errors.Is(err, io.EOF) {
		return nil, invalid(value, err)
	}
	return resolve(first.Content[0]), nil
}

// invalid finds the line that the parser stumbled over, which its message
// often does not name: the first after which it gives this very message.
func invalid(value string, err error) *yamlError {
	lines := strings.SplitAfter(value, "\n")
	at := sort.Search(len(lines)-1, func(i int) bool {
		return parseError(strings.Join(lines[:i+1], "")) == err.Error()
	})
	_, message, _ := strings.Cut(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		_, message, _ = strings.Cut(rest, ": ")
	}
	reason := "is not YAML: " + clip(message)
	if strings.Contains(leading(lines[at]), "\t") {
		reason += "; indent with spaces, not with tabs"
	}
	return &yamlError{at + 1, reason}
}

func parseError(value string) string {
	decoder := yaml.NewDecoder(strings.NewReader(value))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			return ""
		} else if err != nil {
			return err.Error()
		}
	}
}

// leading is the white space that a line begins with.
func leading(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

func lineAt(value string, offset int) int {
	return 1 + strings.Count(value[:max(0, min(offset, len(value)))], "\n")
}

func describe(n *yaml.Node) string {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return "tagged " + clip(n.Tag)
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case isNull(n):
		return "empty"
	default:
		return fmt.Sprintf("the text %s", quote(n.Value))
	}
}
