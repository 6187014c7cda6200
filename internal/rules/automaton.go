package rules

import (
	"encoding/binary"
	"errors"
	"regexp/syntax"
	"slices"
)

// The characters that an ARN can hold: IAM allows those in paths and fewer
// elsewhere.
const (
	firstByte = '!'
	lastByte  = '~'
	byteCount = lastByte - firstByte + 1
)

// Bounds of an automaton. A pattern that needs more is left to package regexp.
const (
	maxStates = 512
	maxWork   = 1 << 20
	// state numbers are multiplied by the number of classes, of which there
	// are at most byteCount+1, and must fit into 16 bits.
	_ = uint16(maxStates * (byteCount + 1))
)

var errTooLarge = errors.New("the pattern needs too large an automaton")

// automaton decides whether a whole text matches a pattern, one table look-up
// a byte, where package regexp takes tens of nanoseconds. It is exact for
// texts of the characters that an ARN can hold; what it says of other texts
// means nothing.
//
// It is the subset construction over the program that regexp/syntax compiles,
// with bytes that no instruction tells apart put into one class. Class 0 is
// what no ARN holds, state 0 is the dead one. States are kept multiplied by
// the number of classes.
type automaton struct {
	classes uint16
	class   [256]uint8
	next    []uint16
	accept  []bool // by state, not multiplied
	// literal is how every matching text begins; afterLiteral is the state
	// that it leads to.
	literal      string
	afterLiteral uint16
	// all is the state from which everything matches, 0 if there is none.
	all uint16
}

// newAutomaton gives nil for a pattern that is too large for one or that looks
// at word boundaries. The pattern need not be anchored: it matches whole texts.
func newAutomaton(re *syntax.Regexp) *automaton {
	prog, err := syntax.Compile(re.Simplify())
	if err != nil || slices.ContainsFunc(prog.Inst, looksAtWords) {
		return nil
	}
	b := builder{prog: prog, numbers: make(map[string]uint16), mark: make([]int, len(prog.Inst))}
	b.classify()
	if err := b.run(); err != nil {
		return nil
	}
	b.out.finish()
	return &b.out
}

// match reports whether the whole of s matches.
func (a *automaton) match(s string) bool {
	c := cursor{automaton: a, trail: []uint16{a.classes}}
	return c.match(s, 0)
}

// cursor matches one text after another. It takes up each text where it
// differs from the one before: with sorted texts that is late, and a pattern
// that has failed already costs nothing.
type cursor struct {
	*automaton
	// trail[i] is the state after i bytes of the last text, as far as it was
	// read: up to its end, or to where it was decided.
	trail []uint16
}

// newCursor is for texts that all begin with a.literal. It uses room for its
// trail.
func newCursor(a *automaton, room []uint16) cursor {
	c := cursor{automaton: a, trail: append(room[:0], make([]uint16, len(a.literal)+1)...)}
	c.trail[len(a.literal)] = a.afterLiteral
	return c
}

// match reports whether the whole of s matches. shared is how many bytes at
// its beginning are those of the text that was matched last; for the first
// text of newCursor, those of the literal.
func (c *cursor) match(s string, shared int) bool {
	n := min(shared, len(c.trail)-1)
	trail := c.trail[:n+1]
	state := trail[n]
	for i := n; i < len(s) && state != 0 && state != c.all; i++ {
		state = c.next[state+uint16(c.class[s[i]])]
		trail = append(trail, state)
	}
	c.trail = trail
	return c.accept[state/c.classes]
}

// meets reports whether some text matches both.
func (a *automaton) meets(b *automaton) bool {
	type pair struct{ a, b uint16 }
	start := pair{a.classes, b.classes}
	seen := map[pair]bool{start: true}
	for queue := []pair{start}; len(queue) > 0; {
		p := queue[0]
		queue = queue[1:]
		if a.accept[p.a/a.classes] && b.accept[p.b/b.classes] {
			return true
		}
		for c := firstByte; c <= lastByte; c++ {
			q := pair{a.next[p.a+uint16(a.class[c])], b.next[p.b+uint16(b.class[c])]}
			if q.a != 0 && q.b != 0 && !seen[q] {
				seen[q] = true
				queue = append(queue, q)
			}
		}
	}
	return false
}

// finish finds the literal that every match begins with, and the state from
// which everything matches.
func (a *automaton) finish() {
	for state := range a.accept {
		row := a.next[state*int(a.classes):][1:a.classes]
		self := uint16(state) * a.classes
		if a.accept[state] && !slices.ContainsFunc(row, func(to uint16) bool { return to != self }) {
			a.all = self
		}
	}
	state := a.classes
	var literal []byte
	for !a.accept[state/a.classes] {
		next, only := uint16(0), byte(0)
		for c := firstByte; c <= lastByte; c++ {
			if n := a.next[state+uint16(a.class[c])]; n != 0 {
				if next != 0 {
					next = 0
					break
				}
				next, only = n, byte(c)
			}
		}
		if next == 0 || len(literal) > len(a.accept) {
			break
		}
		literal = append(literal, only)
		state = next
	}
	a.literal, a.afterLiteral = string(literal), state
}

