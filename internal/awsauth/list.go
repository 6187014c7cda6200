package awsauth

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// List is the value of one data key, mapUsers or mapRoles: what it means and
// where in the text each item stands. It is immutable.
type List struct {
	kind    rules.Kind
	present bool
	value   string

	form   form
	quick  bool   // read by scan, line by line
	indent int    // block: column of the dashes
	open   int    // flow: offset just behind the opening bracket
	items  []item // in text order
	// unreadable is why EKS sees no entries, or why the text may not be edited.
	unreadable error
	// unparsable is why EKS sees nothing; nil where it reads a list, or none.
	unparsable error

	// index gives the last item of each folded ARN that can match.
	index     map[string]int
	indexOnce sync.Once
}

// form is the shape of the text, which decides how entries go in and out.
type form int

const (
	formEmpty  form = iota // nothing, [], null or comments only
	formBlock              // - a: b
	formFlow               // [{a: b}]
	formOpaque             // not editable
)

// item is one item of the list. Offsets are bytes into the value.
type item struct {
	// start is where the dash's line begins (block) or the item's first token
	// (flow); end is just behind its last token. A block scalar's blank lines
	// belong to it.
	start, end int
	// lineEnd is just behind the line ending of the last token's line (block),
	// comma the offset of the comma that follows or -1 (flow).
	lineEnd, comma int
	// pinned: the item holds an anchor or an alias.
	pinned bool
	entry  Entry           // ARN "" where the authenticator drops the item
	raw    json.RawMessage // the item's whole meaning, where the general way was needed
}

func (it item) shifted(by int) item {
	it.start, it.end, it.lineEnd = it.start+by, it.end+by, it.lineEnd+by
	return it
}

// Read reads the value of mapUsers (rules.User) or mapRoles (rules.Role);
// present tells a missing key from an empty value. It never fails: what cannot
// be read or edited is reported by Problem and left alone by every edit.
func Read(kind rules.Kind, value string, present bool) *List {
	l := &List{kind: kind, present: present, value: value}
	if _, ok := emptyValue(value); ok {
		return l
	}
	if items, ok := scan(kind, value); ok {
		l.form, l.quick, l.items = formBlock, true, items
		l.indent = blanks(value[items[0].start:])
		return l
	}
	if err := l.locate(); err != nil {
		l.form, l.unreadable = formOpaque, err
		for i := range l.items {
			l.items[i].pinned = true
		}
	}
	return l
}

// Problem is nil if the list can be edited, and says why not otherwise.
func (l *List) Problem() error { return l.unreadable }

// Unparsable is nil if EKS reads the value, as a list or as nothing at all, and
// says why it sees no entries otherwise. Such a value may still not be editable.
func (l *List) Unparsable() error { return l.unparsable }

// Entries are the entries that the authenticator sees, in text order. Items
// that it drops, those without their ARN or with rolearn and sso, are not among
// them.
func (l *List) Entries() []Entry {
	entries := make([]Entry, 0, len(l.items))
	for i := range l.items {
		if l.items[i].entry.ARN != "" {
			entries = append(entries, l.items[i].entry)
		}
	}
	return entries
}

// newline is the line ending that inserted lines take over from the text.
func (l *List) newline() string {
	if i := strings.IndexByte(l.value, '\n'); i > 0 && l.value[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// hollow describes a value without any item.
type hollow struct {
	base string // the value without its [] or null, comments kept; "" if nothing but blanks is left
	at   int    // where in base a list may begin
}

// emptyValue recognizes the values that hold no item: blank, [], null or ~, in
// each case with comments and document markers around.
func emptyValue(value string) (hollow, bool) {
	if oddLines(value) != nil || strings.IndexByte(value, '\t') >= 0 {
		return hollow{}, false
	}
	h := hollow{at: -1}
	var base strings.Builder
	started, token, content := false, false, false
	for rest := value; rest != ""; {
		line := rest
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i+1]
		}
		rest = rest[len(line):]
		text := strings.Trim(line, " \r\n")
		switch word, comment := cutComment(text); {
		case h.at >= 0 || word == "":
			content = content || word != "" || comment != ""
		case marker(line) && (word == "..." || started || token):
			h.at, content = base.Len(), true
		case marker(line) && word == "---":
			started, content = true, true
		case !token && emptyWord(word):
			token = true
			if comment == "" {
				continue
			}
			content = true
			line = strings.Replace(line, word, "", 1)
		default:
			return hollow{}, false
		}
		base.WriteString(line)
	}
	if content {
		h.base = base.String()
	}
	if h.at < 0 {
		h.at = len(h.base)
	}
	return h, true
}

// cutComment splits a trimmed line into its text and its comment.
func cutComment(line string) (text, comment string) {
	if strings.HasPrefix(line, "#") {
		return "", line
	}
	if i := strings.Index(line, " #"); i >= 0 {
		return strings.TrimRight(line[:i], " "), line[i:]
	}
	return line, ""
}

func emptyWord(word string) bool {
	switch word {
	case "[]", "[ ]", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// marker reports whether a line begins with a document marker, which counts in
// the first column only.
func marker(line string) bool {
	if !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "...") {
		return false
	}
	return len(line) == 3 || strings.IndexByte(" \r\n\t", line[3]) >= 0
}

var errOddLines = errors.New("it holds line breaks that YAML readers disagree about (a lone carriage return, " +
	"U+0085, U+2028, U+2029) or a byte order mark; replace them by plain line feeds")

// oddLines refuses text whose lines are counted differently by different
// readers (YAML 1.1 section 4.2 against 1.2 section 5.4).
func oddLines(value string) error {
	for i := range len(value) {
		if value[i] == '\r' && (i+1 == len(value) || value[i+1] != '\n') {
			return errOddLines
		}
	}
	if strings.ContainsAny(value, "\u0085\u2028\u2029\ufeff") {
		return errOddLines
	}
	return nil
}
