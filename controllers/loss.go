package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// LossSeenAnnotation on the rules ConfigMap says that a person has looked after
// what a lost record may have held: its value is the time of the loss, as the
// condition RecordKept tells it.
const LossSeenAnnotation = "aws-auth-refresher.io/lost-record-seen"

// ConditionRecordKept is false while there are entries in aws-auth that a lost
// record may have said to be ours.
const ConditionRecordKept = "RecordKept"

// statusRecordKey of the status ConfigMap's data says that there is a record, so
// that its loss can be told from its not being there yet.
const statusRecordKey = "record"

// lossSeen is the annotation's value.
func (rs ruleset) lossSeen() string {
	if rs.written == nil {
		return ""
	}
	return rs.written.Annotations[LossSeenAnnotation]
}

// recordLost reports whether there was a record, and is none: aws-auth has fields
// that we applied, or an earlier status speaks of one.
func (r *AWSAuthReconciler) recordLost(run *refresh) bool {
	return run.state == nil && (run.statusKnew || applied(run.awsAuth))
}

// statusKnows tells whether the status ConfigMap speaks of a record.
func (s store) statusKnows(ctx context.Context) (bool, error) {
	status, err := s.get(ctx, s.names.Status)
	return status != nil && status.Data[statusRecordKey] != "", err
}

// applied reports whether we have applied keys of aws-auth. What cannot be read
// is met again when aws-auth is written.
func applied(awsAuth *corev1.ConfigMap) bool {
	if awsAuth == nil {
		return false
	}
	mine, _, err := dataOwners(awsAuth.ManagedFields)
	return err == nil && (mine[rules.User.DataKey()] || mine[rules.Role.DataKey()])
}

// stillLost is the loss of an earlier record, as far as it matters still.
func (c *computation) stillLost() *rules.Loss {
	was := c.Record.Lost
	switch {
	case c.RecordLost:
		was = &rules.Loss{At: c.Now, Entries: c.maybeOurs(), AccessEntries: c.maybeOurAccessEntries()}
	case c.Rules == nil:
		return was
	case was == nil || c.LossSeen == lossTime(was):
		return nil
	}
	left := &rules.Loss{At: was.At}
	unreadable := c.Document.Problems()
	for _, o := range was.Entries {
		e, foreign := c.foreign[principalKey(o.Kind, o.ARN).arn]
		if c.Missing || unreadable[o.Kind.DataKey()] != nil || foreign && e.Kind == o.Kind && e.Digest() == o.Digest {
			left.Entries = append(left.Entries, o)
		}
	}
	for _, o := range was.AccessEntries {
		if c.Entries.View.Listed == nil || c.entries.foreign[arn.Fold(o.ARN)] {
			left.AccessEntries = append(left.AccessEntries, o)
		}
	}
	if len(left.Entries)+len(left.AccessEntries) == 0 {
		return nil
	}
	return left
}

// lossTime is how people are told when a record was lost.
func lossTime(l *rules.Loss) string { return l.At.UTC().Format(time.RFC3339) }

// maybeOurs are the entries of which nobody can tell whose they are: the rules
// could have made them, or their principal does not exist. Without rules it may
// be any.
func (c *computation) maybeOurs() []rules.Owned {
	var all []rules.Owned
	for _, e := range c.Document.Entries() {
		_, foreign := c.foreign[e.Key()]
		_, granted := c.granted[keyOf(e)]
		if !foreign || !granted && !c.couldMatch(e.Kind, e.ARN) && !c.orphan(e) {
			continue
		}
		if a, err := arn.Parse(e.ARN); err == nil && a.Type == string(e.Kind) {
			all = append(all, rules.Owned{Kind: e.Kind, ARN: e.ARN, Digest: e.Digest()})
		}
	}
	return all
}

func (c *computation) maybeOurAccessEntries() []rules.Owned {
	var all []rules.Owned
	for folded := range c.entries.foreign {
		a, err := arn.Parse(folded)
		if err != nil {
			continue
		}
		if kind := rules.Kind(a.Type); kind.DataKey() != "" && c.couldMatch(kind, folded) {
			all = append(all, rules.Owned{Kind: kind, ARN: folded})
		}
	}
	slices.SortFunc(all, func(a, b rules.Owned) int { return strings.Compare(a.ARN, b.ARN) })
	return all
}

