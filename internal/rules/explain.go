package rules

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// Verdict is what one rule makes of one principal.
type Verdict struct {
	Kind Kind
	// Rule is the 0-based index within the kind.
	Rule int
	// Matches tells whether every selector matches.
	Matches bool
	// But names the selectors that do not match, and how the principal would
	// have to differ where that is one thing.
	But []string
	// Near: it is one thing that keeps the rule from matching.
	Near bool
}

// Explain says of every rule of the principal's kind whether it matches, and
// why not. now is what its age is reckoned by.
func (s *Set) Explain(p Principal, now time.Time) []Verdict {
	var verdicts []Verdict
	of := newSubject(&p)
	for i := range s.of(p.Kind) {
		r := &s.of(p.Kind)[i]
		v := Verdict{Kind: p.Kind, Rule: i}
		if !strings.HasPrefix(of.resource, r.resource) {
			v.But = append(v.But, fmt.Sprintf("its path is %s, not under %s", pathIn(of.resource), pathIn(r.resource)))
		}
		if r.permissionSet != "" && !isPermissionSetRole(of.resource, r.permissionSet) {
			v.But = append(v.But, "it is not the role of the permission set "+r.permissionSet)
		}
		near := true
		if r.pattern != nil && !r.pattern.match(p.ARN) {
			but := r.pattern.nearMiss(p.ARN)
			near = but != ""
			if !near {
				but = "its ARN does not match arnRegex"
			}
			v.But = append(v.But, but)
		}
		v.But = append(v.But, r.details.but(p.Details)...)
		v.But = append(v.But, r.olderThan(p, now)...)
		v.Matches = len(v.But) == 0
		v.Near = near && (p.Details != nil || !r.detailed()) && len(v.But) == 1
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// pathIn is the path in the resource part of an ARN, as in user/vault/alice.
func pathIn(resource string) string {
	from, to := strings.IndexByte(resource, '/'), strings.LastIndexByte(resource, '/')
	if from < 0 {
		return "/"
	}
	return resource[from : to+1]
}

// nearMiss finds the one thing in which an ARN would have to differ for the
// pattern to match; empty if there is none.
func (p *pattern) nearMiss(principalARN string) string {
	a, err := arn.Parse(principalARN)
	if err != nil {
		return ""
	}
	if bare := a.WithoutPath(); a.Path != "/" && p.match(bare.String()) {
		return "matches but for its path " + a.Path + ", which arnRegex does not allow"
	}
	for _, account := range regexp.MustCompile(`[0-9]{1,12}`).FindAllString(p.re.String(), -1) {
		elsewhere := a
		elsewhere.AccountID = account
		if account != a.AccountID && p.match(elsewhere.String()) {
			return "matches but for its account, which is " + a.AccountID + " and not " + account
		}
	}
	if folded, err := regexp.Compile("(?i)" + p.re.String()); err == nil && folded.MatchString(principalARN) {
		return "matches but for upper and lower case"
	}
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
		elsewhere := a
		elsewhere.Partition = partition
		if p.match(elsewhere.String()) {
			return "matches but for its partition, which is " + a.Partition + " and not " + partition
		}
	}
	return ""
}

// Account is the number of the account that every ARN a rule matches begins
// with, by its arnRegex; empty if that names none. The rule is a 0-based index
// within the kind.
func (s *Set) Account(k Kind, rule int) string {
	p := s.of(k)[rule].pattern
	if p == nil {
		return ""
	}
	at := resourceAt(p.literal)
	if at == 0 {
		return ""
	}
	before, _ := strings.CutSuffix(p.literal[:at], ":")
	return before[strings.LastIndexByte(before, ':')+1:]
}
