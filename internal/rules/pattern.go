package rules

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Bounds of a pattern: its characters, and the steps that it has when its
// counted repetitions are written out.
const (
	maxPattern = 1024
	maxSteps   = 5000
)

// pattern is a compiled arnRegex.
type pattern struct {
	// re matches as the automaton does and knows what was captured.
	re *regexp.Regexp
	// fast is nil for a pattern that is too large for an automaton.
	fast *automaton
	// literal is how every matching ARN begins, suffix how it ends. prefix is the
	// literal of a pattern without an automaton, as far as its text shows it.
	literal, prefix, suffix string
	// steps are those of the pattern with its repetitions written out, roughly.
	steps int
}

// newPattern compiles an arnRegex of a kind. Where it refuses, the pattern is
// nil and the reason says the way out.
func newPattern(kind Kind, text string, unanchored bool) (p *pattern, reason string) {
	if len(text) > maxPattern {
		return nil, fmt.Sprintf("has %d characters; at most %d are allowed", len(text), maxPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, badSyntax(err)
	}
	count := steps(tree)
	if count > maxSteps {
		return nil, fmt.Sprintf("is too large: with its repetitions written out it has more than %d steps", maxSteps)
	}
	if reason := badNames(tree.CapNames()); reason != "" {
		return nil, reason
	}
	p, err = compilePattern(text, tree, unanchored)
	if err == nil {
		p.steps = count
	}
	switch {
	case err != nil: // it parsed alone, so it is what stands around it now that does not
		return nil, `leaves \Q open; close it with \E`
	case matchesEverything(kind, p.re):
		return nil, fmt.Sprintf("matches every %s of every account; name what is meant, as in %s", kind, example(kind))
	case !unanchored && (!begins(tree) || !ends(tree)):
		return nil, "must begin with ^ and end with $ in each of its alternatives, so that it matches whole ARNs; " +
			correction(kind, text)
	case !p.possible(shape(kind, "/")):
		return nil, fmt.Sprintf("can match no %s's ARN; those look like %s", kind, exampleARN(kind))
	}
	return p, ""
}

// badSyntax says why a text is no pattern. RE2 leaves out what other dialects
// have and what can take for ever.
func badSyntax(err error) string {
	e, ok := errors.AsType[*syntax.Error](err)
	switch {
	case !ok:
		return fmt.Sprintf("is not a regular expression: %v", err)
	case lookaround(e.Expr) != "":
		return fmt.Sprintf("uses %s, but RE2 cannot look ahead or behind; write what is to match, not what is not to", lookaround(e.Expr))
	case e.Code == syntax.ErrInvalidEscape && strings.Trim(e.Expr, `\123456789`) == "":
		return fmt.Sprintf("uses %s, but RE2 cannot refer back to a group; write out what is to match", e.Expr)
	}
	return fmt.Sprintf("is not a regular expression: %s: %s; https://golang.org/s/re2syntax tells what can be written", e.Code, e.Expr)
}

func lookaround(s string) string {
	for _, op := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

func compilePattern(text string, tree *syntax.Regexp, unanchored bool) (*pattern, error) {
	whole := tree
	if unanchored {
		anything := &syntax.Regexp{Op: syntax.OpStar, Sub: []*syntax.Regexp{{Op: syntax.OpAnyChar}}}
		whole = &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{anything, tree, anything}}
	} else {
		text = `\A(?:` + text + `)\z`
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p := &pattern{re: re, fast: newAutomaton(whole), prefix: literalPrefix(whole), suffix: literalSuffix(whole)}
	if p.fast != nil {
		p.literal = p.fast.literal
	}
	return p, nil
}

// maxTables bounds the automata of all rules together, in bytes. Patterns
// beyond it are matched by package regexp, slower and in little memory.
const maxTables = 4 << 20

// fit drops the automaton if it takes more than room bytes, and returns the
// room that is left.
func (p *pattern) fit(room int) int {
	if p == nil || p.fast == nil {
		return room
	}
	if size := 2*len(p.fast.next) + len(p.fast.accept); size <= room {
		return room - size
	}
	p.fast = nil
	return room
}

// match tells whether the pattern matches an ARN.
func (p *pattern) match(arn string) bool {
	if p.fast != nil {
		return p.fast.match(arn)
	}
	return p.re.MatchString(arn)
}

// regexp is nil for no pattern.
func (p *pattern) regexp() *regexp.Regexp {
	if p == nil {
		return nil
	}
	return p.re
}

// possible tells whether some text of a shape can match, and true if that
// would be too hard to know.
func (p *pattern) possible(shape string) bool {
	if p.fast == nil {
		return true
	}
	tree, err := syntax.Parse(shape, syntax.Perl)
	if err != nil {
		return true
	}
	other := newAutomaton(tree)
	return other == nil || p.fast.meets(other)
}

// imitates tells whether the pattern matches an ARN only by taking a colon of
// its path for one of the five that separate an ARN's parts: .*:user/tmp-.*
// matches arn:aws:iam::123456789012:user/x:user/tmp-1, whose path is /x:user/,
// and whoever may choose paths could so choose rules. A pattern that fixes the
// five has said what its other colons are.
func (p *pattern) imitates(arn string) bool {
	at := resourceAt(arn)
	if !strings.Contains(arn[at:], ":") || resourceAt(p.literal) > 0 {
		return false
	}
	return !p.match(arn[:at] + strings.ReplaceAll(arn[at:], ":", "-"))
}

// resourceAt is where an ARN's resource begins, behind the fifth colon; 0 if
// there are not five.
func resourceAt(arn string) int {
	colons := 0
	for i := range len(arn) {
		if arn[i] == ':' {
			if colons++; colons == 5 {
				return i + 1
			}
		}
	}
	return 0
}

// anyAccount is what shape takes for an account.
const anyAccount = "[0-9]+"

// shape is a pattern of all ARNs of a kind whose path begins with a prefix.
func shape(kind Kind, pathPrefix string) string {
	return `arn:aws[a-z0-9-]*:iam::` + anyAccount + `:` + string(kind) + regexp.QuoteMeta(pathPrefix) +
		`(?:[!-~]+/)?[A-Za-z0-9_+=,.@-]+`
}

func badNames(names []string) (reason string) {
	for i, name := range names[1:] {
		switch {
		case name == "":
		case slices.Contains(names[1:i+1], name):
			return fmt.Sprintf("has two groups named %q; rename one", name)
		case builtinByName(name) != builtinNone:
			return fmt.Sprintf("has a group named %q, which already means the principal's own; rename the group", name)
		case '0' <= name[0] && name[0] <= '9':
			return fmt.Sprintf("has a group named %q, which reads like a number; let it begin with a letter", name)
		}
	}
	return ""
}

// begins tells whether every text that the expression matches is tied to the
// beginning by the expression itself; ends does so for the end. With (?m), ^
// and $ are those of a line and do not count.
func begins(re *syntax.Regexp) bool {
	return anchored(re, syntax.OpBeginText, func(sub []*syntax.Regexp) *syntax.Regexp { return sub[0] })
}

func ends(re *syntax.Regexp) bool {
	return anchored(re, syntax.OpEndText, func(sub []*syntax.Regexp) *syntax.Regexp { return sub[len(sub)-1] })
}

func anchored(re *syntax.Regexp, anchor syntax.Op, outer func([]*syntax.Regexp) *syntax.Regexp) bool {
	switch re.Op {
	case anchor:
		return true
	case syntax.OpConcat, syntax.OpCapture:
		return anchored(outer(re.Sub), anchor, outer)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !anchored(sub, anchor, outer) })
	default:
		return false
	}
}

