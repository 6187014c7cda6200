package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
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

// reasonClockDiffers is why the refresher is Degraded while it cannot tell how
// old principals are.
const reasonClockDiffers = "ClockDiffers"

const (
	statusListLimit  = 100 // how many principals a list in the status names
	statusErrorLimit = 500 // bytes of an error message
	nearlyFull       = 80  // percent of the size limit from which people are warned
)

// Status is what the status ConfigMap says. Each field is one key of its data,
// as YAML. Nothing in it changes unless something happened.
type Status struct {
	Summary    string
	Conditions []metav1.Condition
	Rules      []RuleStatus
	// GivenWay are grants that gave way to somebody else's entry, LeftOut
	// principals that a rule selects in vain, Held and Waiting entries of ours
	// that nobody is granted any longer.
	GivenWay, LeftOut, Held, Waiting []PrincipalStatus
	// Unowned are entries that a lost record may have said to be ours, Orphans
	// somebody else's whose principal does not exist, Revived ours that were taken
	// out and written back.
	Unowned, Orphans, Revived []PrincipalStatus
	// Record says where what is ours is recorded; empty: nowhere yet.
	Record string
	// OnlyConditions: nothing could be computed, so what the other keys said
	// before stands.
	OnlyConditions bool
	// Accounts are those that are listed, if there are several.
	Accounts []AccountStatus
}

// RuleStatus is one rule and how many principals it matches.
type RuleStatus struct {
	Rule    string `json:"rule"` // as in "mapUsers 1"
	Matched int    `json:"matched"`
	TooOld  int    `json:"tooOld,omitempty"` // beside those matched
	Frozen  bool   `json:"frozen,omitempty"`
	// Note is why it cannot match anybody.
	Note string `json:"note,omitempty"`
}

// AccountStatus is one account and whether its last listing was complete.
type AccountStatus struct {
	Account string `json:"account"`
	Listed  bool   `json:"listed"`
	// Reason is why it is not: nothing is concluded from who is missing there.
	Reason string `json:"reason,omitempty"`
}

// PrincipalStatus is one principal and what there is to say about it.
type PrincipalStatus struct {
	ARN    string `json:"arn"`
	Reason string `json:"reason"`
}

func (r *AWSAuthReconciler) status(run *refresh) Status {
	s := Status{Summary: run.summary(), OnlyConditions: run.out.Result.Document == nil}
	for _, c := range run.out.Evaluation.Rules {
		s.Rules = append(s.Rules, RuleStatus{Rule: ruleName(c.Kind, c.Rule), Matched: c.Matched, TooOld: c.TooOld, Frozen: c.Frozen, Note: run.out.Elsewhere(c)})
	}
	for _, c := range run.out.Conflicts {
		reason := fmt.Sprintf("somebody else's entry gives it %s [%s]", c.Entry.Username, strings.Join(c.Entry.Groups, ", "))
		if c.Elsewhere {
			reason = "somebody else's access entry lets it in"
		}
		if c.Same {
			reason = "somebody else's entry says the same; run once with --adopt to take it over"
		}
		s.GivenWay = append(s.GivenWay, PrincipalStatus{c.Grant.PrincipalARN, reason})
	}
	for _, l := range run.out.Evaluation.LeftOut {
		s.LeftOut = append(s.LeftOut, PrincipalStatus{l.ARN, ruleName(l.Kind, l.Rule) + ": " + l.Reason})
	}
	for _, e := range run.out.Result.Overflow {
		s.LeftOut = append(s.LeftOut, PrincipalStatus{e.ARN, "aws-auth is full: a ConfigMap holds 1 MiB"})
	}
	run.entryStatus(&s)
	s.Unowned, s.Revived = run.unowned(), run.revived()
	if run.state != nil {
		s.Record = "ConfigMap " + run.state.Name
	}
	for _, h := range run.out.Removal.Held {
		until := "until " + h.Until.UTC().Format(time.RFC3339)
		if h.Stale {
			until += ", and until its account is listed completely"
		}
		s.Held = append(s.Held, PrincipalStatus{h.ARN, until})
	}
	for _, v := range run.out.Removal.Verify {
		s.Waiting = append(s.Waiting, PrincipalStatus{v.ARN, r.verifyReason(v.ARN)})
	}
	for _, k := range run.out.Removal.Keep {
		s.Waiting = append(s.Waiting, PrincipalStatus{k.ARN, k.Reason})
	}
	return s
}

