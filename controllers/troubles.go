package controllers

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trouble is a reason of a condition that says that something is stuck, held,
// starved, refused, lost or overruled, with everything else that says so, and
// the way out. docs/troubles.md is made of them; a test makes each happen.
type trouble struct {
	condition, reason string
	what              string // happened, in a sentence
	wayOut            string // in a sentence or two
	alert             string // of deploy/chart/files/alerts.yaml
	// metric is what tells beside the condition's own, in PromQL; empty: nothing.
	metric string
	// announced is the event of another condition that tells; empty: this one's does.
	announced string
}

// troubles are all of them, by condition.
func troubles() []trouble {
	var all []trouble
	for _, some := range [][]trouble{ruleTroubles(), listingTroubles(), deletionTroubles(), writingTroubles(), entryTroubles(), otherTroubles()} {
		all = append(all, some...)
	}
	return all
}

// badWhenTrue tells whether a condition of that type should be false.
func badWhenTrue(kind string) bool {
	return kind == ConditionRemovalHeld || kind == ConditionDegraded || kind == ConditionPaused
}

// troubleOf is the trouble that a condition tells of. One that is not in the
// table is told, too.
func troubleOf(c metav1.Condition) (t trouble, bad bool) {
	for _, t := range troubles() {
		if t.condition == c.Type && t.reason == c.Reason && t.status() == c.Status {
			return t, true
		}
	}
	return trouble{condition: c.Type, reason: c.Reason}, (c.Status == metav1.ConditionTrue) == badWhenTrue(c.Type)
}

