package rules

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// Evaluation is what rules make of the principals that exist.
type Evaluation struct {
	// Grants are sorted: users, then roles, each by rule and then by entry
	// ARN. No two have entry ARNs that are the same without case.
	Grants []Grant
	// Rules has every rule: those for users, then those for roles.
	Rules []RuleCount
	// LeftOut are principals that a rule selects and that get nothing from it.
	LeftOut []LeftOut
	// Until is when a principal becomes too old for a rule, the first of them:
	// the same principals give something else from then on. Zero: never.
	Until time.Time
}

// RuleCount is how many principals a rule selects.
type RuleCount struct {
	Kind Kind
	// Rule is the 0-based index within the kind.
	Rule    int
	Matched int
	// TooOld is how many more it would match but for its maxAge.
	TooOld int
	// Frozen: it matches more than its maxMatches, so it grants only where it
	// has granted before.
	Frozen bool
}

// LeftOut is a principal that a rule selects and that gets nothing from it,
// because of its own name, path or ARN.
type LeftOut struct {
	Kind Kind
	ARN  string
	// Rule is the 0-based index, within the kind, of the rule.
	Rule   int
	Reason string
}

// GrantedBefore tells whether the rule with this RuleDigest, or an earlier text
// of it, has granted to this principal before. The ARN is the principal's with
// its path, folded as arn.Fold does.
type GrantedBefore func(k Kind, foldedPrincipalARN, ruleDigest string) (Before, bool)

// Before is by which text a rule has granted before. The zero value is that in
// force.
type Before struct {
	// Digests are the RuleDigests of earlier texts; none: the present one.
	Digests []string
	// Groups are what the present text gives of those that they gave.
	Groups []string
}

// Evaluate is EvaluateAt without a clock, for rules without maxAge.
func (s *Set) Evaluate(ps []Principal, granted GrantedBefore) Evaluation {
	return s.EvaluateAt(Clock{}, ps, granted)
}

// EvaluateAt is EvaluateWithin for as long as it takes.
func (s *Set) EvaluateAt(c Clock, ps []Principal, granted GrantedBefore) Evaluation {
	out, _ := s.EvaluateWithin(context.Background(), c, ps, granted) // which never ends early
	return out
}

// EvaluateWithin finds out who gets what. Every rule that selects a principal adds
// its groups; the first one names the user. Principals may come in any order.
// granted is asked about frozen rules, and about ages by a clock that is in
// doubt, only; nil says no. Once ctx is done it ends soon, with an error that is
// ErrUnfinished and wraps the context's, and without a result.
func (s *Set) EvaluateWithin(ctx context.Context, c Clock, ps []Principal, granted GrantedBefore) (Evaluation, error) {
	if granted == nil {
		granted = func(Kind, string, string) (Before, bool) { return Before{}, false }
	}
	var out Evaluation
	for _, k := range Kinds() {
		e := evaluation{ended: endOf(ctx), kind: k, rules: s.of(k), granted: granted, clock: c, until: out.Until}
		if len(e.rules) == 0 {
			continue
		}
		e.subjects = subjectsOf(k, ps)
		e.match()
		e.grant()
		if e.err != nil {
			return Evaluation{}, s.unfinished(e.err)
		}
		out.Grants = append(out.Grants, e.sorted()...)
		out.Rules = append(out.Rules, e.counts...)
		out.LeftOut = append(out.LeftOut, e.leftOut...)
		out.Until = e.until
	}
	return out, nil
}

// maxTrail is as many bytes as most ARNs have.
const maxTrail = 256

// poolSize is how many texts are made room for at a time, once there are many.
const poolSize = 4096

