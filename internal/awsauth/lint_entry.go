package awsauth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// entryLinter looks at one item.
type entryLinter struct {
	*linter
	kind   rules.Kind
	entry  Entry
	set    *permissionSet // what stands under sso
	both   bool           // rolearn stands beside it
	fields map[string]json.RawMessage
	line   func(field string) int // "" is the item
}

func (e *entryLinter) lint() {
	e.spelling()
	e.types()
	switch {
	case e.both:
		e.add(SeverityError, e.at("sso"), "EKS drops this entry, because it has both rolearn and sso", "take sso out, so that rolearn counts")
		return
	case e.entry.ARN != "":
	case e.set != nil:
		e.permissionSet()
		return
	default:
		e.add(SeverityError, e.line(""), "EKS drops this entry, because it has no "+arnField(e.kind), "add "+arnField(e.kind)+": arn:aws:iam::…")
		return
	}
	if e.identity() {
		e.duplicate()
	}
	e.username()
	e.templates()
}

// permissionSet looks at an item that has sso alone.
func (e *entryLinter) permissionSet() {
	if err := e.set.check(); err != nil {
		e.add(SeverityError, e.at("sso"), "EKS drops this entry: "+oneLine(err),
			`write sso: {permissionSetName: NAME, accountID: "123456789012"}, or rolearn: and the ARN of the set's role without its path`)
		return
	}
	e.add(SeverityError, e.at("sso"), "EKS lets nobody in by this entry, because it reads sso only with the feature gate SSORoleMatch, which it leaves off",
		"write rolearn: and the ARN of the set's role without its path")
}

// field finds a field as encoding/json does, without regard to case.
func (e *entryLinter) field(name string) (spelled string, ok bool) {
	for _, field := range sortedFields(e.fields, e.line) {
		if strings.EqualFold(field, name) {
			return field, true
		}
	}
	return "", false
}

// at is the line of a field, however it is spelled.
func (e *entryLinter) at(name string) int {
	spelled, _ := e.field(name)
	return e.line(spelled)
}

func (e *entryLinter) known() []string {
	known := []string{arnField(e.kind), "username", "groups"}
	if e.kind == rules.Role {
		known = append(known, "sso")
	}
	return known
}

// spelling finds fields that EKS does not read.
func (e *entryLinter) spelling() {
	for _, field := range sortedFields(e.fields, e.line) {
		if slices.ContainsFunc(e.known(), func(k string) bool { return strings.EqualFold(k, field) }) {
			continue
		}
		fix := "take it out"
		switch meant := meant(field); {
		case slices.Contains(e.known(), meant):
			fix = "write " + meant
		case meant != "":
			fix = "move the entry to " + other(e.kind).DataKey() + ", or write " + arnField(e.kind)
		}
		e.add(SeverityWarning, e.line(field), fmt.Sprintf("EKS ignores the field %q", field), fix)
	}
}

func other(k rules.Kind) rules.Kind {
	if k == rules.User {
		return rules.Role
	}
	return rules.User
}

// meant guesses which field one with another spelling is.
func meant(field string) string {
	plain := strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(field))
	for _, guess := range [][]string{
		{"rolearn", "rolearns", "role"}, {"userarn", "userarns"}, {"username", "usernames", "user", "name"}, {"groups", "group"},
	} {
		if slices.Contains(guess, plain) {
			return guess[0]
		}
	}
	return ""
}

// types finds values that EKS reads as nothing.
func (e *entryLinter) types() {
	for _, name := range []string{arnField(e.kind), "username"} {
		field, ok := e.field(name)
		if ok && !isString(e.fields[field]) {
			e.add(SeverityError, e.line(field), fmt.Sprintf("EKS reads %s as empty, because %s is not text", field, e.fields[field]),
				"put it in quotes")
		}
	}
	field, ok := e.field("groups")
	if !ok || string(e.fields[field]) == "null" {
		return
	}
	var items []json.RawMessage
	if err := json.Unmarshal(e.fields[field], &items); err != nil {
		e.add(SeverityError, e.line(field), "EKS gives no groups, because "+field+" is not a list", "write them as a list: "+field+": [a, b]")
		return
	}
	for _, item := range items {
		if !isString(item) {
			e.add(SeverityError, e.line(field), fmt.Sprintf("EKS reads the group %s as empty, because it is not text", item), "put it in quotes")
		}
	}
}

