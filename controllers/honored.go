package controllers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	// ConditionRulesEffective is true while each rule can do what it says.
	ConditionRulesEffective = "RulesEffective"
	// ConditionGrantsHonored is true while everybody whom the rules grant access
	// has the entry that they say. It has no part in Degraded: somebody else's
	// entry may be there on purpose.
	ConditionGrantsHonored = "GrantsHonored"
	// ConditionEntriesClean is true while aws-auth has no entry of anybody's for a
	// principal that does not exist, and nobody writes back what was taken out. It
	// has no part in Degraded.
	ConditionEntriesClean = "EntriesClean"
)

// orphanAfter is for how long a principal must be missing from the listings until
// people hear of somebody else's entry for it.
const orphanAfter = time.Minute

// refusedAfter is for how long EKS must refuse somebody until people hear of it.
const refusedAfter = time.Minute

// revivedFor is for how long people are told that somebody wrote back what had
// been taken out.
const revivedFor = time.Hour

func conditionOf(kind string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "AsExpected"}
}

// effectiveCondition names rules that are frozen, or about accounts that are not
// listed.
func (run *refresh) effectiveCondition() metav1.Condition {
	c := conditionOf(ConditionRulesEffective)
	var frozen, elsewhere []string
	for _, rule := range run.out.Evaluation.Rules {
		switch name := ruleName(rule.Kind, rule.Rule); {
		case rule.Frozen:
			frozen = append(frozen, name)
		case run.out.Elsewhere(rule) != "":
			elsewhere = append(elsewhere, name+": "+run.out.Elsewhere(rule))
		}
	}
	var messages []string
	if len(elsewhere) > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, "AccountNotListed"
		messages = append(messages, fmt.Sprintf("%s. Correct the account in its arnRegex, or have that one listed, too, with --account-role-arn",
			clip(strings.Join(elsewhere, "; "))))
	}
	if len(frozen) > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, "Frozen"
		messages = append([]string{fmt.Sprintf("frozen: %s; more principals match than maxMatches allows, so nobody new gets in by it, and whoever is in stays. "+
			"Narrow its selectors, or raise its maxMatches", clip(strings.Join(frozen, ", ")))}, messages...)
	}
	c.Message = strings.Join(messages, ". ")
	return c
}

// honoredCondition tells of grants that gave way, and of principals that are left
// out. Its message stays the same while people come and go.
func (run *refresh) honoredCondition() metav1.Condition {
	c := conditionOf(ConditionGrantsHonored)
	switch {
	case run.leftOut() > 0:
		c.Status, c.Reason = metav1.ConditionFalse, "LeftOut"
		c.Message = "principals that a rule selects are not let in; leftOut in the status names them, with the reason of each. " +
			"Change the rule, or the principal's name or path"
	case len(run.out.Conflicts) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, "GivenWay"
		c.Message = "principals that a rule grants access have an entry of somebody else's, which counts; givenWay in the status names them. " +
			"Take that entry out of aws-auth, start the refresher once with --adopt where it says the same, or leave it and narrow the rule"
	}
	return c
}

// leftOut is how many principals are left out, be it of aws-auth or of the access
// entries. Whom EKS has refused lately is tried again, and does not count yet.
func (run *refresh) leftOut() int {
	return len(run.out.Evaluation.LeftOut) + len(run.out.Result.Overflow) + len(run.out.EntriesLeftOut) + len(run.out.Entries.Overflow) + run.refusedLong
}

// noteRefused remembers since when EKS refuses an access entry, as it does for a
// while for whoever is new.
func (r *AWSAuthReconciler) noteRefused(run *refresh) {
	if run.out.Result.Document == nil {
		return
	}
	before := r.refused
	r.refused = map[string]time.Time{}
	for _, list := range [][]accessentry.Refused{run.out.Entries.Waiting, run.entries.result.Refused} {
		for _, one := range list {
			key := one.Entry.Key()
			at, known := before[key]
			if !known || at.After(run.now) {
				at = run.now
			}
			if _, counted := r.refused[key]; !counted && run.now.Sub(at) >= refusedAfter {
				run.refusedLong++
			}
			r.refused[key] = at
		}
	}
}

// revivedNote is who wrote back what, and when that was seen.
type revivedNote struct {
	at   time.Time
	by   string
	list []Revived
}

// noteRevived remembers what somebody has written back.
func (r *AWSAuthReconciler) noteRevived(run *refresh) {
	if len(run.out.Revived) == 0 || run.awsAuthRead == nil {
		return
	}
	run.wroteBack = lastWriter(run.awsAuthRead)
	r.lastRevived = revivedNote{at: run.now, by: run.wroteBack, list: run.out.Revived}
}

