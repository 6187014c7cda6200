package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// Clock is what ages are reckoned by.
type Clock struct {
	// Now is the time; zero: ages are not known, and no rule's maxAge applies.
	Now time.Time
	// Doubted: Now may be far from right. Whoever a rule has granted to before
	// is then never too old for it.
	Doubted bool
}

// tooOld tells whether a subject that a rule with a maxAge selects has outgrown
// it, and else notes when it will.
func (e *evaluation) tooOld(r *rule, s subject) bool {
	if e.clock.Now.IsZero() {
		return false
	}
	end := s.CreateDate.Add(r.maxAge)
	if e.clock.Now.Before(end) {
		if e.until.IsZero() || end.Before(e.until) {
			e.until = end
		}
		return false
	}
	if !e.clock.Doubted {
		return true
	}
	_, before := e.granted(e.kind, arn.Fold(s.ARN), r.digest[0])
	return !before
}

// Outgrew tells whether a principal has just grown too old for the rules with
// these digests, and since when: each of them is in force, matches it
// but for its maxAge, and is outgrown at that time. It is false for no digests.
func (s *Set) Outgrew(p Principal, selectors []string, now time.Time) (since time.Time, ok bool) {
	of := newSubject(&p)
	for _, selector := range selectors {
		outgrown := false
		for i := range s.of(p.Kind) {
			r := &s.of(p.Kind)[i]
			if IsOf(selector, r.digest[0]) && r.maxAge > 0 && r.selects(of) && (r.pattern == nil || r.pattern.match(p.ARN)) {
				end := p.CreateDate.Add(r.maxAge)
				if outgrown = !now.Before(end); end.After(since) {
					since = end
				}
				break
			}
		}
		if !outgrown {
			return time.Time{}, false
		}
	}
	return since, len(selectors) > 0
}

// AppliesMaxAge tells whether any rule has a maxAge.
func (s *Set) AppliesMaxAge() bool {
	for _, k := range Kinds() {
		for _, r := range s.of(k) {
			if r.maxAge > 0 {
				return true
			}
		}
	}
	return false
}

// olderThan says that a principal is too old for the rule.
func (r *rule) olderThan(p Principal, now time.Time) []string {
	switch {
	case r.maxAge == 0:
		return nil
	case p.CreateDate.IsZero():
		return []string{"it is not known when it was made"}
	case now.Before(p.CreateDate.Add(r.maxAge)):
		return nil
	}
	return []string{fmt.Sprintf("it is older than %s, since %s", brief(r.maxAge), p.CreateDate.Add(r.maxAge).UTC().Format(time.RFC3339))}
}

// brief writes a duration as people do: 24h, not 24h0m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// maxAge compiles the field of that name.
func (c *compiler) maxAge() time.Duration {
	text := c.rule.MaxAge
	if text == "" {
		return 0
	}
	age, err := time.ParseDuration(text)
	days, isDays := strings.CutSuffix(text, "d")
	n, daysErr := strconv.Atoi(days)
	switch {
	case isDays && daysErr == nil && n > 0 && n <= 36500:
		c.refuse(fieldMaxAge, "%s has no unit that is known; write it in hours, as %dh", quote(text), 24*n)
	case err != nil:
		c.refuse(fieldMaxAge, "%s is not a duration; write hours or minutes, as in 24h or 90m", quote(text))
	case age < time.Second:
		c.refuse(fieldMaxAge, "%s lets nobody in; write at least 1s, or drop the field", quote(text))
	default:
		return age
	}
	return 0
}
