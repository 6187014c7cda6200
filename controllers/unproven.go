package controllers

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

// ConditionDeletionsProven is true while whoever is missing from the listings of
// IAM is soon known to be gone, and leaves.
const ConditionDeletionsProven = "DeletionsProven"

// unprovenAfter is for how long somebody must be missing, and not be known to be
// gone, until people hear of it.
const unprovenAfter = 3 * time.Minute

// unproven is what is found out about those who are missing.
type unproven struct {
	unasked int // for want of time, or of calls that may be made
}

// stuck counts those who have been missing for long: those that IAM does not let
// us ask for, those that it does not answer about, and those whose turn has not
// come.
func (r *AWSAuthReconciler) stuck(run *refresh) (denied, failed, waiting int) {
	now := r.Clock.Now()
	for _, c := range run.out.Removal.Verify {
		at, known := run.out.Removal.Missing[arn.Fold(c.ARN)]
		switch err := r.unprovenErrs[c.ARN]; {
		case !known || now.Sub(at) < unprovenAfter:
		case err == nil:
			waiting++
		case principals.Denied(err):
			denied++
		default:
			failed++
		}
	}
	return denied, failed, waiting
}

// provenCondition tells whether deletions are found out about.
func (r *AWSAuthReconciler) provenCondition(run *refresh) metav1.Condition {
	c := metav1.Condition{Type: ConditionDeletionsProven, Status: metav1.ConditionTrue, Reason: "Proven"}
	if run.out.Result.Document == nil {
		return c
	}
	denied, failed, waiting := r.stuck(run)
	account := run.unlistedAccount()
	switch {
	case denied > 0:
		c.Reason, c.Message = "Denied", "IAM does not let us ask whether those exist whom its listings lack, so their entries stay, under waiting in the "+
			"status; allow iam:GetUser and iam:GetRole, as deploy/iam/policy.json does, or iam:GetAccountAuthorizationDetails, as "+
			"policy-details.json does. If neither can be: --unproven-removal=24h takes a long absence for a deletion"
	case failed > 0:
		c.Reason, c.Message = "Failed", "IAM does not answer whether those exist whom its listings lack, so their entries stay, under waiting in the "+
			"status, with the answer; it is asked again"
	case waiting > 0:
		c.Reason, c.Message = "Backlog", "more principals are deleted than can be asked for, so their entries stay for longer, under waiting in the "+
			"status; allow iam:GetAccountAuthorizationDetails, as deploy/iam/policy-details.json does, which tells of all at once"
	case account != "":
		c.Reason, c.Message = "AccountNotListed", fmt.Sprintf("entries of the account %s stay whether or not their principals exist, because it is not "+
			"listed; give a role in it with --account-role-arn, or take the rules about it away", account)
	default:
		return c
	}
	c.Status = metav1.ConditionFalse
	return c
}

// unlistedAccount is the first account with entries of ours that is not listed at
// all, as far as the accounts are known.
func (run *refresh) unlistedAccount() string {
	if len(run.accounts) == 0 || slices.Contains(run.accounts, "") {
		return ""
	}
	for _, k := range run.out.Removal.Keep {
		if k.Grantable && !k.Listed && !slices.Contains(run.accounts, k.AccountID) {
			return k.AccountID
		}
	}
	return ""
}

// verifyReason says why a principal that two listings lacked is still there.
func (r *AWSAuthReconciler) verifyReason(principal string) string {
	if err := r.unprovenErrs[principal]; err != nil {
		return "two listings lacked it, but IAM could not be asked for it: " + clip(err.Error())
	}
	return "two listings lacked it; it is its turn to be asked for soon"
}