// status is what the condition's status is then.
func (t trouble) status() metav1.ConditionStatus {
	if badWhenTrue(t.condition) || t.reason == reasonNearlyFull {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// event is the reason of the event that tells of it.
func (t trouble) event() string {
	switch {
	case t.announced != "":
		return t.announced
	case t.condition == ConditionPaused:
		return "Paused"
	}
	return t.condition + t.reason
}

// metrics are what tells of it, in PromQL.
func (t trouble) metrics() []string {
	var all []string
	if t.reason != reasonNearlyFull {
		value := map[metav1.ConditionStatus]int{metav1.ConditionTrue: 1}[t.status()]
		all = append(all, fmt.Sprintf(prefix+"condition{type=%q} == %d", t.condition, value))
	}
	if t.metric != "" {
		all = append(all, prefix+t.metric)
	}
	return all
}

// The alerts that more than one trouble has.
const (
	alertDegraded      = "AWSAuthRefresherDegraded"
	alertRulesRefused  = "AWSAuthRefresherRulesRefused"
	alertUnproven      = "AWSAuthRefresherDeletionsUnproven"
	alertIneffective   = "AWSAuthRefresherRulesIneffective"
	alertLeftOut       = "AWSAuthPrincipalsLeftOut"
	alertEvents        = "AWSAuthRefresherEventsNotReceived"
	alertPaused        = "AWSAuthRefresherPaused"
	metricUnproven     = "unproven_deletions > 0"
	metricLeftOut      = "left_out > 0"
	metricEventTrouble = "event_queue_errors_total > 0"
)

func ruleTroubles() []trouble {
	return []trouble{
		{
			condition: ConditionRulesAccepted, reason: "Refused", alert: alertRulesRefused,
			what:   "The rules that were written last have a mistake, so those accepted before stay in force; without any, nothing is changed.",
			wayOut: "Correct what the message names, with its line. `aws-auth-refresher plan --rules rules.yaml` says beforehand what is refused.",
		},
		{
			condition: ConditionRulesAccepted, reason: "Missing", alert: alertRulesRefused,
			what:   "There is no rules ConfigMap, so the rules accepted last stay in force; without any, nothing is changed.",
			wayOut: "Make it, or put it back. To take everything of ours out, leave it there and take the rules out of it.",
		},
		{
			condition: ConditionRulesAccepted, reason: "NotRead", alert: alertRulesRefused,
			what:   "The API server did not give the rules, so nothing is changed.",
			wayOut: "The condition `Applied` has what it answers. What the controller must be allowed is in deploy/common.yaml.",
		},
		{
			condition: ConditionRulesEffective, reason: "Frozen", alert: alertIneffective, metric: "frozen_rules > 0",
			what:   "More principals match a rule than its `maxMatches` allows, so nobody new gets in by it, and whoever is in stays.",
			wayOut: "Narrow its selectors, or raise its `maxMatches`.",
		},
		{
			condition: ConditionRulesEffective, reason: "AccountNotListed", alert: alertIneffective,
			what:   "A rule matches nobody, because its `arnRegex` names an account that is not listed.",
			wayOut: "Correct the account, or have that one listed, too, with `--account-role-arn`.",
		},
		{
			condition: ConditionGrantsHonored, reason: "LeftOut", alert: alertLeftOut, metric: metricLeftOut,
			what:   "Principals that a rule selects are not let in, because of their names, of EKS, or for want of room.",
			wayOut: "`leftOut` in the status names them, with the reason of each. Change the rule, or the principal's name or path.",
		},
		{
			condition: ConditionGrantsHonored, reason: "GivenWay", alert: "AWSAuthGrantsGivenWay", metric: "given_way > 0",
			what:   "Principals that a rule grants access have an entry of somebody else's, which counts.",
			wayOut: "`givenWay` in the status names them. Take that entry out, start the controller once with `--adopt` where it says the same, or leave it and narrow the rule.",
		},
	}
}

func listingTroubles() []trouble {
	return []trouble{
		{
			condition: ConditionPrincipalsListed, reason: "NoRules", alert: alertRulesRefused, announced: ConditionRulesAccepted + "Missing",
			what:   "No rules were ever accepted, so IAM is not asked.",
			wayOut: "Write rules; the condition `RulesAccepted` says what is wrong with those that there are.",
		},
		{
			condition: ConditionPrincipalsListed, reason: "Failed", alert: "AWSAuthRefresherCannotListIAM", metric: "account_listed == 0",
			what:   "IAM of an account could not be listed completely, so nobody new of that account gets in, and nobody is taken out.",
			wayOut: "The message has the account and AWS's answer. The permissions are in deploy/iam/policy.json, with several accounts also in policy-accounts.json.",
		},
		{
			condition: ConditionPrincipalsListed, reason: "Slow", alert: alertDegraded,
			what:   "A listing of IAM takes longer than two minutes. Rules and `aws-auth` are carried out by the one before, and nobody new gets in.",
			wayOut: "See whether AWS can be reached from the pod, and whether it throttles. After ten minutes the listing is given up, and `Failed` has the account and the error.",
		},
		{
			condition: ConditionDegraded, reason: reasonClockDiffers, alert: alertDegraded,
			what:   "Our clock is more than 5 minutes from AWS's, so nobody is taken out for being older than `maxAge`.",
			wayOut: "Set the clock of the node right.",
		},
		eventTrouble("QueueMissing", "The queue of IAM's events does not exist.", "Make it, as deploy/events does, or correct `--events-queue-url`."),
		eventTrouble("Denied", "The controller may not read the queue of IAM's events.",
			"Allow `sqs:ReceiveMessage`, `sqs:DeleteMessage` and `sqs:ChangeMessageVisibility` on it."),
		eventTrouble("Throttled", "SQS throttles the controller.", "It is tried again. Look for what else uses SQS with these credentials."),
		eventTrouble("Unreachable", "The queue of IAM's events cannot be reached.", "It is tried again. The log has the error; see whether SQS can be reached from the pod."),
	}
}

func eventTrouble(cause, what, wayOut string) trouble {
	return trouble{
		condition: ConditionEventsReceived, reason: cause, alert: alertEvents, metric: metricEventTrouble, wayOut: wayOut,
		what: what + " New principals get in with the next listing instead of at once.",
	}
}

func deletionTroubles() []trouble {
	return []trouble{
		{
			condition: ConditionDeletionsProven, reason: "Denied", alert: alertUnproven, metric: metricUnproven,
			what: "Principals are missing from the listings, and IAM does not let us ask whether they are deleted, so their entries stay.",
			wayOut: "Allow `iam:GetUser` and `iam:GetRole`, as deploy/iam/policy.json does, or `iam:GetAccountAuthorizationDetails`, as policy-details.json does. " +
				"If neither can be, `--unproven-removal=24h` takes a long absence for a deletion.",
		},
		{
			condition: ConditionDeletionsProven, reason: "Failed", alert: alertUnproven, metric: metricUnproven,
			what:   "Principals are missing from the listings, and IAM does not answer whether they are deleted, so their entries stay.",
			wayOut: "It is asked again; `waiting` in the status has its answer for each.",
		},
		{
			condition: ConditionDeletionsProven, reason: "Backlog", alert: alertUnproven, metric: metricUnproven,
			what:   "More principals are deleted than IAM may be asked about, so their entries stay for longer.",
			wayOut: "Allow `iam:GetAccountAuthorizationDetails`, as deploy/iam/policy-details.json does, which tells of all at once.",
		},
		{
			condition: ConditionDeletionsProven, reason: "AccountNotListed", alert: alertUnproven,
			what:   "Entries of ours are those of an account that is not listed, so they stay whether or not their principals exist.",
			wayOut: "Have it listed, with `--account-role-arn`, or take the rules about it away.",
		},
		{
			condition: ConditionRemovalHeld, reason: "Breaker", alert: "AWSAuthRefresherRemovalsHeld", metric: "held_removals > 0",
			what: "An edit of the rules, or of what they select by, would take out more at once than `--max-removals` allows, everybody, or the last of a group. " +
				"These entries stay until they have been held for `--removal-hold`.",
			wayOut: "If it is a slip, put the rules right. If it is meant, the message has the command that approves it: " +
				"`kubectl -n kube-system annotate configmap aws-auth-refresher --overwrite aws-auth-refresher.io/approve-removal=DIGEST`.",
		},
		{
			condition: ConditionRecordKept, reason: "Lost", alert: "AWSAuthRefresherRecordLost",
			what: "The ConfigMap that says what is ours was deleted. Entries that it may have named stay for good, as somebody else's, until somebody looks at them: `unowned` in the status.",
			wayOut: "Put it back from a backup, or start the controller once with `--adopt`, and take out of `aws-auth` what nobody needs. If all of it is to stay, " +
				"the message has the command: `kubectl -n kube-system annotate configmap aws-auth-refresher --overwrite aws-auth-refresher.io/lost-record-seen=TIME`.",
		},
		{
			condition: ConditionEntriesClean, reason: "WrittenBack", alert: "AWSAuthEntriesWrittenBack", metric: "revived_total > 0",
			what:   "Somebody wrote back into `aws-auth` what had been taken out, as from a backup, and it was taken out again.",
			wayOut: "The message says who, the event `RevokedWrittenBack` what. Have them apply the present `aws-auth`; whoever is to have access gets it by a rule. It is said for an hour.",
		},
		{
			condition: ConditionEntriesClean, reason: "NoSuchPrincipal", alert: "AWSAuthOrphanedEntries", metric: "orphans > 0",
			what:   "`aws-auth` has entries of others for principals that do not exist. Whoever makes such a principal again gets in by them.",
			wayOut: "`orphans` in the status names them. Take them out.",
		},
	}
}
