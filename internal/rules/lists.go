package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
)

// maxListed bounds what all lists of a record have together: 16 bytes each in
// memory. 500 rules that each match another half of 5,000 users make 1.25
// million.
const maxListed = 2 << 20

// SelectorLists are lists of SelectorDigests as a record stores them: every
// digest and every list once, however many entries share it.
type SelectorLists struct {
	Selectors []string `json:"selectors,omitempty"`
	// Lists has the indexes, in Selectors, of what each list consists of.
	Lists [][]int32 `json:"lists,omitempty"`
}

// ListWriter puts SelectorLists together. Its zero value has none yet.
type ListWriter struct {
	lists  SelectorLists
	listed int
	digest map[string]int32   // index in lists.Selectors
	known  map[string]int     // number by the list's indexes
	shared map[sharedList]int // number by where the list is
	room   []byte
}

// sharedList is where a list is in memory, which goes without looking at it.
type sharedList struct {
	first *string
	n     int
}

// Number gives the number under which a list can be read back: the same one for
// equal lists, and 0 for the empty one.
func (w *ListWriter) Number(list []string) int {
	if len(list) == 0 {
		return 0
	}
	at := sharedList{&list[0], len(list)}
	if n, ok := w.shared[at]; ok {
		return n
	}
	if w.shared == nil {
		w.shared, w.known, w.digest = map[sharedList]int{}, map[string]int{}, map[string]int32{}
	}
	w.room = w.room[:0]
	for _, s := range list {
		w.room = binary.LittleEndian.AppendUint32(w.room, uint32(w.index(s)))
	}
	n, ok := w.known[string(w.room)]
	if !ok {
		indexes := make([]int32, len(list))
		for i := range indexes {
			indexes[i] = int32(binary.LittleEndian.Uint32(w.room[4*i:]))
		}
		w.lists.Lists = append(w.lists.Lists, indexes)
		w.listed += len(list)
		n = len(w.lists.Lists)
		w.known[string(w.room)] = n
	}
	w.shared[at] = n
	return n
}

func (w *ListWriter) index(digest string) int32 {
	i, ok := w.digest[digest]
	if !ok {
		i = int32(len(w.lists.Selectors))
		w.digest[digest] = i
		w.lists.Selectors = append(w.lists.Selectors, digest)
	}
	return i
}

// Lists are the lists so far, or why they cannot be stored: an error that wraps
// gzipjson.ErrTooLarge if they are too long.
func (w *ListWriter) Lists() (SelectorLists, error) {
	if w.listed > maxListed {
		return SelectorLists{}, fmt.Errorf("%w: its lists of rules have %d in all, where %d may be", gzipjson.ErrTooLarge, w.listed, maxListed)
	}
	for _, s := range w.lists.Selectors {
		if !utf8.ValidString(s) {
			return SelectorLists{}, errors.New("a digest of a rule is not UTF-8")
		}
	}
	return w.lists, nil
}

// Read gives the lists by number. Entries share them: do not modify.
func (l SelectorLists) Read() ([][]string, error) {
	listed := 0
	for _, indexes := range l.Lists {
		listed += len(indexes)
	}
	if listed > maxListed {
		return nil, fmt.Errorf("its lists of rules have %d in all, where %d may be", listed, maxListed)
	}
	lists := make([][]string, 1, len(l.Lists)+1)
	all := make([]string, 0, listed)
	for _, indexes := range l.Lists {
		start := len(all)
		for _, i := range indexes {
			if i < 0 || int(i) >= len(l.Selectors) {
				return nil, fmt.Errorf("a list of rules has number %d of %d", i, len(l.Selectors))
			}
			all = append(all, l.Selectors[i])
		}
		lists = append(lists, slices.Clip(all[start:]))
	}
	return lists, nil
}

// Listed is the list with a number, as Read gave them.
func Listed(lists [][]string, number int) ([]string, error) {
	if number < 0 || number >= len(lists) {
		return nil, fmt.Errorf("list of rules %d of %d", number, len(lists)-1)
	}
	return lists[number], nil
}
