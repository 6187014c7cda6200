package controllers

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Condition types of the status ConfigMap; semantics as in metav1.Condition.
const (
	// ConditionRulesAccepted: the rules that people wrote are in force.
	ConditionRulesAccepted = "RulesAccepted"
	// ConditionPrincipalsListed: the last listings of IAM were complete.
	ConditionPrincipalsListed = "PrincipalsListed"
	// ConditionApplied: aws-auth holds what it should.
	ConditionApplied = "Applied"
	// ConditionRemovalHeld: the breaker holds entries that no rule grants.
	ConditionRemovalHeld = "RemovalHeld"
	// ConditionEventsReceived: the queue of IAM events can be read. It is there
	// only with a queue, and has no part in Degraded: without events IAM is
	// listed on time, as ever.
	ConditionEventsReceived = "EventsReceived"
	// ConditionDegraded: something needs a person.
	ConditionDegraded = "Degraded"
)

// reasonPaused is why Applied is not true while people want nothing written.
const reasonPaused = "Paused"

// reasonNearlyFull is why people are warned although Applied is true.
const reasonNearlyFull = "NearlyFull"

// conditions are the present conditions, without transition times.
func (r *AWSAuthReconciler) conditions(run *refresh) []metav1.Condition {
	condition := func(kind string, ok bool, reason, message string) metav1.Condition {
		status := metav1.ConditionFalse
		if ok {
			status = metav1.ConditionTrue
		}
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
	}
	reason, message := rulesReason(run)
	accepted := condition(ConditionRulesAccepted, run.chosen && run.rules.problem == nil, reason, message)
	reason, message = r.listingReason(run)
	listed := condition(ConditionPrincipalsListed, reason == "Complete", reason, message)
	reason, message = appliedReason(run)
	applied := condition(ConditionApplied, reason == "InStep" || reason == reasonNearlyFull, reason, message)
	kept, recorded, proven := r.historyCondition(), r.recordCondition(run), r.provenCondition(run)
	effective := run.effectiveCondition()
	degraded := r.degradedCondition(run, []metav1.Condition{accepted, listed, applied, recorded, proven, effective, kept})
	conditions := []metav1.Condition{accepted, effective, listed, proven, applied, run.honoredCondition(), r.cleanCondition(run), run.heldCondition(), recorded, kept, run.pausedCondition(), degraded}
	if reason, message := r.eventsReason(); reason != "" {
		conditions = append(conditions, condition(ConditionEventsReceived, reason == "Receiving", reason, message))
	}
	return conditions
}

func rulesReason(run *refresh) (reason, message string) {
	rs := run.rules
	switch {
	case !run.chosen:
		return "NotRead", "the rules could not be read, and it is tried again; the condition Applied says why"
	case rs.problem == nil:
		return "Accepted", "the rules with digest " + rs.digest + " are in force"
	}
	reason, message = "Refused", clip(rs.problem.Error())
	if errors.Is(rs.problem, errRulesMissing) {
		reason, message = "Missing", message+fmt.Sprintf("; make %s in namespace %s, with rules under data.mapUsers or data.mapRoles",
			run.rulesName, run.namespace)
	}
	if rs.set != nil {
		return reason, message + "\nthe rules accepted last stay in force"
	}
	return reason, message + "\nno rules are in force, so aws-auth stays as it is"
}

func (r *AWSAuthReconciler) listingReason(run *refresh) (reason, message string) {
	if run.rules.set == nil {
		return "NoRules", "IAM is not asked before there are rules"
	}
	if r.listing.slow(r.Clock.Now()) {
		return "Slow", "a listing of IAM takes longer than two minutes; until it ends rules and aws-auth are carried out by the one before, " +
			"and nobody new gets in. See whether AWS can be reached from the pod, and whether it throttles; after ten minutes the listing is given up, " +
			"and its error is told here"
	}
	several := len(r.known.listings) > 1
	for _, l := range r.known.listings {
		kind, err := failure(l)
		switch {
		case err == nil:
		case several:
			return "Failed", fmt.Sprintf("listing IAM %ss of account %s: %s; nothing is concluded from who is missing there, and the other accounts go on; it is tried again; deploy/iam has what the controller must be allowed",
				kind, l.AccountID, clip(err.Error()))
		default:
			return "Failed", fmt.Sprintf("listing IAM %ss: %s; nothing is concluded from who is missing; it is tried again; deploy/iam has what the controller must be allowed", kind, clip(err.Error()))
		}
	}
	if several {
		return "Complete", "accounts " + strings.Join(r.known.accounts(), ", ")
	}
	return "Complete", "account " + strings.Join(r.known.accounts(), ", ")
}

// failure is what kept a listing from being complete; nil: nothing.
func failure(l principals.Listing) (rules.Kind, error) {
	for kind, scope := range scopes(l) {
		if scope.Asked && !scope.Complete {
			return kind, scope.Err
		}
	}
	return "", nil
}

func appliedReason(run *refresh) (reason, message string) {
	switch {
	case errors.Is(run.err, errRecordUnusable):
		return "RecordUnusable", clip(run.err.Error())
	case errors.Is(run.err, errRecordTooLarge):
		return "RecordTooLarge", clip(run.err.Error())
	case run.full && run.err == nil:
		return "RecordTooLarge", "nobody new gets in, because the record of what is ours would become too large; " +
			"let fewer principals match, or shorten the rules"
	case errors.Is(run.err, rules.ErrUnfinished):
		return "RulesTooSlow", clip(run.err.Error()) + "; nothing is written, and it is tried again"
	case errors.Is(run.err, errUnread):
		return "Failed", clip(run.err.Error())
	case run.err != nil:
		return "Failed", stableAPIError(run.err)
	case run.paused && len(run.out.Result.Changed) > 0:
		return reasonPaused, "there is something to do, and the refresher is paused; the condition Paused says how to go on"
	case run.waiting > 0:
		return "Missing", "aws-auth was deleted; it is made again with our entries only after a minute, so that whoever " +
			"deleted it can create it with everybody's; aws-auth-refresher history has what stood in it"
	case len(run.out.Result.Problems) > 0:
		return "NotEditable", clip("aws-auth "+run.out.Result.ProblemText()) + "; correct it, as aws-auth-refresher lint says"
	case len(run.out.Result.Overflow) > 0:
		return "Full", fmt.Sprintf("%d entries do not fit: a ConfigMap holds 1 MiB; ", len(run.out.Result.Overflow)) + makeRoom
	}
	if reason, message = run.entriesReason(); reason != "" {
		return reason, message
	}
	if d := run.document(); d != nil && d.Size() > run.limit*nearlyFull/100 {
		return reasonNearlyFull, fmt.Sprintf("aws-auth takes more than %d %% of what a ConfigMap holds; "+
			"beyond 100 %% new principals are left out; %s", nearlyFull, makeRoom)
	}
	return "InStep", ""
}

func clip(s string) string {
	if len(s) <= statusErrorLimit {
		return s
	}
	return strings.ToValidUTF8(s[:statusErrorLimit], "") + "…"
}
