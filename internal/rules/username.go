package rules

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

const (
	maxUsername    = 1024
	reservedPrefix = "system:"
)

// builtin is a reference to the principal itself.
type builtin int

const (
	builtinNone builtin = iota
	builtinUserName
	builtinRoleName
	builtinAccountID
	builtinPath
	builtinUserID
)

const builtinList = "${userName}, ${roleName}, ${accountID}, ${path} and ${userID}"

func builtinByName(name string) builtin {
	switch name {
	case "userName":
		return builtinUserName
	case "roleName":
		return builtinRoleName
	case "accountID":
		return builtinAccountID
	case "path":
		return builtinPath
	case "userID":
		return builtinUserID
	default:
		return builtinNone
	}
}

// template is a user name with references, in the syntax of regexp.Expand.
type template struct {
	parts []part
	// captures tells whether the ARN must be matched for its submatches.
	captures bool
	// literal is the name without references, if there are none.
	literal string
	// strict leaves out principals whose name would hold a template that EKS
	// does not fill in.
	strict bool
}

// part is a literal, a builtin, or a group of the pattern (0 is its whole
// match).
type part struct {
	literal string
	builtin builtin
	group   int
}

// newTemplate reads a user name for a rule of a kind. re is its pattern, nil
// if it has none. The reason says why it is refused.
func newTemplate(kind Kind, text string, re *regexp.Regexp) (t template, reason string) {
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "$")
		t.addLiteral(literal)
		if !found {
			break
		}
		if tail, ok := strings.CutPrefix(after, "$"); ok {
			t.addLiteral("$")
			rest = tail
			continue
		}
		name, tail, ok := referenceName(after)
		if !ok {
			return template{}, fmt.Sprintf("has a $ that begins no reference, before %s; write $$ for a dollar sign", quote(after))
		}
		if strings.LastIndex(text[:len(text)-len(after)], "{{") > strings.LastIndex(text[:len(text)-len(after)], "}}") {
			return template{}, "has a reference inside {{ }}; what aws-auth's templates are called must stand in the rule"
		}
		ref, ok := lookUp(name, kind, re)
		if !ok {
			return template{}, unknownReference(name, after[:len(after)-len(tail)], kind, re)
		}
		t.captures = t.captures || ref.builtin == builtinNone
		t.parts = append(t.parts, ref)
		rest = tail
	}
	if len(t.parts) == 1 && t.parts[0].literal != "" {
		t.literal = t.parts[0].literal
	}
	return t, ""
}

func (t *template) addLiteral(s string) {
	if s == "" {
		return
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].literal != "" {
		t.parts[n-1].literal += s
		return
	}
	t.parts = append(t.parts, part{literal: s})
}

// referenceName reads what follows a dollar sign as regexp.Expand does: {name}
// or the longest run of letters, digits and underscores.
func referenceName(s string) (name, rest string, ok bool) {
	if braced, found := strings.CutPrefix(s, "{"); found {
		name, rest, ok = strings.Cut(braced, "}")
		return name, rest, ok && name != "" && strings.TrimLeftFunc(name, isNameRune) == ""
	}
	rest = strings.TrimLeftFunc(s, isNameRune)
	name = s[:len(s)-len(rest)]
	return name, rest, name != ""
}

func isNameRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

func lookUp(name string, kind Kind, re *regexp.Regexp) (part, bool) {
	switch b := builtinByName(name); b {
	case builtinNone:
	case builtinUserName:
		return part{builtin: b}, kind == User
	case builtinRoleName:
		return part{builtin: b}, kind == Role
	default:
		return part{builtin: b}, true
	}
	if re == nil {
		return part{}, false
	}
	if n, err := strconv.Atoi(name); err == nil && strconv.Itoa(n) == name {
		return part{group: n}, n <= re.NumSubexp()
	}
	n := re.SubexpIndex(name)
	return part{group: n}, n > 0
}

// unknownReference explains a reference to nothing. written is the reference
// behind its dollar sign.
func unknownReference(name, written string, kind Kind, re *regexp.Regexp) string {
	s := fmt.Sprintf("refers to $%s, which does not exist", clip(written))
	if !strings.HasPrefix(written, "{") {
		for end := len(name) - 1; end > 0; end-- {
			if _, ok := lookUp(name[:end], kind, re); ok {
				return fmt.Sprintf("%s, because letters and digits that follow belong to the name; write ${%s}%s",
					s, name[:end], clip(name[end:]))
			}
		}
	}
	switch builtinByName(name) {
	case builtinUserName:
		return s + " for roles; write ${roleName}"
	case builtinRoleName:
		return s + " for users; write ${userName}"
	}
	known := []string{"userName", "roleName", "accountID", "path", "userID"}
	if re == nil {
		s += " without arnRegex"
	} else {
		known = append(known, re.SubexpNames()[1:]...)
	}
	if guess, ok := nearest(name, known); ok {
		return fmt.Sprintf("%s; did you mean ${%s}?", s, guess)
	}
	if re != nil && re.NumSubexp() > 0 {
		s += fmt.Sprintf("; arnRegex has %d groups", re.NumSubexp())
	}
	return s + "; the others are " + builtinList
}

// expand gives the user name of a principal, or the reason why it gets none.
// What a principal brings in from its own name or path must not mean anything
// to Kubernetes or to the authenticator.
func (t template) expand(p *Principal, a arn.ARN, re *regexp.Regexp) (name, reason string) {
	if t.literal != "" {
		return t.literal, ""
	}
	var groups []int
	if t.captures {
		if groups = re.FindStringSubmatchIndex(p.ARN); groups == nil {
			return "", "its ARN no longer matches"
		}
	}
	var room [256]byte
	b := room[:0]
	for _, part := range t.parts {
		if part.literal != "" {
			b = append(b, part.literal...)
			continue
		}
		value := part.value(p, a, groups)
		if strings.ContainsAny(value, "{}") {
			return "", fmt.Sprintf("its name or path would bring the braces of %s into the user name", quote(value))
		}
		b = append(b, value...)
	}
	name = string(b)
	switch {
	case strings.TrimSpace(name) == "":
		return "", "its user name would be empty"
	case len(name) > maxUsername:
		return "", fmt.Sprintf("its user name would be longer than %d bytes", maxUsername)
	case strings.HasPrefix(name, reservedPrefix) && !strings.HasPrefix(t.parts[0].literal, reservedPrefix):
		return "", fmt.Sprintf("its name or path would make the user name %s, and %s is Kubernetes' own", quote(name), reservedPrefix)
	}
	if reason := unprintable(name); reason != "" {
		return "", "its user name " + reason
	}
	if t.strict && strings.Contains(name, "{{") {
		if misread := Misreads(p.Kind, name); len(misread) > 0 {
			return "", "EKS " + misread[0].What
		}
	}
	return name, ""
}

func (p part) value(principal *Principal, a arn.ARN, groups []int) string {
	switch p.builtin {
	case builtinUserName, builtinRoleName:
		return a.Name
	case builtinAccountID:
		return a.AccountID
	case builtinPath:
		return a.Path
	case builtinUserID:
		return principal.ID
	}
	if start := groups[2*p.group]; start >= 0 {
		return principal.ARN[start:groups[2*p.group+1]]
	}
	return ""
}

// unprintable says what is wrong with the characters of a name.
func unprintable(s string) (reason string) {
	if !utf8.ValidString(s) {
		return "is not UTF-8 text"
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("has the character %U, which cannot be printed", r)
		}
	}
	return ""
}