// evaluation is the work on one kind.
type evaluation struct {
	ended    func() error // why it is to end; nil: go on
	err      error        // why it was ended; see over
	kind     Kind
	rules    []rule
	granted  GrantedBefore
	clock    Clock
	until    time.Time
	subjects []subject // by ARN
	// matched has a row of bits for each subject, a bit for each rule.
	matched []uint64
	counts  []RuleCount

	grants  []Grant
	leftOut []LeftOut
	// unions are what several rules together give, by their numbers.
	unions map[string]union
	key    []byte // room for such a key
	// before is, for the subject in hand, what frozen rules gave it by earlier
	// texts, by rule.
	before map[int]Before
	// pool is what grants' lists are cut from; seen is room to fill it.
	pool []string
	seen map[string]bool
}

// subjectsOf gives the principals of a kind by ARN, each once.
func subjectsOf(k Kind, ps []Principal) []subject {
	out := make([]subject, 0, len(ps))
	for i := range ps {
		if ps[i].Kind == k {
			out = append(out, newSubject(&ps[i]))
		}
	}
	slices.SortFunc(out, func(a, b subject) int {
		return cmp.Or(strings.Compare(a.ARN, b.ARN), strings.Compare(a.ID, b.ID))
	})
	out = slices.CompactFunc(out, func(a, b subject) bool { return a.ARN == b.ARN })
	for i := 1; i < len(out); i++ {
		out[i].shared = sharedBytes(out[i-1].ARN, out[i].ARN)
	}
	return out
}

