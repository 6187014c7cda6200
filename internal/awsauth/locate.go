package awsauth

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxLines bounds what the general reader takes on: it needs about a hundred
// times the memory of the text. 1 MiB of entries has some 40,000 lines.
const maxLines = 60000

// The reasons for which a readable value is left alone.
var (
	errReaders    = errors.New("two YAML readers disagree about it; write it as a plain list")
	errDirective  = errors.New("it holds a YAML directive (%…); take the directive out")
	errTag        = errors.New("it holds YAML tags (!…); write it without them")
	errComplexKey = errors.New("it holds a ? key; write it as key: value")
	errAnchored   = errors.New("an entry of ours there holds a YAML anchor or alias; write it out")
	errTooLong    = fmt.Errorf("it has more than %d lines and commas, more than any account needs; take out what is no entry", maxLines)
	errPosition   = errors.New("the place of its items cannot be told for certain; write it as a plain list")
)

// locate reads any YAML: the meaning from decode, the positions from
// go.yaml.in/yaml/v3, whose nodes say where they begin; where a node ends is
// found in the text. Both readers must agree on the number of items.
func (l *List) locate() error {
	if strings.Count(l.value, "\n")+strings.Count(l.value, ",") > maxLines {
		l.unparsable = errTooLong
		return errTooLong
	}
	meaning, err := decode(l.kind, l.value)
	if err != nil {
		l.unparsable = err
		return err
	}
	l.items = make([]item, len(meaning.entries))
	for i := range l.items {
		l.items[i] = item{entry: meaning.entries[i], raw: meaning.raw[i], comma: -1}
	}
	if err := oddLines(l.value); err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(l.value), &doc); err != nil {
		return fmt.Errorf("%w (%w)", errReaders, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.SequenceNode ||
		len(doc.Content[0].Content) != len(l.items) {
		return errReaders
	}
	root := doc.Content[0]
	lines := splitLines(l.value)
	if err := refuseOddities(root, lines); err != nil {
		return err
	}
	for i, node := range root.Content {
		l.items[i].pinned = anchored(node)
	}
	if root.Style&yaml.FlowStyle != 0 {
		return l.locateFlow(root, lines)
	}
	return l.locateBlock(root, lines)
}

// line is one line of the value: text[start:end] without, text[start:next]
// with its line ending.
type line struct {
	text             string
	start, end, next int
}

func splitLines(value string) []line {
	var lines []line
	for at := 0; at < len(value); {
		end, next := len(value), len(value)
		if i := strings.IndexByte(value[at:], '\n'); i >= 0 {
			end, next = at+i, at+i+1
		}
		if end > at && value[end-1] == '\r' {
			end--
		}
		lines = append(lines, line{text: value[at:end], start: at, end: end, next: next})
		at = next
	}
	return lines
}

func refuseOddities(root *yaml.Node, lines []line) error {
	for _, ln := range lines {
		text := strings.TrimLeft(ln.text, " -")
		if strings.HasPrefix(ln.text, "%") {
			return errDirective
		}
		if text == "?" || strings.HasPrefix(text, "? ") {
			return errComplexKey
		}
	}
	if root.Anchor != "" {
		return errAnchored
	}
	if tagged(root) {
		return errTag
	}
	return nil
}

func tagged(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle != 0 {
		return true
	}
	return slices.ContainsFunc(n.Content, tagged)
}

func anchored(n *yaml.Node) bool {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return true
	}
	return slices.ContainsFunc(n.Content, anchored)
}

