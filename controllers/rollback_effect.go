package controllers

import "slices"

// Effect is what the way back changes for those who get in.
func (b *Rollback) Effect() Difference {
	after := b.To
	if !b.Everything {
		after = version(b.After, b.out.Record, b.at)
	}
	return Compare(b.present, after)
}

// Lost are those who are in before and not after.
func (d Difference) Lost() []EntryChange {
	return slices.DeleteFunc(slices.Clone(d.Entries), func(c EntryChange) bool { return c.After != nil })
}

// Count tells how many entries come, become others, and go.
func (d Difference) Count() (added, changed, removed int) {
	for _, c := range d.Entries {
		switch {
		case c.Before == nil:
			added++
		case c.After == nil:
			removed++
		default:
			changed++
		}
	}
	return added, changed, removed
}

// takesMore tells whether somebody loses access by b who does not by shown.
func (b *Rollback) takesMore(shown *Rollback) bool {
	known := map[entryKey]bool{}
	for _, c := range shown.Effect().Lost() {
		known[keyOf(*c.Before)] = true
	}
	return slices.ContainsFunc(b.Effect().Lost(), func(c EntryChange) bool { return !known[keyOf(*c.Before)] })
}
