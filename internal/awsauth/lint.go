package awsauth

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Severity says how bad a mistake is.
type Severity string

const (
	// SeverityError is for what keeps somebody out, or lets them in otherwise
	// than it says.
	SeverityError Severity = "error"
	// SeverityWarning is for what works and is hardly what was meant.
	SeverityWarning Severity = "warning"
)

// Finding is one mistake in an aws-auth.
type Finding struct {
	Severity Severity
	// Key is the data key; empty for the ConfigMap as a whole.
	Key string
	// Line counts from 1 within the key's value; 0 is the value as a whole.
	Line int
	// What is what EKS makes of it, Fix the correction; both without a full
	// stop.
	What, Fix string
}

// String is the finding in one line.
func (f Finding) String() string {
	place := f.Key
	if f.Line > 0 {
		place += " line " + strconv.Itoa(f.Line)
	}
	if place != "" {
		place += ": "
	}
	return fmt.Sprintf("%s%s: %s; %s", place, f.Severity, f.What, f.Fix)
}

// warnPercent is how full a ConfigMap is when Lint says so.
const warnPercent = 80

// Lint lists the mistakes in the data of an aws-auth, as the authenticator
// reads it (sigs.k8s.io/aws-iam-authenticator pkg/mapper/configmap): by key,
// the mappings first, then by line. Nothing is changed.
func Lint(data map[string]string) []Finding {
	l := linter{data: data, seen: map[string]spot{}}
	for _, kind := range []rules.Kind{rules.Role, rules.User} {
		l.key = kind.DataKey()
		if value, ok := data[l.key]; ok {
			from := len(l.findings)
			l.list(kind, value)
			slices.SortStableFunc(l.findings[from:], func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
		}
	}
	l.key = accountsKey
	if value, ok := data[accountsKey]; ok {
		l.accounts(value)
	}
	l.keys()
	l.size()
	return l.findings
}

type linter struct {
	data     map[string]string
	key      string // of the value that is being read
	findings []Finding
	seen     map[string]spot // by folded ARN, the last entry
}

// spot is where an entry stands.
type spot struct {
	key  string
	line int
	arn  string
}

func (l *linter) add(s Severity, line int, what, fix string) {
	l.findings = append(l.findings, Finding{Severity: s, Key: l.key, Line: line, What: what, Fix: fix})
}

// keys finds data keys with the wrong spelling.
func (l *linter) keys() {
	known := []string{rules.Role.DataKey(), rules.User.DataKey(), accountsKey}
	for _, key := range slices.Sorted(maps.Keys(l.data)) {
		if slices.Contains(known, key) {
			continue
		}
		for _, k := range known {
			if strings.EqualFold(strings.TrimSuffix(strings.ToLower(key), "s"), strings.TrimSuffix(k, "s")) {
				l.key = key
				l.add(SeverityError, 0, "EKS does not know this key and ignores everything in it", "rename it to "+k)
			}
		}
	}
}

func (l *linter) size() {
	total := 0
	for key, value := range l.data {
		total += len(key) + len(value)
	}
	if percent := total * 100 / MaxBytes; percent >= warnPercent {
		l.key = ""
		l.add(SeverityWarning, 0, fmt.Sprintf("it takes %d %% of the 1 MiB that a ConfigMap holds", percent),
			"take out what is no longer needed, or move to access entries")
	}
}

// list reads the value of mapUsers or mapRoles.
func (l *linter) list(kind rules.Kind, value string) {
	if _, empty := emptyValue(value); empty || skipped(value) {
		return
	}
	if strings.Count(value, "\n")+strings.Count(value, ",") > maxLines {
		l.add(SeverityWarning, 0, "it is too long to be looked at", "take out what is no entry")
		return
	}
	meaning, err := decode(kind, value)
	if err != nil {
		l.unparsable(value, err)
		return
	}
	l.secondDocument(value)
	at := positions(value, len(meaning.raw))
	for i, raw := range meaning.raw {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
			l.add(SeverityError, at(i, ""), "EKS drops this item, because it is not a mapping of keys to values",
				"write - "+arnField(kind)+": arn:aws:iam::…")
			continue
		}
		e := entryLinter{linter: l, kind: kind, entry: meaning.entries[i], set: meaning.sets[i], both: meaning.both[i], fields: fields,
			line: func(field string) int { return at(i, field) }}
		e.lint()
	}
}

// skipped recognizes the values that the authenticator does not even parse.
func skipped(value string) bool {
	return slices.Contains([]string{"", "``", `""`, "''"}, strings.TrimSpace(value))
}

func (l *linter) unparsable(value string, err error) {
	line, fix := 0, "correct it; until then nobody gets in by "+l.key
	if found := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error()); found != nil {
		line, _ = strconv.Atoi(found[1])
	}
	for i, text := range strings.Split(value, "\n") {
		if strings.Contains(text[:len(text)-len(strings.TrimLeft(text, " \t-"))], "\t") {
			line, fix = i+1, "indent with spaces, because YAML allows no tabs there; until then nobody gets in by "+l.key
			break
		}
	}
	l.add(SeverityError, line, oneLine(err), fix)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// secondDocument finds text behind a --- that EKS does not read.
func (l *linter) secondDocument(value string) {
	decoder := yaml.NewDecoder(strings.NewReader(value))
	var first, second yaml.Node
	if decoder.Decode(&first) == nil && decoder.Decode(&second) == nil {
		l.add(SeverityError, second.Line, "EKS reads only the first YAML document and ignores what follows", "take out the --- before it")
	}
}

// positions gives the line of an item, or of one of its fields; 0 where the two
// YAML readers see different things.
func positions(value string, items int) func(item int, field string) int {
	var doc yaml.Node
	err := yaml.Unmarshal([]byte(value), &doc)
	if err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.SequenceNode || len(doc.Content[0].Content) != items {
		return func(int, string) int { return 0 }
	}
	return func(item int, field string) int {
		node := doc.Content[0].Content[item]
		if node.Kind == yaml.MappingNode && field != "" {
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == field {
					return node.Content[i].Line
				}
			}
		}
		return node.Line
	}
}

// accounts reads the value of mapAccounts.
func (l *linter) accounts(value string) {
	read := readAccounts(value)
	if read.problem != nil {
		l.unparsable(value, read.problem)
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
		return
	}
	for _, node := range doc.Content[0].Content {
		switch id := node.Value; {
		case node.Kind != yaml.ScalarNode:
			l.add(SeverityError, node.Line, "EKS drops this item, because it is not an account", `write - "123456789012"`)
		case len(id) != 12 || strings.Trim(id, "0123456789") != "":
			l.add(SeverityError, node.Line, fmt.Sprintf("nobody is of account %q: an account has 12 digits", id), `write it as AWS prints it: - "123456789012"`)
		}
	}
}

// sortedFields are the names of an item's fields by the line they stand in.
func sortedFields(fields map[string]json.RawMessage, line func(string) int) []string {
	return slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(line(a), line(b)), strings.Compare(a, b))
	})
}
