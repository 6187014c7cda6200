package awsauth

import (
	"errors"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// errUnsafe guards every edit: the result is read again, and anything but the
// intended entries beside the untouched ones refuses it.
var errUnsafe = errors.New("an edit would change the meaning of entries that are not ours, so it is left alone; " +
	"write it as a plain list")

// ours tells, item by item, what may be taken out.
func (l *List) ours(owned func(Entry) bool) []bool {
	mine := make([]bool, len(l.items))
	for i := range l.items {
		mine[i] = l.items[i].entry.ARN != "" && owned(l.items[i].entry)
	}
	return mine
}

// replace takes the items marked in mine out of the text and puts want in
// behind the last remaining item. original is the value that stood there
// before the first entry of ours, if it was one without items; it comes back
// when the last entry goes. The result carries the original to remember.
func (l *List) replace(mine []bool, want []Entry, original *rules.Original) (*List, *rules.Original, error) {
	if l.unreadable != nil {
		return nil, nil, l.unreadable
	}
	for i := range l.items {
		if mine[i] && l.items[i].pinned {
			return nil, nil, errAnchored
		}
		if mine[i] && !l.alone(l.items[i]) {
			return nil, nil, errPosition
		}
	}
	next, original := l.edit(mine, want, original)
	if err := l.check(mine, want, next); err != nil {
		return nil, nil, err
	}
	return next, original, nil
}

// alone reports whether the text that would be cut out is the item, the whole
// item and nothing but the item. The quick reader has read it token by token;
// the general way only knows where it begins.
func (l *List) alone(it item) bool {
	if it.raw == nil {
		return true
	}
	text := l.value[it.start:it.end]
	if l.form == formFlow {
		text = "[" + text + "]"
	}
	got, err := decode(l.kind, text)
	return err == nil && len(got.raw) == 1 && string(got.raw[0]) == string(it.raw)
}

func (l *List) edit(mine []bool, want []Entry, original *rules.Original) (*List, *rules.Original) {
	rest := l.without(mine)
	switch {
	case l.form == formFlow:
		return Read(l.kind, rest.insertFlow(want), true), original
	case len(rest.kept) > 0:
		return l.extend(rest, want), original
	}
	if l.form == formEmpty {
		original = &rules.Original{Present: l.present, Value: l.value}
	}
	h, _ := emptyValue(rest.text)
	if len(want) > 0 {
		rest.text, rest.at = h.base, h.at
		return Read(l.kind, rest.insertBlock(want, 0, l.newline()), true), original
	}
	rest.text = rest.insertBlock(nil, 0, "")
	h, _ = emptyValue(rest.text)
	if original != nil {
		if was, _ := emptyValue(original.Value); was.base == h.base {
			return Read(l.kind, original.Value, original.Present), nil
		}
	}
	return Read(l.kind, rest.text, true), nil
}

// extend puts want behind the remaining items of a block list. Where the quick
// reader has read those, line by line, their lines need no second look.
func (l *List) extend(rest remainder, want []Entry) *List {
	text := rest.insertBlock(want, l.indent, l.newline())
	if rest.openEnd {
		return Read(l.kind, text, true)
	}
	added := len(text) - len(rest.text)
	items, ok := scan(l.kind, text[rest.at:rest.at+added])
	if !l.quick || !ok {
		return Read(l.kind, text, true)
	}
	next := &List{kind: l.kind, present: true, value: text, form: formBlock, quick: true, indent: l.indent, items: rest.kept}
	for _, it := range items {
		next.items = append(next.items, it.shifted(rest.at))
	}
	return next
}

// remainder is a value after some items have been taken out.
type remainder struct {
	text string
	kept []item // the items that remain, with their offsets in text
	at   int    // where new items go
	// openEnd: what was taken out ended the value without ending its line.
	openEnd bool
}

// without takes out the marked items and nothing else.
func (l *List) without(mine []bool) remainder {
	r := remainder{kept: make([]item, 0, len(l.items))}
	var b strings.Builder
	b.Grow(len(l.value))
	from := 0
	cut := func(start, end int) {
		b.WriteString(l.value[from:start])
		from = end
	}
	place := func(offset int) {
		b.WriteString(l.value[from:offset])
		from, r.at = offset, b.Len()
	}
	if l.form == formFlow {
		place(l.open)
	}
	for i := range l.items {
		it := &l.items[i]
		switch {
		case l.form == formFlow && mine[i]:
			l.cutFlow(i, len(r.kept), cut)
		case mine[i]:
			end := it.lineEnd
			if strings.Trim(l.value[it.end:it.lineEnd], " \t\r\n") != "" {
				end = it.end
			}
			cut(it.start, end)
			r.openEnd = end == len(l.value) && !strings.HasSuffix(l.value, "\n")
		case l.form == formFlow:
			place(it.end)
			r.kept = append(r.kept, it.shifted(r.at-it.end))
		default:
			place(it.lineEnd)
			r.kept = append(r.kept, it.shifted(r.at-it.lineEnd))
		}
	}
	b.WriteString(l.value[from:])
	r.text = b.String()
	return r
}

// cutFlow takes one item of a flow list out together with one comma: the one
// before it, or, while nothing remains before it, the one behind it.
func (l *List) cutFlow(i, before int, cut func(start, end int)) {
	it := &l.items[i]
	if before > 0 {
		comma := l.items[i-1].comma
		cut(comma, comma+1)
	}
	cut(it.start, it.end)
	if before == 0 && it.comma >= 0 {
		cut(it.comma, it.comma+1)
	}
}

func (r remainder) insertBlock(want []Entry, indent int, newline string) string {
	text := r.text
	if len(want) > 0 {
		before := r.text[:r.at]
		open := before != "" && !strings.HasSuffix(before, "\n")
		text = before + blockText(want, indent, newline, open) + r.text[r.at:]
	}
	if !r.openEnd {
		return text
	}
	// The value stays without a line end, but for one that ends a blank line,
	// which somebody else wrote.
	ended := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if strings.HasSuffix(ended, "\n") {
		return text
	}
	return ended
}

func (r remainder) insertFlow(want []Entry) string {
	b := []byte(r.text[:r.at])
	for i := range want {
		if i > 0 || len(r.kept) > 0 {
			b = append(b, ',')
		}
		b = appendFlow(b, want[i])
	}
	return string(append(b, r.text[r.at:]...))
}

// check holds the promise of an edit against its result: it can be read, the
// items that were not ours mean what they meant, and ours are exactly want.
func (l *List) check(mine []bool, want []Entry, next *List) error {
	if next.unreadable != nil {
		return errUnsafe
	}
	got := next.items
	for i := range l.items {
		if mine[i] {
			continue
		}
		if len(got) == 0 || !sameMeaning(l.items[i], got[0]) {
			return errUnsafe
		}
		got = got[1:]
	}
	if len(got) != len(want) {
		return errUnsafe
	}
	for i := range want {
		if !sameMeaning(item{entry: want[i]}, item{entry: got[i].entry}) {
			return errUnsafe
		}
	}
	return nil
}
