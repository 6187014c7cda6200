package awsauth

import (
	"fmt"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// MaxBytes is what a ConfigMap's data may hold (1 MiB; ValidateConfigMap in
// k8s.io/kubernetes pkg/apis/core/validation). Keys are counted, too, which
// errs on the safe side.
const MaxBytes = 1 << 20

// Document is the data of aws-auth. It is immutable.
type Document struct {
	lists    [2]*List  // mapUsers, mapRoles
	accounts *accounts // nil: no mapAccounts
	// others is the size of all other keys with their values.
	others int
}

// Reader reads documents and remembers the last one, so that a value that has
// not changed since is not parsed again. The zero value is ready; it is not
// for concurrent use.
type Reader struct{ last Document }

// Read reads the data of aws-auth. sizes of binaryData count as otherBytes.
func (r *Reader) Read(data map[string]string, otherBytes int) *Document {
	doc := Document{others: otherBytes}
	for i, kind := range rules.Kinds() {
		value, present := data[kind.DataKey()]
		last := r.last.lists[i]
		if last == nil || last.present != present || last.value != value {
			last = Read(kind, value, present)
		}
		doc.lists[i] = last
	}
	if value, present := data[accountsKey]; present {
		if doc.accounts = r.last.accounts; doc.accounts == nil || doc.accounts.value != value {
			doc.accounts = readAccounts(value)
		}
	}
	for key, value := range data {
		if key != rules.User.DataKey() && key != rules.Role.DataKey() {
			doc.others += len(key) + len(value)
		}
	}
	r.last = doc
	return &doc
}

// Remember makes a document that was just written the one to compare with.
func (r *Reader) Remember(d *Document) { r.last = *d }

// Entries are all entries that the authenticator sees, users first.
func (d *Document) Entries() []Entry {
	return append(d.lists[0].Entries(), d.lists[1].Entries()...)
}

// Problems are the keys that cannot be edited, with the reason and the way out.
func (d *Document) Problems() map[string]error {
	problems := map[string]error{}
	for _, l := range d.lists {
		if l.unreadable != nil {
			problems[l.kind.DataKey()] = l.unreadable
		}
	}
	return problems
}

// Unreadable are the keys that EKS reads nothing of, so that nobody in them gets
// in, with the reason.
func (d *Document) Unreadable() map[string]error {
	problems := map[string]error{}
	for _, l := range d.lists {
		if l.unparsable != nil {
			problems[l.kind.DataKey()] = l.unparsable
		}
	}
	return problems
}

// Size is the number of bytes that the document takes of MaxBytes.
func (d *Document) Size() int {
	size := d.others
	for _, l := range d.lists {
		size += l.size()
	}
	return size
}

func (l *List) size() int {
	if !l.present {
		return 0
	}
	return len(l.kind.DataKey()) + len(l.value)
}

// Values are the values of mapUsers and mapRoles that are present.
func (d *Document) Values() map[string]string {
	values := map[string]string{}
	for _, l := range d.lists {
		if l.present {
			values[l.kind.DataKey()] = l.value
		}
	}
	return values
}

// Edit says what a document should hold of ours.
type Edit struct {
	// Owned tells which entries may be taken out: ours, and nobody else's.
	Owned func(Entry) bool
	// Want are our entries, users and roles, in the order they shall have.
	// No two have the same Key within a kind.
	Want []Entry
	// Originals are the values without items that stood under a data key
	// before our first entry; see Result.Originals.
	Originals map[string]rules.Original
	// Limit is the size that must not be exceeded; default MaxBytes.
	Limit int
}

// Result is a document after an edit.
type Result struct {
	Document *Document
	// Changed names the data keys whose value is another one now.
	Changed []string
	// Originals are to be remembered until the next edit.
	Originals map[string]rules.Original
	// Overflow are the wanted entries that do not fit into the limit, in order.
	Overflow []Entry
	// Problems are the keys that had to be left alone although they should
	// change, and those in which EKS sees nothing at all, with the reason.
	Problems map[string]error
}

// ProblemText is one line for each problem, in a fixed order.
func (r Result) ProblemText() string {
	var lines []string
	for _, kind := range rules.Kinds() {
		if err := r.Problems[kind.DataKey()]; err != nil {
			lines = append(lines, err.Error())
		}
	}
	return strings.Join(lines, "\n")
}

// Merge puts the wanted entries in and takes the owned ones that are not
// wanted out. A key whose owned entries are the wanted ones already, in
// whatever layout and place, stays as it is; so does a key that cannot be
// edited. Entries that stand there are kept before new ones are added, and
// what would exceed the limit is left out.
func (d *Document) Merge(e Edit) Result {
	res := Result{Document: &Document{accounts: d.accounts, others: d.others}, Originals: map[string]rules.Original{}, Problems: map[string]error{}}
	if e.Limit == 0 {
		e.Limit = MaxBytes
	}
	room := e.Limit - d.Size()
	for i, l := range d.lists {
		key := l.kind.DataKey()
		next, original := l, originalOf(e.Originals, key)
		mine := l.ours(e.Owned)
		want, overflow, used := l.fit(mine, wanted(e.Want, l.kind), room)
		if !l.settled(mine, want) || l.unreadable != nil && len(l.items) == 0 {
			edited, remember, err := l.replace(mine, want, original)
			if err != nil {
				res.Problems[key] = fmt.Errorf("%s: %w", key, err)
			} else {
				next, original = edited, remember
				room -= used
				if next.value != l.value || next.present != l.present {
					res.Changed = append(res.Changed, key)
				}
			}
		}
		if original != nil {
			res.Originals[key] = *original
		}
		res.Overflow = append(res.Overflow, overflow...)
		res.Document.lists[i] = next
	}
	return res
}

func originalOf(originals map[string]rules.Original, key string) *rules.Original {
	if original, ok := originals[key]; ok {
		return &original
	}
	return nil
}

func wanted(all []Entry, kind rules.Kind) []Entry {
	var want []Entry
	for _, e := range all {
		if e.Kind == kind {
			want = append(want, e)
		}
	}
	return want
}

// settled reports whether the entries marked in mine are exactly want, each
// once, whatever their order.
func (l *List) settled(mine []bool, want []Entry) bool {
	there := map[string]Entry{}
	count := 0
	for i := range l.items {
		if mine[i] {
			there[l.items[i].entry.Key()] = l.items[i].entry
			count++
		}
	}
	if count != len(want) || len(there) != count {
		return false
	}
	for _, w := range want {
		if e, ok := there[w.Key()]; !ok || !e.Grants(w) {
			return false
		}
	}
	return true
}

// fit leaves out of want what does not go into room bytes beside what stands
// there. Entries that stand there stay in any case, with their old content if
// the new one does not fit; then new ones are added in order. used is what the
// list grows by.
func (l *List) fit(mine []bool, want []Entry, room int) (fitting, overflow []Entry, used int) {
	standing := map[string]Entry{}
	for i := range l.items {
		if mine[i] {
			it := &l.items[i]
			standing[it.entry.Key()] = it.entry
			used -= max(it.lineEnd, it.end) - it.start
		}
	}
	if !l.present && len(want) > 0 {
		used += len(l.kind.DataKey())
	}
	chosen := make([]*Entry, len(want))
	for i := range want {
		old, stands := standing[want[i].Key()]
		if !stands {
			continue
		}
		chosen[i] = &want[i]
		cost := l.cost(want[i])
		if used+cost > room && !old.Grants(want[i]) {
			chosen[i], cost = &old, l.cost(old)
			overflow = append(overflow, want[i])
		}
		used += cost
	}
	for i := range want {
		if chosen[i] == nil {
			if cost := l.cost(want[i]); used+cost <= room {
				chosen[i] = &want[i]
				used += cost
			} else {
				overflow = append(overflow, want[i])
			}
		}
		if chosen[i] != nil {
			fitting = append(fitting, *chosen[i])
		}
	}
	return fitting, overflow, used
}

// cost is the number of bytes that an entry takes in the list.
func (l *List) cost(e Entry) int {
	if l.form == formFlow {
		return len(appendFlow(nil, e)) + 1
	}
	return len(appendBlock(nil, e, l.indent, l.newline()))
}