func (c *computation) couldMatch(kind rules.Kind, principalARN string) bool {
	return c.Rules == nil || c.Rules.CouldMatch(kind, principalARN)
}

func sameLoss(a, b *rules.Loss) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.At.Equal(b.At) && len(a.Entries) == len(b.Entries) && len(a.AccessEntries) == len(b.AccessEntries)
}

// recordCondition tells whether what is ours is on record.
func (r *AWSAuthReconciler) recordCondition(run *refresh) metav1.Condition {
	c := metav1.Condition{Type: ConditionRecordKept, Status: metav1.ConditionTrue, Reason: "Kept"}
	lost := run.record.Lost
	if run.out.Result.Document == nil && lost == nil {
		return c
	}
	switch {
	case lost != nil:
		c.Message = fmt.Sprintf("the ConfigMap %s, which says what is ours, was missing at %s; %d entries that it may have named stay until "+
			"somebody looks at them, under unowned in the status. Put the ConfigMap back from a backup, or start the refresher once with --adopt, "+
			"which takes over what the rules grant, and take out of aws-auth what nobody needs. If all of it is to stay: "+
			"kubectl -n %s annotate configmap %s --overwrite %s=%s", r.Names.State, lossTime(lost),
			len(lost.Entries)+len(lost.AccessEntries), run.namespace, run.rulesName, LossSeenAnnotation, lossTime(lost))
	case r.recordLost(run):
		c.Message = fmt.Sprintf("the ConfigMap %s, which says what is ours, is missing; put it back from a backup. Without it our entries count "+
			"as somebody else's from the next accepted rules on", r.Names.State)
	default:
		return c
	}
	c.Status, c.Reason = metav1.ConditionFalse, "Lost"
	return c
}

// unowned are the entries that a lost record may have named.
func (run *refresh) unowned() []PrincipalStatus {
	if run.record.Lost == nil {
		return nil
	}
	var list []PrincipalStatus
	for _, o := range run.record.Lost.Entries {
		list = append(list, PrincipalStatus{o.ARN, "whether this entry of aws-auth is ours is not known; " + run.adoptable(o)})
	}
	for _, o := range run.record.Lost.AccessEntries {
		list = append(list, PrincipalStatus{o.ARN, "whether this access entry is ours is not known; " + run.adoptable(o)})
	}
	return list
}

// adoptable says what can be done about an entry that may be ours.
func (run *refresh) adoptable(o rules.Owned) string {
	key := principalKey(o.Kind, o.ARN)
	for _, c := range run.out.Conflicts {
		if grantKey(c.Grant) == key && (c.Same || c.Elsewhere) {
			return "the rules grant it: --adopt takes it over"
		}
	}
	return "no rule grants what it says: take it out if nobody answers for it"
}

// Revived is an entry of ours that had been taken out and stands there again.
type Revived struct {
	Entry awsauth.Entry
	// Out is when it was found to be out.
	Out time.Time
}

// findRevived finds the entries that somebody has written back.
func (c *computation) findRevived() {
	for _, e := range c.ours {
		if o, ok := c.recorded.find(e); ok && !o.Forget.IsZero() && !c.matchesGrant(e) {
			c.out.Revived = append(c.out.Revived, Revived{e, o.Out})
		}
	}
}

// findOrphans finds somebody else's entries whose principal does not exist, as
// far as listings tell.
func (c *computation) findOrphans() {
	for _, e := range c.Document.Entries() {
		if other, foreign := c.foreign[e.Key()]; foreign && other.Kind == e.Kind && c.orphan(e) {
			c.out.Orphans = append(c.out.Orphans, e)
		}
	}
}

// orphan tells whether the last listing would have an entry's principal if it
// existed, and has not.
func (c *computation) orphan(e awsauth.Entry) bool {
	a, err := arn.Parse(e.ARN)
	if c.Covers == nil || err != nil || a.Type != string(e.Kind) || !c.Covers(a) {
		return false
	}
	if c.entryKeys == nil {
		c.entryKeys = make(map[entryKey]bool, len(c.Principals))
		for _, p := range c.Principals {
			c.entryKeys[principalKey(p.Kind, p.ARN)] = true
		}
	}
	return !c.entryKeys[keyOf(e)]
}
