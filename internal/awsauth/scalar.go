package awsauth

import "strings"

// scalar reads one single-line scalar after a colon or dash: blanks (at least
// one), the scalar, then nothing but blanks and a comment. width is the number
// of bytes up to the scalar's end. ok is false for anything but a string that
// YAML 1.1 and 1.2 agree on.
func scalar(rest string) (value string, width int, ok bool) {
	text := strings.TrimLeft(rest, " ")
	lead := len(rest) - len(text)
	if lead == 0 || text == "" {
		return "", 0, false
	}
	if text[0] == '\'' || text[0] == '"' {
		value, width, ok = quoted(text)
		if !ok || !blankOrComment(text[width:]) {
			return "", 0, false
		}
		return value, lead + width, true
	}
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimRight(text, " ")
	if !plainString(text) {
		return "", 0, false
	}
	return text, lead + len(text), true
}

// quoted reads a quoted scalar without escapes at the start of text.
func quoted(text string) (value string, width int, ok bool) {
	quote := text[0]
	end := strings.IndexByte(text[1:], quote)
	if end < 0 {
		return "", 0, false
	}
	value, width = text[1:1+end], end+2
	if quote == '"' && strings.IndexByte(value, '\\') >= 0 {
		return "", 0, false
	}
	if quote == '\'' && width < len(text) && text[width] == '\'' {
		return "", 0, false
	}
	return value, width, true
}

// blankOrComment reports whether nothing follows but blanks and a comment.
func blankOrComment(rest string) bool {
	text := strings.TrimLeft(rest, " ")
	return text == "" || text[0] == '#' && len(text) < len(rest)
}

// plainString reports whether s, written plain in block context, is the string
// s to every YAML reader: it begins with a letter, holds nothing that ends or
// splits a plain scalar, and is none of the words that YAML 1.1 takes for
// booleans or null.
func plainString(s string) bool {
	if s == "" || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c) || '0' <= c && c <= '9':
		case strings.IndexByte("-_./@+=,{}*$~^()!%&<>;[]|'\"?", c) >= 0:
		case c == ' ' && i+1 < len(s) && s[i+1] != '#':
		case c == ':' && i+1 < len(s) && s[i+1] != ' ':
		default:
			return false
		}
	}
	return len(s) > 5 || !reservedWord(s)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// reservedWord names the plain words that are not strings in YAML 1.1
// (https://yaml.org/type/bool.html, https://yaml.org/type/null.html).
func reservedWord(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return true
	}
	return false
}

// flowScalars reads ` [a, "b"]`, a flow list of strings on one line, followed
// by nothing but a comment. Plain items are held to fewer characters than in
// block context, because brackets, braces and commas end them.
func flowScalars(rest string) (list []string, width int, ok bool) {
	text := strings.TrimLeft(rest, " ")
	lead := len(rest) - len(text)
	if lead == 0 || text == "" || text[0] != '[' {
		return nil, 0, false
	}
	list = []string{}
	at := 1 + blanks(text[1:])
	if at < len(text) && text[at] == ']' {
		return list, lead + at + 1, blankOrComment(text[at+1:])
	}
	for at < len(text) {
		value, n, ok := flowScalar(text[at:])
		if !ok {
			return nil, 0, false
		}
		list = append(list, value)
		at += n
		at += blanks(text[at:])
		if at == len(text) {
			return nil, 0, false
		}
		switch text[at] {
		case ']':
			return list, lead + at + 1, blankOrComment(text[at+1:])
		case ',':
			at++
			at += blanks(text[at:])
		default:
			return nil, 0, false
		}
	}
	return nil, 0, false
}

func flowScalar(text string) (value string, width int, ok bool) {
	if text[0] == '\'' || text[0] == '"' {
		return quoted(text)
	}
	for width < len(text) && flowPlain(text[width]) {
		width++
	}
	value = text[:width]
	if strings.HasSuffix(value, ":") || !plainString(value) {
		return "", 0, false
	}
	return value, width, true
}

func flowPlain(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || strings.IndexByte("-_./@+=:", c) >= 0
}

func blanks(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