// lastWriter is the field manager that wrote our keys of aws-auth last, ourselves
// aside.
func lastWriter(cm *corev1.ConfigMap) string {
	var last metav1.ManagedFieldsEntry
	for _, f := range cm.ManagedFields {
		var set struct {
			Data map[string]json.RawMessage `json:"f:data"`
		}
		if f.Manager == fieldManager || f.FieldsV1 == nil || json.Unmarshal(f.FieldsV1.GetRawBytes(), &set) != nil {
			continue
		}
		ours := set.Data["f:"+rules.User.DataKey()] != nil || set.Data["f:"+rules.Role.DataKey()] != nil
		if later := last.Time == nil || f.Time != nil && last.Time.Before(f.Time); ours && later {
			last = f
		}
	}
	return cmp.Or(last.Manager, "somebody")
}

// cleanCondition tells of entries that should not be there, whosever they are.
func (r *AWSAuthReconciler) cleanCondition(run *refresh) metav1.Condition {
	c := conditionOf(ConditionEntriesClean)
	switch {
	case r.lastRevived.told(run.now):
		c.Status, c.Reason = metav1.ConditionFalse, "WrittenBack"
		c.Message = clip(fmt.Sprintf("%s wrote back into aws-auth what had been taken out, at %s, and whom no rule grants it is taken out again; revived in the status names the entries. "+
			"Find out what %s applies, such as a backup, and have it apply the present aws-auth; whoever is to have access gets it by a rule",
			r.lastRevived.by, r.lastRevived.at.UTC().Format(time.RFC3339), r.lastRevived.by))
	case len(run.orphaned) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, "NoSuchPrincipal"
		c.Message = "aws-auth has entries of others for principals that do not exist; orphans in the status names them. " +
			"Take them out: whoever makes such a principal again gets in by them"
	}
	return c
}

// noteOrphans remembers since when each entry of others has no principal.
func (r *AWSAuthReconciler) noteOrphans(run *refresh) {
	if run.out.Result.Document == nil {
		return
	}
	before := r.orphans
	r.orphans = make(map[string]time.Time, len(run.out.Orphans))
	for _, e := range run.out.Orphans {
		key := string(e.Kind) + " " + e.Key()
		at, known := before[key]
		if !known || at.After(run.now) {
			at = run.now
		}
		r.orphans[key] = at
	}
}

// orphaned are the entries of others whose principal has been missing for long
// enough to tell.
func (r *AWSAuthReconciler) orphaned(run *refresh) []PrincipalStatus {
	var list []PrincipalStatus
	for _, e := range run.out.Orphans {
		if at, known := r.orphans[string(e.Kind)+" "+e.Key()]; known && run.now.Sub(at) >= orphanAfter {
			list = append(list, PrincipalStatus{e.ARN, "somebody else's entry gives it " + e.Username + " [" + strings.Join(e.Groups, ", ") + "], and IAM does not list it"})
		}
	}
	slices.SortFunc(list, func(a, b PrincipalStatus) int { return strings.Compare(a.ARN, b.ARN) })
	return list
}

// told tells whether people are still told of what was written back.
func (n revivedNote) told(now time.Time) bool {
	since := now.Sub(n.at)
	return len(n.list) > 0 && since >= 0 && since < revivedFor
}

// status says what was written back.
func (n revivedNote) status(now time.Time) []PrincipalStatus {
	if !n.told(now) {
		return nil
	}
	var list []PrincipalStatus
	for _, r := range n.list {
		list = append(list, PrincipalStatus{r.Entry.ARN, revivedReason(r, n.by)})
	}
	return list
}

func revivedReason(r Revived, by string) string {
	return fmt.Sprintf("taken out on %s, written back by %s", r.Out.UTC().Format(time.RFC3339), by)
}

// announceRevived makes an event of what was written back.
func (r *AWSAuthReconciler) announceRevived(run *refresh) {
	if len(run.out.Revived) == 0 {
		return
	}
	var list []string
	for i, one := range run.out.Revived {
		run.log.Info("an entry that had been taken out was written back", "arn", one.Entry.ARN, "username", one.Entry.Username,
			"groups", one.Entry.Groups, "out", one.Out, "by", run.wroteBack)
		if i < namesInEvent {
			list = append(list, fmt.Sprintf("%s as %s [%s] %s", one.Entry.ARN, one.Entry.Username, strings.Join(one.Entry.Groups, ", "), revivedReason(one, run.wroteBack)))
		}
	}
	if n := len(run.out.Revived) - len(list); n > 0 {
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	r.event(run, corev1.EventTypeWarning, "RevokedWrittenBack", "taken out again: "+strings.Join(list, "; "))
}
