package rules

import (
	"encoding/binary"
	"slices"
)

// union is what rules give together: the principals that the same ones match
// share it, because 500 rules of which each matches 5,000 users fill the memory
// otherwise.
type union struct{ groups, selectors []string }

// union is what the rules of a list, which is not empty, give together.
func (e *evaluation) union(list []int) union {
	if len(e.before) > 0 {
		return union{
			groups:    e.together(list, func(i int) []string { return e.by(i).Groups }),
			selectors: e.together(list, func(i int) []string { return e.by(i).Digests }),
		}
	}
	if len(list) == 1 {
		return union{e.rules[list[0]].groups, e.rules[list[0]].digest}
	}
	e.key = e.key[:0]
	for _, i := range list {
		e.key = binary.LittleEndian.AppendUint16(e.key, uint16(i))
	}
	u, ok := e.unions[string(e.key)]
	if !ok {
		if e.unions == nil {
			e.unions = map[string]union{}
		}
		u = union{
			groups:    e.together(list, func(i int) []string { return e.rules[i].groups }),
			selectors: e.together(list, func(i int) []string { return e.rules[i].digest }),
		}
		e.unions[string(e.key)] = u
	}
	return u
}

// by is what a rule gives to the subject in hand, and by which texts.
func (e *evaluation) by(rule int) Before {
	if before, ok := e.before[rule]; ok {
		return before
	}
	return Before{Digests: e.rules[rule].digest, Groups: e.rules[rule].groups}
}

// together puts lists of several rules together, each text once, in rule order.
func (e *evaluation) together(list []int, of func(rule int) []string) []string {
	if e.seen == nil {
		e.seen = map[string]bool{}
	}
	most := 0
	for _, i := range list {
		most += len(of(i))
	}
	// What is full is not copied: the lists cut from it hold on to it.
	if cap(e.pool)-len(e.pool) < most {
		e.pool = make([]string, 0, max(most, min(2*cap(e.pool), poolSize), len(list)))
	}
	clear(e.seen)
	start := len(e.pool)
	for _, i := range list {
		for _, s := range of(i) {
			if !e.seen[s] {
				e.seen[s] = true
				e.pool = append(e.pool, s)
			}
		}
	}
	return slices.Clip(e.pool[start:])
}
