package awsauth

import (
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// scan reads the plain dialect in which nearly every aws-auth is written: a
// block list of mappings whose keys are the known ones, whose scalars stand on
// one line and are strings beyond doubt, with comments and blank lines
// anywhere. It returns ok=false for everything else, valid or not; the general
// and much slower way in locate.go then decides. A fuzz test holds that what
// it accepts means the same to the authenticator's parser.
func scan(kind rules.Kind, text string) (items []item, ok bool) {
	if !plainText(text) {
		return nil, false
	}
	s := scanner{text: text, kind: kind, indent: -1, field: arnField(kind), items: make([]item, 0, len(text)/100+1)}
	for s.next() {
		if !s.statement() {
			return nil, false
		}
	}
	if !s.finishItem() || len(s.items) == 0 {
		return nil, false
	}
	return s.items, true
}

// plainText reports whether text holds only printable ASCII, LF and CRLF.
func plainText(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c < 0x7f || c == '\n' {
			continue
		}
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			continue
		}
		return false
	}
	return true
}

type scanner struct {
	text   string
	kind   rules.Kind
	field  string
	indent int // column of the list's dashes, -1 before the first
	items  []item

	// the current line
	pos, end, lineEnd int // text[pos:end] without indentation and line ending; lineEnd after it
	col               int // its indentation

	// the current item
	open       bool
	keyCol     int // column of the item's keys
	seen       uint8
	groupCol   int // column of the dashes of a block list of groups, -1 outside one
	groupCount int
}

const (
	seenARN = 1 << iota
	seenUsername
	seenGroups
)

// next moves to the next line that holds more than blanks and a comment.
func (s *scanner) next() bool {
	for s.lineEnd < len(s.text) {
		start := s.lineEnd
		newline := strings.IndexByte(s.text[start:], '\n')
		s.end, s.lineEnd = len(s.text), len(s.text)
		if newline >= 0 {
			s.end, s.lineEnd = start+newline, start+newline+1
			if s.end > start && s.text[s.end-1] == '\r' {
				s.end--
			}
		}
		s.pos = start
		for s.pos < s.end && s.text[s.pos] == ' ' {
			s.pos++
		}
		s.col = s.pos - start
		if s.pos < s.end && s.text[s.pos] != '#' {
			return true
		}
	}
	return false
}

// statement reads one line: an item's dash with its first key, another key, or
// a group.
func (s *scanner) statement() bool {
	dash := s.pos+1 < s.end && s.text[s.pos] == '-' && s.text[s.pos+1] == ' '
	switch {
	case dash && (s.indent < 0 || s.col == s.indent):
		return s.startItem()
	case dash && s.groupCol >= 0 && s.open && s.col >= s.keyCol && (s.groupCount == 0 || s.col == s.groupCol):
		return s.group()
	case !dash && s.open && s.col == s.keyCol:
		return s.pair()
	}
	return false
}

func (s *scanner) startItem() bool {
	if !s.finishItem() {
		return false
	}
	lineStart := s.pos - s.col
	s.indent, s.open, s.seen, s.groupCol = s.col, true, 0, -1
	s.pos++
	for s.pos < s.end && s.text[s.pos] == ' ' {
		s.pos++
	}
	s.keyCol = s.pos - lineStart
	s.items = append(s.items, item{start: lineStart, entry: Entry{Kind: s.kind}})
	return s.pos < s.end && s.pair()
}

// finishItem refuses an item whose groups key has no value (null to YAML).
func (s *scanner) finishItem() bool {
	return !s.open || s.groupCol < 0 || s.groupCount > 0
}

// pair reads `key: value` at s.pos.
func (s *scanner) pair() bool {
	if s.groupCol >= 0 && s.groupCount == 0 {
		return false
	}
	s.groupCol = -1
	line := s.text[s.pos:s.end]
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return false
	}
	key, rest := line[:colon], line[colon+1:]
	entry := &s.items[len(s.items)-1].entry
	switch key {
	case s.field:
		return s.once(seenARN) && s.scalarInto(&entry.ARN, colon+1)
	case "username":
		return s.once(seenUsername) && s.scalarInto(&entry.Username, colon+1)
	case "groups":
		if !s.once(seenGroups) {
			return false
		}
		if list, width, ok := flowScalars(rest); ok {
			entry.Groups = list
			s.mark(s.pos + colon + 1 + width)
			return true
		}
		if !blankOrComment(rest) {
			return false
		}
		s.mark(s.pos + colon + 1)
		s.groupCol, s.groupCount = s.keyCol, 0
		return true
	}
	return false
}

func (s *scanner) once(bit uint8) bool {
	fresh := s.seen&bit == 0
	s.seen |= bit
	return fresh
}

// scalarInto reads the scalar that follows offset bytes into the line.
func (s *scanner) scalarInto(to *string, offset int) bool {
	value, width, ok := scalar(s.text[s.pos+offset : s.end])
	if ok {
		*to = value
		s.mark(s.pos + offset + width)
	}
	return ok
}

func (s *scanner) group() bool {
	entry := &s.items[len(s.items)-1].entry
	if s.groupCount == 0 && entry.Groups == nil {
		entry.Groups = make([]string, 0, 2)
	}
	entry.Groups = append(entry.Groups, "")
	s.groupCol = s.col
	s.groupCount++
	return s.scalarInto(&entry.Groups[len(entry.Groups)-1], 1)
}

// mark notes that the item's last token so far ends before offset end.
func (s *scanner) mark(end int) {
	it := &s.items[len(s.items)-1]
	it.end, it.lineEnd = end, s.lineEnd
}
