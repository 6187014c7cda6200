package awsauth

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// locateFlow finds the items of a top-level flow list, [{…}, {…}], which is
// also the form of JSON text.
func (l *List) locateFlow(root *yaml.Node, lines []line) error {
	var at place
	start, ok := at.offset(lines, root)
	if !ok || start >= len(l.value) || l.value[start] != '[' {
		return errPosition
	}
	l.form, l.open = formFlow, start+1
	f := flowScanner{text: l.value, at: l.open, comma: -1}
	f.run()
	if f.close < 0 || len(f.found) != len(l.items) {
		return errPosition
	}
	for i, node := range root.Content {
		first, ok := at.offset(lines, node)
		if !ok || first != f.found[i].start {
			return errPosition
		}
		it := &l.items[i]
		it.start, it.end, it.comma = f.found[i].start, f.found[i].end, f.found[i].comma
	}
	return nil
}

// place is where a walk over a text's nodes, in text order, has got to.
type place struct{ line, column, byte int }

// offset turns a node's position, counted in lines and characters, into bytes.
// It goes on from the node before, since a list may stand on one long line.
func (p *place) offset(lines []line, n *yaml.Node) (int, bool) {
	if n.Line < 1 || n.Line > len(lines) || n.Anchor != "" {
		return 0, false
	}
	ln := lines[n.Line-1]
	if p.line != n.Line || p.column > n.Column {
		*p = place{line: n.Line, column: 1, byte: ln.start}
	}
	for ; p.column < n.Column; p.column++ {
		_, size := utf8.DecodeRuneInString(ln.text[p.byte-ln.start:])
		if size == 0 {
			return 0, false
		}
		p.byte += size
	}
	return p.byte, true
}

// flowScanner walks over a flow list and notes where its own items begin and
// end, minding quotes, comments and inner brackets.
type flowScanner struct {
	text  string
	at    int
	found []item
	close int // offset of the closing bracket, -1 without one

	depth      int
	start, end int // of the item under way; start -1 between items
	comma      int
}

func (f *flowScanner) run() {
	f.start, f.close = -1, -1
	for f.at < len(f.text) && f.close < 0 {
		c := f.text[f.at]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			f.at++
		case c == '#' && strings.IndexByte(" \t\n\r", f.text[f.at-1]) >= 0:
			f.skipComment()
		case (c == '"' || c == '\'') && f.tokenStart():
			f.quoted(c)
		case c == ',' && f.depth == 0:
			f.finish(f.at)
			f.at++
		case c == ']' && f.depth == 0:
			f.finish(-1)
			f.close = f.at
		default:
			f.token(c)
		}
	}
}

// token consumes one byte of the item under way.
func (f *flowScanner) token(c byte) {
	if f.start < 0 {
		f.start = f.at
	}
	switch c {
	case '[', '{':
		f.depth++
	case ']', '}':
		f.depth--
	}
	f.at++
	f.end = f.at
}

// tokenStart reports whether a quote here opens a quoted scalar, rather than
// standing inside a plain one.
func (f *flowScanner) tokenStart() bool {
	return strings.IndexByte(" \t\n\r,[]{}:", f.text[f.at-1]) >= 0
}

func (f *flowScanner) quoted(quote byte) {
	if f.start < 0 {
		f.start = f.at
	}
	for f.at++; f.at < len(f.text); f.at++ {
		switch c := f.text[f.at]; {
		case c == '\\' && quote == '"':
			f.at++
		case c == quote && quote == '\'' && strings.HasPrefix(f.text[f.at+1:], "'"):
			f.at++
		case c == quote:
			f.at++
			f.end = f.at
			return
		}
	}
}

func (f *flowScanner) skipComment() {
	i := strings.IndexByte(f.text[f.at:], '\n')
	if i < 0 {
		i = len(f.text) - f.at
	}
	f.at += i
}

func (f *flowScanner) finish(comma int) {
	if f.start >= 0 {
		f.found = append(f.found, item{start: f.start, end: f.end, comma: comma})
	}
	f.start = -1
}