// locateBlock finds each item's dash, which stands alone before its item in
// the list's column, and the last line that holds a token of the item.
func (l *List) locateBlock(root *yaml.Node, lines []line) error {
	l.form, l.indent = formBlock, root.Column-1
	dashes := make([]int, len(root.Content)+1)
	floor := -1
	for i, node := range root.Content {
		at := min(node.Line, len(lines)) - 1
		for at > floor && !dashAt(lines[at].text, l.indent) {
			at--
		}
		if at <= floor {
			return errPosition
		}
		dashes[i], floor = at, at
	}
	dashes[len(root.Content)] = documentEnd(lines, floor)
	for i, node := range root.Content {
		first, last := dashes[i], dashes[i+1]-1
		it := &l.items[i]
		it.start = lines[first].start
		if i == len(root.Content)-1 {
			if err := outside(lines, first+1, last, l.indent); err != nil {
				return err
			}
		}
		leaf := lastLeaf(node)
		if leaf.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			last = blockScalarEnd(lines[:last+1], leaf.Line-1)
			it.end = lines[last].next
		} else {
			for last > first && withoutToken(lines[last].text) {
				last--
			}
			end, err := l.tokenEnd(*it, lines[last])
			if err != nil {
				return err
			}
			it.end = end
		}
		it.lineEnd = lines[last].next
	}
	return nil
}

func dashAt(text string, column int) bool {
	return blanks(text) == column && len(text) > column && text[column] == '-' &&
		(len(text) == column+1 || text[column+1] == ' ' || text[column+1] == '\t')
}

// documentEnd is the number of the line that ends the first document after
// line from, or the number of lines.
func documentEnd(lines []line, from int) int {
	for n := from + 1; n < len(lines); n++ {
		if marker(lines[n].text) {
			return n
		}
	}
	return len(lines)
}

// outside refuses text to the left of the list: the YAML readers stop there
// without a word, so EKS ignores it and everything behind it.
func outside(lines []line, from, to, indent int) error {
	for n := from; n <= to; n++ {
		if !withoutToken(lines[n].text) && blanks(lines[n].text) <= indent {
			return fmt.Errorf("line %d stands outside the list, and EKS ignores it and what follows; indent it like the list", n+1)
		}
	}
	return nil
}

func lastLeaf(n *yaml.Node) *yaml.Node {
	for len(n.Content) > 0 && n.Style&yaml.FlowStyle == 0 {
		n = n.Content[len(n.Content)-1]
	}
	return n
}

func withoutToken(text string) bool {
	text = strings.TrimLeft(text, " \t")
	return text == "" || text[0] == '#'
}

// blockScalarEnd is the number of the last line of the block scalar whose
// header is on line header; trailing blank lines belong to it.
func blockScalarEnd(lines []line, header int) int {
	last, indent := header, -1
	for n := header + 1; n < len(lines); n++ {
		text := lines[n].text
		if strings.TrimLeft(text, " ") == "" {
			last = n
			continue
		}
		if indent < 0 {
			indent = blanks(text)
		}
		if blanks(text) < indent || indent == 0 {
			break
		}
		last = n
	}
	return last
}

// maxComments bounds how many # on one line are tried as the beginning of a
// comment; with more, where the item ends is not known.
const maxComments = 64

// tokenEnd is the offset behind the item's last token, which stands on line
// ln: a comment behind it is cut off at the first # that leaves the meaning of
// the item as it is.
func (l *List) tokenEnd(it item, ln line) (int, error) {
	tried := 0
	for at := max(ln.start, it.start) + 1; at < ln.end; at++ {
		if l.value[at] != '#' || l.value[at-1] != ' ' && l.value[at-1] != '\t' {
			continue
		}
		if tried++; tried > maxComments {
			return 0, errPosition
		}
		text := strings.TrimRight(l.value[it.start:at], " \t")
		got, err := decode(l.kind, text)
		if err == nil && len(got.raw) == 1 && string(got.raw[0]) == string(it.raw) {
			return it.start + len(text), nil
		}
	}
	return it.start + len(strings.TrimRight(l.value[it.start:ln.end], " \t")), nil
}

// sameMeaning compares two items by everything they hold.
func sameMeaning(a, b item) bool {
	if a.raw != nil && b.raw != nil {
		return string(a.raw) == string(b.raw)
	}
	return a.entry.ARN == b.entry.ARN && a.entry.Username == b.entry.Username &&
		(len(a.entry.Groups) == 0 && len(b.entry.Groups) == 0 || reflect.DeepEqual(a.entry.Groups, b.entry.Groups))
}