// literalSuffix is how every text ends that an expression matches up to the
// text's end; it may be shorter than it could.
func literalSuffix(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return string(re.Rune)
		}
	case syntax.OpCapture:
		return literalSuffix(re.Sub[0])
	case syntax.OpConcat:
		last := len(re.Sub) - 1
		for last > 0 && (re.Sub[last].Op == syntax.OpEndText || re.Sub[last].Op == syntax.OpEmptyMatch) {
			last--
		}
		return literalSuffix(re.Sub[last])
	}
	return ""
}

// literalPrefix is how every text begins that an expression matches from the
// text's beginning; it may be shorter than it could.
func literalPrefix(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return string(re.Rune)
		}
	case syntax.OpCapture:
		return literalPrefix(re.Sub[0])
	case syntax.OpConcat:
		var prefix strings.Builder
		for _, sub := range re.Sub {
			if sub.Op == syntax.OpBeginText || sub.Op == syntax.OpEmptyMatch {
				continue
			}
			prefix.WriteString(literalPrefix(sub))
			if sub.Op != syntax.OpLiteral || sub.Flags&syntax.FoldCase != 0 {
				break
			}
		}
		return prefix.String()
	}
	return ""
}

// correction proposes the pattern that was probably meant.
func correction(kind Kind, text string) string {
	for _, candidate := range []string{
		"^" + text, text + "$", "^" + text + "$", "^(?:" + text + ")$",
		"^arn:aws:iam::[0-9]+:" + text + "$",
	} {
		tree, err := syntax.Parse(candidate, syntax.Perl)
		if err != nil || !begins(tree) || !ends(tree) {
			continue
		}
		p, err := compilePattern(candidate, tree, false)
		if err == nil && p.possible(shape(kind, "/")) && !matchesEverything(kind, p.re) {
			return "write " + candidate
		}
	}
	return "write the whole ARN, as in " + example(kind)
}

func example(kind Kind) string { return "^arn:aws:iam::123456789012:" + string(kind) + "/vault/.*$" }

func exampleARN(kind Kind) string { return "arn:aws:iam::123456789012:" + string(kind) + "/vault/name" }

// matchesEverything tries a pattern on ARNs that have nothing in common but
// their kind and partition.
func matchesEverything(kind Kind, re *regexp.Regexp) bool {
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
		all := true
		for _, probe := range []string{
			"000000000001:%s/a", "123456789012:%s/Z9", "987654321098:%s/p/x_+=,.@-", "555555555555:%s/0/b/C/7",
			"246813579024:%s/vault/0-token-terraform-1700000000-AbCdEf", "999999999999:%s/~!/q",
			"314159265358:%s/AWSReservedSSO_A_0123456789abcdef",
		} {
			all = all && re.MatchString("arn:"+partition+":iam::"+fmt.Sprintf(probe, kind))
		}
		if all {
			return true
		}
	}
	return false
}

// steps counts the instructions of a pattern, roughly, and stops counting when
// there are too many.
func steps(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n = min(n+steps(sub), maxSteps+1)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Min, re.Max, 1), maxSteps+1)
	}
	return n
}
