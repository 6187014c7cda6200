// Package history keeps the last versions of a ConfigMap, and what of them was
// ours, in a few hundred KiB. Versions that follow each other have nearly all
// of their text in common, so each piece of text is held once. It does no I/O.
package history

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxBytes is what an encoded history takes at most: a ConfigMap's 1 MiB
// leaves room for it, and writing it takes a few milliseconds.
const MaxBytes = 384 << 10

// maxVersion bounds the text of one version: a ConfigMap holds 1 MiB.
const maxVersion = 2 << 20

// ErrUnusable is what every error of Decode wraps.
var ErrUnusable = errors.New("the history is not usable")

// ErrTooLarge says that a version alone takes more than the limit.
var ErrTooLarge = errors.New("the version is too large to be kept")

// ErrNotText says that a version holds text that is not UTF-8.
var ErrNotText = errors.New("it is not UTF-8")

// Version is the ConfigMap as it stood at one time.
type Version struct {
	// ID counts from 1 and is never given twice. Add chooses it.
	ID int
	// At is when it was kept, just before the write that replaced it.
	At         time.Time
	Data       map[string]string
	BinaryData map[string][]byte
	// Ours are the entries that were ours, in ascending order of At.
	Ours []Own
}

// Own is one entry that was ours.
type Own struct {
	// At is its place among the version's entries, counted by the caller.
	At int
	// Principal is the ARN of the principal where it is another than the
	// entry's, as with roles that have a path; empty otherwise.
	Principal string
	// Selectors are the digests of the rules that granted it.
	Selectors []string
}

// History is a list of versions, oldest first. The zero value is empty.
type History struct {
	versions []stored
	pieces   []string
	next     int // the next ID, less one
}

// stored is a version whose texts are pieces.
type stored struct {
	ID         int               `json:"id"`
	At         time.Time         `json:"at"`
	Data       map[string][]span `json:"data"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
	Ours       []group           `json:"ours,omitempty"`
	Principals map[int]string    `json:"principals,omitempty"`
}

// span is a number of consecutive pieces: the first one and how many.
type span [2]int

// group is a number of consecutive entries with the same selectors.
type group struct {
	From      int      `json:"from"`
	Count     int      `json:"count"`
	Selectors []string `json:"selectors,omitempty"`
}

// Add appends a version, giving it the next ID, and forgets the oldest beyond
// keep, which is at least 1. It reports whether that made a difference: the
// newest version is not kept twice.
func (h *History) Add(v Version, keep int) (bool, error) {
	for key, value := range v.Data {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return false, fmt.Errorf("the value of %q: %w", key, ErrNotText)
		}
	}
	before := len(h.versions)
	if newest := h.newest(); newest != nil && sameText(*newest, v) {
		if sameOwn(newest.Ours, v.Ours) {
			return h.forget(keep), nil
		}
		v.ID = newest.ID
		h.versions = h.versions[:before-1]
	} else {
		h.next++
		v.ID = h.next
	}
	s := stored{ID: v.ID, At: v.At.UTC().Truncate(time.Second), BinaryData: v.BinaryData, Data: map[string][]span{}}
	index := make(map[string]int, len(h.pieces))
	for i, p := range h.pieces {
		index[p] = i
	}
	for _, key := range slices.Sorted(maps.Keys(v.Data)) {
		s.Data[key] = h.cut(v.Data[key], index)
	}
	s.setOurs(v.Ours)
	h.versions = append(h.versions, s)
	h.forget(keep)
	return true, nil
}

func (h *History) newest() *Version {
	if len(h.versions) == 0 {
		return nil
	}
	v := h.version(h.versions[len(h.versions)-1])
	return &v
}

func sameText(a, b Version) bool {
	return maps.Equal(a.Data, b.Data) && maps.EqualFunc(a.BinaryData, b.BinaryData, bytes.Equal)
}

func sameOwn(a, b []Own) bool {
	return slices.EqualFunc(a, b, func(a, b Own) bool {
		return a.At == b.At && a.Principal == b.Principal && slices.Equal(a.Selectors, b.Selectors)
	})
}

// separator ends each piece, so that an entry of a list, in block style or in
// JSON, is a piece of its own.
const separator = "arn:aws"

func (h *History) cut(text string, index map[string]int) []span {
	spans := []span{}
	for piece := range strings.SplitAfterSeq(text, separator) {
		at, there := index[piece]
		if !there {
			at = len(h.pieces)
			h.pieces = append(h.pieces, piece)
			index[piece] = at
		}
		if last := len(spans) - 1; last >= 0 && spans[last][0]+spans[last][1] == at {
			spans[last][1]++
		} else {
			spans = append(spans, span{at, 1})
		}
	}
	return spans
}

func (s *stored) setOurs(ours []Own) {
	for _, o := range ours {
		if o.Principal != "" {
			if s.Principals == nil {
				s.Principals = map[int]string{}
			}
			s.Principals[o.At] = o.Principal
		}
		if n := len(s.Ours); n > 0 {
			if last := &s.Ours[n-1]; last.From+last.Count == o.At && slices.Equal(last.Selectors, o.Selectors) {
				last.Count++
				continue
			}
		}
		s.Ours = append(s.Ours, group{From: o.At, Count: 1, Selectors: o.Selectors})
	}
}

// forget drops the oldest versions beyond keep and the pieces that only they
// had.
func (h *History) forget(keep int) bool {
	if len(h.versions) <= keep {
		return false
	}
	h.versions = slices.Clone(h.versions[len(h.versions)-keep:])
	old := h.pieces
	h.pieces = nil
	moved := make(map[int]int, len(old))
	for i := range h.versions {
		data := make(map[string][]span, len(h.versions[i].Data))
		for _, key := range slices.Sorted(maps.Keys(h.versions[i].Data)) {
			data[key] = h.move(h.versions[i].Data[key], old, moved)
		}
		h.versions[i].Data = data
	}
	return true
}

func (h *History) move(spans []span, old []string, moved map[int]int) []span {
	next := []span{}
	for _, s := range spans {
		for i := s[0]; i < s[0]+s[1]; i++ {
			at, done := moved[i]
			if !done {
				at = len(h.pieces)
				h.pieces = append(h.pieces, old[i])
				moved[i] = at
			}
			if last := len(next) - 1; last >= 0 && next[last][0]+next[last][1] == at {
				next[last][1]++
			} else {
				next = append(next, span{at, 1})
			}
		}
	}
	return next
}

// Versions are all versions, oldest first.
func (h *History) Versions() []Version {
	all := make([]Version, len(h.versions))
	for i, s := range h.versions {
		all[i] = h.version(s)
	}
	return all
}

func (h *History) version(s stored) Version {
	v := Version{ID: s.ID, At: s.At, BinaryData: s.BinaryData, Data: make(map[string]string, len(s.Data))}
	for key, spans := range s.Data {
		var b strings.Builder
		for _, span := range spans {
			for _, piece := range h.pieces[span[0] : span[0]+span[1]] {
				b.WriteString(piece)
			}
		}
		v.Data[key] = b.String()
	}
	for _, g := range s.Ours {
		for at := g.From; at < g.From+g.Count; at++ {
			v.Ours = append(v.Ours, Own{At: at, Principal: s.Principals[at], Selectors: g.Selectors})
		}
	}
	return v
}