// builder makes an automaton. A state is the sorted list of the instructions
// that wait for a byte or for the end.
type builder struct {
	prog    *syntax.Prog
	out     automaton
	states  [][]uint32
	numbers map[string]uint16 // by state, encoded
	mark    []int             // by instruction: the last walk that saw it
	walk    int
	work    int
}

// classify puts bytes that every instruction treats alike into one class.
func (b *builder) classify() {
	count := uint8(1)
	for c := firstByte; c <= lastByte; c++ {
		b.out.class[c] = 1
	}
	for i := range b.prog.Inst {
		inst := &b.prog.Inst[i]
		if !readsRune(inst) {
			continue
		}
		var renumbered [byteCount + 1][2]uint8 // by old class and whether it is read
		count = 0
		for c := firstByte; c <= lastByte; c++ {
			read := 0
			if inst.MatchRune(c) {
				read = 1
			}
			number := &renumbered[b.out.class[c]][read]
			if *number == 0 {
				count++
				*number = count
			}
			b.out.class[c] = *number
		}
	}
	b.out.classes = uint16(count) + 1
}

func (b *builder) run() error {
	b.states = [][]uint32{nil}
	b.out.accept = []bool{false}
	start, err := b.closure([]uint32{uint32(b.prog.Start)}, true)
	if err != nil {
		return err
	}
	// The start state is number 1 even where it could be the dead one.
	b.add(start, true)
	b.out.next = make([]uint16, b.out.classes)
	var representative [byteCount + 1]rune
	for c := firstByte; c <= lastByte; c++ {
		representative[b.out.class[c]] = c
	}
	for i := 1; i < len(b.states); i++ {
		b.out.next = append(b.out.next, 0)
		for class := uint16(1); class < b.out.classes; class++ {
			to, err := b.step(b.states[i], representative[class])
			if err != nil {
				return err
			}
			b.out.next = append(b.out.next, to*b.out.classes)
		}
	}
	return nil
}

// step is the number of the state after reading r.
func (b *builder) step(state []uint32, r rune) (uint16, error) {
	var reached []uint32
	for _, pc := range state {
		if inst := &b.prog.Inst[pc]; readsRune(inst) && inst.MatchRune(r) {
			reached = append(reached, inst.Out)
		}
	}
	if b.work += len(state) + 1; b.work > maxWork {
		return 0, errTooLarge
	}
	if len(reached) == 0 {
		return 0, nil
	}
	set, err := b.closure(reached, false)
	if err != nil {
		return 0, err
	}
	if len(set) == 0 {
		return 0, nil
	}
	return b.add(set, false), nil
}

// add gives a state its number.
func (b *builder) add(set []uint32, start bool) uint16 {
	key := make([]byte, 0, 4*len(set))
	for _, pc := range set {
		key = binary.BigEndian.AppendUint32(key, pc)
	}
	if n, ok := b.numbers[string(key)]; ok {
		return n
	}
	n := uint16(len(b.states))
	if !start {
		b.numbers[string(key)] = n
	}
	b.states = append(b.states, set)
	b.out.accept = append(b.out.accept, b.matchesAtEnd(set, start))
	return n
}

// closure follows the instructions that read nothing. Those that wait for the
// end stay in the set.
func (b *builder) closure(from []uint32, start bool) ([]uint32, error) {
	var set []uint32
	err := b.follow(from, func(inst *syntax.Inst, pc uint32) bool {
		switch {
		case readsRune(inst) || inst.Op == syntax.InstMatch:
			set = append(set, pc)
			return false
		case inst.Op == syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&(syntax.EmptyEndText|syntax.EmptyEndLine) != 0 {
				set = append(set, pc)
				return false
			}
			return start
		}
		return true
	})
	slices.Sort(set)
	return set, err
}

// matchesAtEnd reports whether a text that ends in this state matches.
func (b *builder) matchesAtEnd(set []uint32, start bool) bool {
	matches := false
	err := b.follow(set, func(inst *syntax.Inst, _ uint32) bool {
		matches = matches || inst.Op == syntax.InstMatch
		if inst.Op == syntax.InstEmptyWidth {
			begin := syntax.EmptyOp(inst.Arg)&(syntax.EmptyBeginText|syntax.EmptyBeginLine) != 0
			return start || !begin
		}
		return !readsRune(inst)
	})
	return matches && err == nil
}

// follow visits the instructions that can be reached, each once, going on
// behind those for which visit says so.
func (b *builder) follow(from []uint32, visit func(*syntax.Inst, uint32) bool) error {
	if b.work > maxWork || len(b.states) >= maxStates {
		return errTooLarge
	}
	b.walk++
	stack := slices.Clone(from)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if b.mark[pc] == b.walk {
			continue
		}
		b.mark[pc] = b.walk
		b.work++
		inst := &b.prog.Inst[pc]
		if !visit(inst, pc) || inst.Op == syntax.InstMatch || inst.Op == syntax.InstFail {
			continue
		}
		stack = append(stack, inst.Out)
		if inst.Op == syntax.InstAlt || inst.Op == syntax.InstAltMatch {
			stack = append(stack, inst.Arg)
		}
	}
	return nil
}

func looksAtWords(inst syntax.Inst) bool {
	const words = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
	return inst.Op == syntax.InstEmptyWidth && syntax.EmptyOp(inst.Arg)&words != 0
}

func readsRune(inst *syntax.Inst) bool {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	default:
		return false
	}
}