func ruleName(kind rules.Kind, index int) string {
	return fmt.Sprintf("%s rule %d", kind.DataKey(), index+1)
}

func (run *refresh) summary() string {
	if run.rules.set == nil {
		return "no rules are in force; nothing is changed"
	}
	ours, others := run.counts()
	text := fmt.Sprintf("%d users and %d roles of ours in aws-auth, %d entries of others",
		ours[rules.User], ours[rules.Role], others[rules.User]+others[rules.Role])
	if run.awsAuth == nil {
		text = "there is no aws-auth"
	}
	text += run.entrySummary()
	if !run.stands && !run.paused {
		text += fmt.Sprintf("; not written yet: %d to add, %d to change and %d to remove", len(run.out.Added), len(run.out.Changed), len(run.out.Removed))
	}
	if n := len(run.out.Removal.Held); n > 0 {
		text += fmt.Sprintf("; %d removals held", n)
	}
	if run.paused {
		text = run.pending.String() + "; " + text
	}
	return text
}

// counts are the entries that EKS sees now, by kind: ours and others'.
func (run *refresh) counts() (ours, others map[rules.Kind]int) {
	if run.stands {
		return run.out.Ours, run.out.Foreign
	}
	return run.out.Standing, run.out.ForeignStanding
}

// document is aws-auth as it is now; nil: nothing was computed.
func (run *refresh) document() *awsauth.Document {
	if run.stands {
		return run.out.Result.Document
	}
	return run.out.standing
}

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
	applied := condition(ConditionApplied, reason == "InStep" || reason == "NearlyFull", reason, message)
	held := condition(ConditionRemovalHeld, len(run.out.Removal.Held) > 0, "NothingHeld", "")
	if len(run.out.Removal.Held) > 0 {
		held.Reason, held.Message = "Breaker", run.heldMessage()
	}
	degraded := condition(ConditionDegraded, false, "AsExpected", "")
	kept, recorded, proven := r.historyCondition(), r.recordCondition(run), r.provenCondition(run)
	effective := run.effectiveCondition()
	for _, c := range []metav1.Condition{accepted, listed, applied, recorded, proven, effective, kept} {
		if c.Status == metav1.ConditionFalse && c.Reason != reasonPaused {
			degraded = condition(ConditionDegraded, true, c.Type+c.Reason, c.Message)
			break
		}
	}
	if degraded.Status == metav1.ConditionFalse && run.rules.set != nil && run.rules.set.AppliesMaxAge() && r.known.clock(run.now).Doubted {
		degraded = condition(ConditionDegraded, true, reasonClockDiffers,
			"our clock is more than 5 minutes from AWS's, so nobody is taken out for being older than maxAge; set the clock of the node right")
	}
	conditions := []metav1.Condition{accepted, effective, listed, proven, applied, run.honoredCondition(), r.cleanCondition(run), held, recorded, kept, run.pausedCondition(), degraded}
	if reason, message := r.eventsReason(); reason != "" {
		conditions = append(conditions, condition(ConditionEventsReceived, reason == "Receiving", reason, message))
	}
	return conditions
}