// sharedBytes is how many bytes two texts begin with in common.
func sharedBytes(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (e *evaluation) words() int { return (len(e.rules) + 63) / 64 }

// match fills matched and counts.
func (e *evaluation) match() {
	e.matched = make([]uint64, len(e.subjects)*e.words())
	e.counts = make([]RuleCount, len(e.rules))
	room := make([]uint16, 0, maxTrail)
	for i := range e.rules {
		if e.over() {
			return
		}
		r := &e.rules[i]
		var n int
		switch {
		case r.pattern == nil:
			n = e.matchIf(i, func(subject) bool { return true })
		case r.pattern.slow():
			n = e.matchSlow(i)
		default:
			n = e.matchFast(i, newCursor(r.pattern.fast, room))
		}
		e.counts[i].Kind, e.counts[i].Rule, e.counts[i].Matched = e.kind, i, n
		e.counts[i].Frozen = r.maxMatches > 0 && n > r.maxMatches
	}
}

// mark notes that a subject has all that a rule selects by, and gives how many
// matches that makes: none if it is too old.
func (e *evaluation) mark(rule, subject int) int {
	if e.rules[rule].maxAge > 0 && e.tooOld(&e.rules[rule], e.subjects[subject]) {
		e.counts[rule].TooOld++
		return 0
	}
	e.matched[subject*e.words()+rule/64] |= 1 << (rule % 64)
	return 1
}

func (e *evaluation) matchIf(rule int, match func(subject) bool) (n int) {
	for j, s := range e.subjects {
		if e.rules[rule].selects(s) && match(s) {
			n += e.mark(rule, j)
		}
	}
	return n
}

// matchFast looks only at the subjects whose ARN begins as the rule's pattern
// does, which stand together, and reads of each only what is new in it.
func (e *evaluation) matchFast(rule int, c cursor) (n int) {
	r := &e.rules[rule]
	from, to := e.beginning(c.literal)
	shared := len(c.literal)
	for j := from; j < to; j++ {
		s := e.subjects[j]
		if j > from {
			shared = min(shared, s.shared)
		}
		if !r.selects(s) || !strings.HasSuffix(s.ARN, r.pattern.suffix) {
			continue
		}
		if c.match(s.ARN, shared) {
			n += e.mark(rule, j)
		}
		shared = len(s.ARN)
	}
	return n
}

// beginning is the range of the subjects whose ARN begins with a prefix.
func (e *evaluation) beginning(prefix string) (from, to int) {
	from = sort.Search(len(e.subjects), func(i int) bool { return e.subjects[i].ARN >= prefix })
	to = from + sort.Search(len(e.subjects)-from, func(i int) bool {
		return !strings.HasPrefix(e.subjects[from+i].ARN, prefix)
	})
	return from, to
}

// grant turns matches into grants.
func (e *evaluation) grant() {
	words := e.words()
	var list []int
	for i, s := range e.subjects {
		if i%checkEvery == 0 && e.over() {
			return
		}
		list = list[:0]
		e.before = nil
		for w, word := range e.matched[i*words : (i+1)*words] {
			for ; word != 0; word &= word - 1 {
				if n := w*64 + bits.TrailingZeros64(word); e.grantsTo(n, s) {
					list = append(list, n)
				}
			}
		}
		if len(list) > 0 {
			e.grantTo(s, list)
		}
	}
}

// grantsTo tells whether a rule that selects a subject also grants to it.
func (e *evaluation) grantsTo(rule int, s subject) bool {
	r := &e.rules[rule]
	if e.counts[rule].Frozen && !e.keeps(rule, s) {
		return false
	}
	if r.pattern != nil && r.pattern.imitates(s.ARN) {
		e.leaveOut(s, rule, `its path has a ":" that the rule's pattern takes for one between the parts of an ARN; `+
			"let the pattern begin with the account")
		return false
	}
	return true
}

// keeps tells whether a frozen rule has granted to a subject before.
func (e *evaluation) keeps(rule int, s subject) bool {
	before, ok := e.granted(e.kind, arn.Fold(s.ARN), e.rules[rule].digest[0])
	if ok && len(before.Digests) > 0 {
		if e.before == nil {
			e.before = map[int]Before{}
		}
		e.before[rule] = before
	}
	return ok
}

func (e *evaluation) leaveOut(s subject, rule int, reason string) {
	e.leftOut = append(e.leftOut, LeftOut{Kind: e.kind, ARN: s.ARN, Rule: rule, Reason: reason})
}

// grantTo gives a subject what the rules of a list, which is not empty, give.
func (e *evaluation) grantTo(s subject, list []int) {
	first := &e.rules[list[0]]
	a, err := arn.Parse(s.ARN)
	if err == nil && a.Type != string(e.kind) {
		err = fmt.Errorf("%w: it is not a %s's", arn.ErrInvalid, e.kind)
	}
	if err != nil {
		e.leaveOut(s, list[0], err.Error())
		return
	}
	username, reason := first.username.expand(s.Principal, a, first.pattern.regexp())
	if reason != "" {
		e.leaveOut(s, list[0], reason)
		return
	}
	entry := s.ARN
	if e.kind == Role && a.Path != "/" {
		entry = a.WithoutPath().String()
	}
	u := e.union(list)
	e.grants = append(e.grants, Grant{
		Kind: e.kind, PrincipalARN: s.ARN, EntryARN: entry, Username: username, Rule: list[0],
		Groups: u.groups, Selectors: u.selectors,
	})
}

// sorted gives the grants in order, one for each entry. Of several principals
// that would share an entry, the one with the first ARN gets it.
func (e *evaluation) sorted() []Grant {
	var entries strings.Builder
	for _, g := range e.grants {
		entries.WriteString(g.EntryARN)
	}
	// Folding all of them at once costs one allocation; ARNs keep their length.
	rest := arn.Fold(entries.String())
	seen := make(map[string]string, len(e.grants))
	kept := e.grants[:0]
	for _, g := range e.grants {
		folded := rest[:len(g.EntryARN)]
		rest = rest[len(g.EntryARN):]
		if other, taken := seen[folded]; taken {
			e.leftOut = append(e.leftOut, LeftOut{
				Kind: e.kind, ARN: g.PrincipalARN, Rule: g.Rule,
				Reason: "its entry would be the same as that of " + other,
			})
			continue
		}
		seen[folded] = g.PrincipalARN
		kept = append(kept, g)
	}
	slices.SortFunc(kept, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), strings.Compare(a.EntryARN, b.EntryARN))
	})
	slices.SortFunc(e.leftOut, func(a, b LeftOut) int {
		return cmp.Or(strings.Compare(a.ARN, b.ARN), cmp.Compare(a.Rule, b.Rule))
	})
	return kept
}