func isString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// identity looks at the ARN and reports whether anybody can match it.
func (e *entryLinter) identity() bool {
	line, field := e.at(arnField(e.kind)), arnField(e.kind)
	a, err := arn.Parse(e.entry.ARN)
	switch {
	case err != nil:
		e.add(SeverityError, line, "nobody matches this entry: "+oneLine(err), "write the ARN as IAM prints it")
		return false
	case a.Type == arn.TypeRole && a.Path != "/":
		e.add(SeverityError, line, "nobody matches this entry, because EKS knows roles without their path",
			"write "+field+": "+a.WithoutPath().String())
		return false
	case a.Type == arn.TypeAssumedRole:
		role := arn.ARN{Partition: a.Partition, AccountID: a.AccountID, Type: arn.TypeRole, Path: "/", Name: a.Name}
		e.add(SeverityError, line, "nobody matches this entry, because EKS knows sessions by the role that they are of",
			"write "+field+": "+role.String())
		return false
	case a.Type == arn.TypeGroup || a.Type == arn.TypeInstanceProfile:
		e.add(SeverityError, line, fmt.Sprintf("nobody matches this entry, because no login has an ARN of the type %s", a.Type),
			"map the users or the role that are meant")
		return false
	case len(a.AccountID) != 12:
		e.add(SeverityError, line, fmt.Sprintf("nobody matches this entry, because account %s has not 12 digits", a.AccountID),
			"write the ARN as IAM prints it")
		return false
	}
	return true
}

// duplicate finds an earlier entry for the same identity.
func (e *entryLinter) duplicate() {
	here := spot{key: e.key, line: e.line(""), arn: e.entry.ARN}
	before, twice := e.seen[e.entry.Key()]
	if !twice {
		e.seen[e.entry.Key()] = here
		return
	}
	first := fmt.Sprintf("line %d", before.line)
	if before.line == 0 {
		first = "an earlier entry"
	}
	fix := "keep one of them, with the groups of both"
	switch {
	case before.key != e.key:
		e.add(SeverityWarning, here.line, fmt.Sprintf("EKS never reads this entry, because %s %s is for the same identity and %s comes first",
			before.key, first, before.key), fix)
		return
	case before.arn != here.arn && e.kind == rules.User:
		e.add(SeverityError, here.line, fmt.Sprintf("it is for the same identity as %s, written in another case: EKS takes either of them, by chance", first), fix)
	default:
		e.add(SeverityWarning, here.line, fmt.Sprintf("it is for the same identity as %s: EKS takes this one alone", first), fix)
	}
	e.seen[e.entry.Key()] = here
}

func (e *entryLinter) username() {
	field, ok := e.field("username")
	if e.entry.Username != "" || ok && !isString(e.fields[field]) {
		return
	}
	line := e.line("")
	if ok {
		line = e.line(field)
	}
	e.add(SeverityWarning, line, "the identity gets in without a name, so that only its groups count and no log tells who it was",
		"add username: …")
}

// templates finds {{…}} that nothing replaces, or with nothing.
func (e *entryLinter) templates() {
	kind := rules.Role
	if a, err := arn.Parse(e.entry.ARN); err == nil && a.Type == arn.TypeUser {
		kind = rules.User
	}
	for i, text := range append([]string{e.entry.Username}, e.entry.Groups...) {
		field := "groups"
		if i == 0 {
			field = "username"
		}
		for _, m := range rules.Misreads(kind, text) {
			fix := "use " + rules.TemplateList(kind)
			if kind == rules.User && strings.Contains(rules.TemplateList(rules.Role), m.Template) {
				fix = "write the name itself"
			}
			e.add(SeverityWarning, e.at(field), "EKS "+m.What, fix)
		}
	}
}
