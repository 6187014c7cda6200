package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reasonClockDiffers is why the refresher is Degraded while it cannot tell how
// old principals are.
const reasonClockDiffers = "ClockDiffers"

// degradedCondition tells whether something needs a person: one of these
// conditions is false for another reason than a pause, or our clock is wrong.
func (r *AWSAuthReconciler) degradedCondition(run *refresh, conditions []metav1.Condition) metav1.Condition {
	d := metav1.Condition{Type: ConditionDegraded, Status: metav1.ConditionTrue}
	for _, c := range conditions {
		if c.Status == metav1.ConditionFalse && c.Reason != reasonPaused {
			d.Reason, d.Message = c.Type+c.Reason, c.Message
			return d
		}
	}
	if run.rules.set != nil && run.rules.set.AppliesMaxAge() && r.known.clock(run.now).Doubted {
		d.Reason = reasonClockDiffers
		d.Message = "our clock is more than 5 minutes from AWS's, so nobody is taken out for being older than maxAge; set the clock of the node right"
		return d
	}
	d.Status, d.Reason = metav1.ConditionFalse, "AsExpected"
	return d
}
