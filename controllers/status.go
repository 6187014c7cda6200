package controllers

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

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
	s.Unowned = run.unowned()
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
