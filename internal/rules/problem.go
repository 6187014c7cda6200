package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one reason why rules were refused.
type Problem struct {
	// Key is the key of the ConfigMap's data.
	Key string
	// Rule is the rule's number within the key, from 1; 0 where it is not one
	// rule's problem.
	Rule int
	// Line is the line within the key's value, from 1; 0 where it is unknown.
	Line int
	// Reason says what is wrong and the way out.
	Reason string
}

// String is one sentence, as in
//
//	mapUsers rule 2 (line 5): unknown field "arnRegexp"; did you mean "arnRegex"?
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(clip(p.Key))
	if p.Rule > 0 {
		b.WriteString(" rule " + strconv.Itoa(p.Rule))
	}
	if p.Line > 0 {
		b.WriteString(" (line " + strconv.Itoa(p.Line) + ")")
	}
	return b.String() + ": " + p.Reason
}

// Problems is the error of rules that are refused: everything that is wrong
// with them, in the order of keys and lines.
type Problems struct {
	// List is never empty.
	List []Problem
}

// Error gives one line for each problem.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, q := range p.List {
		lines[i] = q.String()
	}
	return strings.Join(lines, "\n")
}

// place is where in the rules something stands.
type place struct {
	key        string
	rule, line int
}

// report collects problems.
type report struct{ list []Problem }

func (r *report) add(at place, format string, args ...any) {
	r.list = append(r.list, Problem{
		Key: oneLine(at.key), Rule: at.rule, Line: at.line, Reason: oneLine(fmt.Sprintf(format, args...)),
	})
}

// oneLine keeps what people wrote from breaking messages and logs.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// err is nil when there were no problems.
func (r *report) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b Problem) int {
		return cmp.Or(-strings.Compare(a.Key, b.Key), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Line, b.Line))
	})
	return &Problems{List: slices.Compact(r.list)}
}

// maxShown bounds what a message repeats of a text that may be huge.
const maxShown = 100

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

func quote(s string) string { return strconv.Quote(clip(s)) }

// nearest is the known word that an unknown one was probably meant to be.
func nearest(word string, known []string) (string, bool) {
	const maxWord = 64
	best, bestDistance := "", 3
	if len(word) > maxWord {
		return "", false
	}
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best, best != ""
}

// distance is how many bytes must be added, dropped or exchanged.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := diagonal
			if a[i] != b[j] {
				step++
			}
			diagonal = row[j+1]
			row[j+1] = min(step, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
