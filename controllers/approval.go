package controllers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// ApproveAnnotation on the rules ConfigMap lets the removals through that the
// breaker holds, once. Its value is the digest of the rules data beside it, and
// for every further time the digest with a number behind it, as in
// 0123456789abcdef.2.
const ApproveAnnotation = "aws-auth-refresher.io/approve-removal"

const (
	// approvalFor is how long an approval waits for something to approve: it may
	// come with the rules that need it, and must not be left behind.
	approvalFor = time.Hour
	// keptSpent is how many approvals are remembered that do not count again.
	keptSpent = 100
)

// approval is what is made of the annotation.
type approval struct {
	rules.Approval
	spent []string
	// digest is that of the rules in force; good: their removals are approved.
	digest string
	good   bool
	// problem is why the annotation approves nothing; empty where there is none.
	problem string
}

// judgeApproval judges the annotation beside rules with this digest.
func judgeApproval(annotation, digest string, record rules.Record, now time.Time) approval {
	a := approval{Approval: record.Approval, spent: record.Spent, digest: digest}
	if annotation != a.Value {
		a.Approval = rules.Approval{Value: annotation, Since: now}
	}
	if annotation == "" {
		a.Approval = rules.Approval{}
		return a
	}
	if a.Since.After(now) { // the clock was set back
		a.Since = now
	}
	of, _, _ := strings.Cut(annotation, ".")
	if of != digest && record.Rules != nil && of == rules.DataDigest(record.Rules) {
		a.spend() // the rules that it was about are no longer in force
	}
	switch {
	case slices.Contains(a.spent, annotation):
		a.problem = "was used, or expired"
	case of != digest:
		a.problem = "is about other rules"
	case now.Sub(a.Since) >= approvalFor:
		a.problem = "expired, since nothing needed it within an hour"
		a.spend()
	default:
		a.good = true
	}
	return a
}

func (a *approval) spend() { a.spent = spend(a.spent, a.Value) }

// spend adds an approval to those that do not count again.
func spend(spent []string, value string) []string {
	if slices.Contains(spent, value) {
		return spent
	}
	spent = append(slices.Clone(spent), value)
	return spent[max(0, len(spent)-keptSpent):]
}

// next is the value that approves what is held now.
func (a approval) next() string {
	value := a.digest
	for n := 2; slices.Contains(a.spent, value) || value == a.Value && !a.good; n++ {
		value = a.digest + "." + strconv.Itoa(n)
	}
	return value
}

// command is what a person types to approve what is held now.
func (a approval) command(namespace, rulesName string) string {
	return fmt.Sprintf("kubectl -n %s annotate configmap %s --overwrite %s=%s", namespace, rulesName, ApproveAnnotation, a.next())
}

// Approval is the annotation's value that approves what would be held with these
// manifests.
func (d *PlanData) Approval(o Outcome) string { return o.approval.next() }