func rulesReason(run *refresh) (reason, message string) {
	rs := run.rules
	switch {
	case !run.chosen:
		return "NotRead", "the rules could not be read; those accepted last stay in force"
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
			"and nobody new gets in; aws_auth_refresher_account_listed and the log tell which account it is"
	}
	several := len(r.known.listings) > 1
	for _, l := range r.known.listings {
		kind, err := failure(l)
		switch {
		case err == nil:
		case several:
			return "Failed", fmt.Sprintf("listing IAM %ss of account %s: %s; nothing is concluded from who is missing there, and the other accounts go on",
				kind, l.AccountID, clip(err.Error()))
		default:
			return "Failed", fmt.Sprintf("listing IAM %ss: %s; nothing is concluded from who is missing", kind, clip(err.Error()))
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

// accountsStatus is what there is to say about several accounts.
func (r *AWSAuthReconciler) accountsStatus() []AccountStatus {
	if len(r.known.listings) < 2 {
		return nil
	}
	var all []AccountStatus
	for _, l := range r.known.listings {
		s := AccountStatus{Account: l.AccountID, Listed: true}
		if kind, err := failure(l); err != nil {
			s.Listed, s.Reason = false, fmt.Sprintf("listing IAM %ss: %s", kind, clip(err.Error()))
		}
		all = append(all, s)
	}
	return all
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
	case run.err != nil:
		return "Failed", stableAPIError(run.err)
	case run.paused && len(run.out.Result.Changed) > 0:
		return reasonPaused, "there is something to do, and the refresher is paused"
	case run.waiting > 0:
		return "Missing", "aws-auth was deleted; it is made again with our entries only after a minute, so that whoever " +
			"deleted it can create it with everybody's"
	case len(run.out.Result.Problems) > 0:
		return "NotEditable", clip("aws-auth " + run.out.Result.ProblemText())
	case len(run.out.Result.Overflow) > 0:
		return "Full", fmt.Sprintf("%d entries do not fit: a ConfigMap holds 1 MiB", len(run.out.Result.Overflow))
	}
	if reason, message = run.entriesReason(); reason != "" {
		return reason, message
	}
	if d := run.document(); d != nil && d.Size() > run.limit*nearlyFull/100 {
		return "NearlyFull", fmt.Sprintf("aws-auth takes more than %d %% of what a ConfigMap holds; "+
			"beyond 100 %% new principals are left out", nearlyFull)
	}
	return "InStep", ""
}

func stableAPIError(err error) string {
	var api apierrors.APIStatus
	if errors.As(err, &api) && api.Status().Message != "" {
		return clip(api.Status().Message)
	}
	return "the API server could not be asked (the log says why)"
}

func clip(s string) string {
	if len(s) <= statusErrorLimit {
		return s
	}
	return strings.ToValidUTF8(s[:statusErrorLimit], "") + "…"
}

// data renders the status as ConfigMap data. Transition times are taken from
// before where a condition has not changed.
func (s Status) data(before []metav1.Condition, now time.Time) (map[string]string, error) {
	conditions := append([]metav1.Condition(nil), before...)
	for _, c := range s.Conditions {
		c.LastTransitionTime = metav1.NewTime(now.UTC().Truncate(time.Second))
		meta.SetStatusCondition(&conditions, c)
	}
	data := map[string]string{"summary": s.Summary}
	if s.Record != "" {
		data[statusRecordKey] = s.Record
	}
	for key, value := range map[string]any{
		"conditions": conditionTexts(conditions), "rules": s.Rules, "givenWay": short(s.GivenWay), "leftOut": short(s.LeftOut),
		"held": short(s.Held), "waiting": short(s.Waiting), "accounts": s.Accounts,
		"unowned": short(s.Unowned), "orphans": short(s.Orphans), "revived": short(s.Revived),
	} {
		text, err := ordered(value)
		if err != nil {
			return nil, err
		}
		if text != "null\n" && text != "[]\n" {
			data[key] = text
		}
	}
	return data, nil
}

func short(list []PrincipalStatus) []PrincipalStatus {
	if len(list) <= statusListLimit {
		return list
	}
	rest := PrincipalStatus{ARN: "…", Reason: fmt.Sprintf("and %d more", len(list)-statusListLimit)}
	return append(list[:statusListLimit:statusListLimit], rest)
}

// writeStatus writes the status ConfigMap if it says anything else.
func (r *AWSAuthReconciler) writeStatus(ctx context.Context, s Status) error {
	was, err := r.store.get(ctx, r.Names.Status)
	if err != nil {
		return err
	}
	var before []metav1.Condition
	if was != nil {
		// What cannot be read is written anew.
		if err := yaml.Unmarshal([]byte(was.Data["conditions"]), &before); err != nil {
			before = nil
		}
	}
	if r.Announcements == nil {
		meta.RemoveStatusCondition(&before, ConditionEventsReceived)
	}
	data, err := s.data(before, r.Clock.Now())
	if err != nil {
		return err
	}
	if was != nil && s.OnlyConditions {
		conditions := data["conditions"]
		data = maps.Clone(was.Data)
		data["conditions"] = conditions
	}
	if was != nil && maps.Equal(was.Data, data) {
		return nil
	}
	now := r.store.own(was, r.Names.Status)
	now.Data = data
	_, err = r.store.put(ctx, was != nil, now)
	return err
}
