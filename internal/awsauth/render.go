package awsauth

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// appendBlock writes an entry as an item of a block list whose dashes stand in
// column indent, in the key order and layout that people know from eksctl and
// the EKS documentation.
func appendBlock(b []byte, e Entry, indent int, newline string) []byte {
	key := func(dash, name string) {
		for range indent {
			b = append(b, ' ')
		}
		b = append(append(append(b, dash...), name...), ':')
	}
	value := func(v string) {
		b = append(appendScalar(append(b, ' '), v), newline...)
	}
	key("- ", arnField(e.Kind))
	value(e.ARN)
	key("  ", "username")
	value(e.Username)
	key("  ", "groups")
	if len(e.Groups) == 0 {
		return append(append(b, " []"...), newline...)
	}
	b = append(b, newline...)
	for _, g := range e.Groups {
		for range indent {
			b = append(b, ' ')
		}
		b = append(b, "  -"...)
		value(g)
	}
	return b
}

// appendFlow writes an entry as a JSON object.
func appendFlow(b []byte, e Entry) []byte {
	b = append(append(append(b, `{"`...), arnField(e.Kind)...), `":`...)
	b = appendQuoted(b, e.ARN)
	b = appendQuoted(append(b, `,"username":`...), e.Username)
	b = append(b, `,"groups":[`...)
	for i, g := range e.Groups {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, g)
	}
	return append(b, "]}"...)
}

// appendScalar writes v plain where every reader takes it for the string v,
// and in double quotes otherwise.
func appendScalar(b []byte, v string) []byte {
	if plainString(v) {
		return append(b, v...)
	}
	return appendQuoted(b, v)
}

// appendQuoted writes v as a JSON string that is a YAML double-quoted scalar,
// too: control characters and the line breaks of YAML 1.1 are escaped.
func appendQuoted(b []byte, v string) []byte {
	b = append(b, '"')
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff ||
			r <= 0xffff && !unicode.IsPrint(r) && r != utf8.RuneError:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// blockText renders entries for a place in text that ends in a line ending or
// not; the last line ending follows what was there.
func blockText(entries []Entry, indent int, newline string, afterOpenLine bool) string {
	size := 0
	for i := range entries {
		size += 64 + 3*indent + len(entries[i].ARN) + len(entries[i].Username) + 32*len(entries[i].Groups)
	}
	b := make([]byte, 0, size)
	if afterOpenLine {
		b = append(b, newline...)
	}
	for i := range entries {
		b = appendBlock(b, entries[i], indent, newline)
	}
	if afterOpenLine {
		return strings.TrimSuffix(string(b), newline)
	}
	return string(b)
}
