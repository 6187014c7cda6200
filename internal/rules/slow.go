package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// What patterns without an automaton may count together: their steps, each of
// them at least leastSlow. Measured with 10,000 users this is a second or two.
const (
	maxSlow   = 40000
	leastSlow = 400
)

const slowWayOut = "write [^/]* instead of counted repetitions such as .{0,1000}"

// ErrUnfinished says that an evaluation was ended before it was whole.
var ErrUnfinished = errors.New("matching the rules was not finished")

// slow tells whether a pattern is matched step by step.
func (p *pattern) slow() bool { return p != nil && p.fast == nil }

// afford refuses a pattern that is too slow beside those before it, and returns
// the room that is left; negative once one has been refused.
func (c *compiler) afford(p *pattern, room int) int {
	if !p.slow() || c.options.Accepted || room < 0 {
		return room
	}
	cost := max(p.steps, leastSlow)
	if cost > room {
		c.refuse(fieldArnRegex, "is slow to match, and too slow together with those before it: it counts for %d steps of %d in all; "+
			`%s, without \b, or one pattern for several rules`, cost, maxSlow, slowWayOut)
		return -1
	}
	return room - cost
}

// matchSlow runs the rule's pattern on the subjects whose ARN begins and ends as
// it does.
func (e *evaluation) matchSlow(rule int) (n int) {
	r := &e.rules[rule]
	from, to := e.beginning(longer(r.pattern.literal, r.pattern.prefix))
	for j := from; j < to; j++ {
		s := e.subjects[j]
		if (j-from)%checkEvery == 0 && e.over() {
			return n
		}
		if r.selects(s) && strings.HasSuffix(s.ARN, r.pattern.suffix) && r.pattern.re.MatchString(s.ARN) {
			n += e.mark(rule, j)
		}
	}
	return n
}

// checkEvery is how many principals are looked at between two looks at the
// context.
const checkEvery = 64

// endOf gives a function that says why ctx has ended; nil as long as it has not.
func endOf(ctx context.Context) func() error {
	return func() error {
		if err := ctx.Err(); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		return nil
	}
}

// over tells whether the evaluation is to end.
func (e *evaluation) over() bool {
	if e.err == nil {
		e.err = e.ended()
	}
	return e.err != nil
}

// unfinished is the error of an evaluation that was ended. It does not say how
// far that came, so that it is the same each time.
func (s *Set) unfinished(cause error) error {
	err := fmt.Errorf("%w: %w", ErrUnfinished, cause)
	var slow []string
	for _, k := range Kinds() {
		for i := range s.of(k) {
			if s.of(k)[i].pattern.slow() {
				slow = append(slow, fmt.Sprintf("%s rule %d", k.DataKey(), i+1))
			}
		}
	}
	const named = 10
	if more := len(slow) - named; more > 0 {
		slow = append(slow[:named], fmt.Sprintf("%d more", more))
	}
	switch last := len(slow) - 1; {
	case last < 0:
		return err
	case last == 0:
		return fmt.Errorf("%w; slow to match is %s; %s", err, slow[0], slowWayOut)
	default:
		return fmt.Errorf("%w; slow to match are %s and %s; %s", err, strings.Join(slow[:last], ", "), slow[last], slowWayOut)
	}
}
