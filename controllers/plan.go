package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// PlanData is what a plan is made from: manifests and listings, from files or
// live.
type PlanData struct {
	// Rules is required; AWSAuth and State may be nil.
	Rules, AWSAuth, State *corev1.ConfigMap
	// Principals are those of the kinds in Listed, all of them.
	Principals []rules.Principal
	Listed     []rules.Kind
	// Accounts are whose principals were listed; none if only they tell.
	Accounts []string
	// Unlisted are frozen: nothing is concluded from who is missing there.
	Unlisted []Unlisted
	Options  rules.Options
	Removal  removal.Settings
	Adopt    bool
	Now      time.Time
	// Entries is about access entries; the zero value: there is nothing to do
	// with them. Standing are those of one identity, for Explain.
	Entries  EntrySituation
	Standing []accessentry.Existing
}

// ruleOptions say how the rules are read.
func (d *PlanData) ruleOptions() rules.Options {
	options := d.Options
	options.AccessEntries = d.Entries.Selected
	return options
}

// NewPlan computes what the controller would come to with this data, by the
// very code that it runs. Principals that are missing from the listings count
// as confirmed to be gone, which takes the controller a second look, and what
// stands in a new target as old enough to count. Rules that are refused are a
// *rules.Problems.
func NewPlan(ctx context.Context, d PlanData) (Outcome, error) {
	if len(d.Rules.BinaryData) > 0 {
		return Outcome{}, errRulesBinary
	}
	set, err := rules.Parse(d.Rules.Data, d.ruleOptions())
	if err != nil {
		return Outcome{}, err
	}
	s := Situation{
		Now: d.Now, Rules: set, Principals: d.Principals, Ledger: &removal.Ledger{}, Removal: d.Removal, Adopt: d.Adopt,
		Entries: d.Entries,
	}
	s.Entries.View.Changed, s.Entries.InDocumentSince = time.Time{}, d.Now.Add(-accessentry.SettleTime)
	if d.State != nil {
		if s.Record, err = rules.DecodeRecord(d.State.BinaryData[recordKey]); err != nil {
			return Outcome{}, fmt.Errorf("state ConfigMap %s, binaryData %s: %w", d.State.Name, recordKey, err)
		}
	}
	cache := rulesCache{options: d.ruleOptions()}
	rs := ruleset{set: set, inForce: nonNil(d.Rules.Data)}
	s.Record.Former = cache.formers(s.Record, rs)
	judged := judgeApproval(d.Rules.Annotations[ApproveAnnotation], rules.DataDigest(d.Rules.Data), s.Record, d.Now)
	s.Approved, s.Record.Spent, s.Record.Approval = judged.good, judged.spent, judged.Approval
	s.Accounts = d.accounts()
	var reader awsauth.Reader
	s.Missing = d.AWSAuth == nil
	if s.Missing {
		s.Document = reader.Read(nil, 0)
	} else {
		s.Document = reader.Read(d.AWSAuth.Data, binaryBytes(d.AWSAuth))
	}
	// The ledger takes evidence only about those whom it was asked about.
	if _, err := Compute(ctx, s); err != nil {
		return Outcome{}, err
	}
	confirmGone(s.Ledger, d, recordedARNs(s))
	out, err := Compute(ctx, s)
	if err != nil {
		return Outcome{}, err
	}
	if err = out.recordable(d.Rules); errors.Is(err, errRecordTooLarge) {
		s.RecordFull = true
		if out, err = Compute(ctx, s); err == nil {
			err = out.recordable(d.Rules)
		}
	}
	if errors.Is(err, errRecordTooLarge) || errors.Is(err, rules.ErrUnfinished) {
		return Outcome{}, err
	}
	out.Paused, out.approval = isPaused(d.Rules), judged
	return out, nil
}

// recordable tells whether the record can be stored.
func (o *Outcome) recordable(written *corev1.ConfigMap) error {
	record := o.Record
	record.Rules = written.Data
	_, err := encodeRecords(record, o.Entries.Record)
	return err
}

// accounts are those that were listed, by their numbers or their principals.
func (d PlanData) accounts() []string {
	accounts := slices.Clone(d.Accounts)
	for _, p := range d.Principals {
		accounts = append(accounts, p.AccountID)
	}
	slices.Sort(accounts)
	return slices.Compact(accounts)
}

// confirmGone gives the ledger the evidence that the controller would gather
// in time.
func confirmGone(ledger *removal.Ledger, d PlanData, recorded map[string]rules.Kind) {
	there := map[string]bool{}
	for _, p := range d.Principals {
		there[arn.Fold(p.ARN)] = true
	}
	for _, account := range d.accounts() {
		for _, ago := range []time.Duration{2 * time.Minute, time.Minute} {
			for _, kind := range d.Listed {
				if d.unlisted(kind, account) != nil {
					continue
				}
				ledger.Observe(removal.Observation{
					AccountID: account, Kind: kind, PathPrefix: "/", Complete: true, Begun: d.Now.Add(-ago),
					Has: func(foldedARN string) bool { return there[foldedARN] },
				})
			}
		}
	}
	for principal, kind := range recorded {
		if !there[arn.Fold(principal)] && slices.Contains(d.Listed, kind) && d.unlisted(kind, accountOf(principal)) == nil {
			ledger.Confirm(principal, d.Now.Add(-time.Second), false)
		}
	}
}

// recordedARNs are the principals of all entries on record.
func recordedARNs(s Situation) map[string]rules.Kind {
	recorded := map[string]rules.Kind{}
	for _, o := range s.Record.Entries {
		recorded[o.ARN] = o.Kind
	}
	for _, o := range s.Entries.Record.Entries {
		recorded[o.ARN] = o.Kind
	}
	return recorded
}
