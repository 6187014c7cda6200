package controllers

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// chooseTargets finds out which stores are targets, as the controller does.
func (c *LiveConfig) chooseTargets(ctx context.Context, d *PlanData) (entryChoice, error) {
	record, err := readEntries(d.State)
	if err != nil {
		return entryChoice{}, err
	}
	s := entrySettings{target: c.Target, cluster: c.EKSCluster}
	if c.EKS != nil {
		s.eks = c.EKS
	}
	choice := chooseTargets(ctx, s, record)
	choice.err = cmp.Or(choice.err, choice.doubt) // somebody is there to try again
	if choice.err == nil && c.Identity != "" && c.EKS != nil {
		choice.mode, choice.err = c.EKS.Mode(ctx)
	}
	// Without its name nothing is asked of a cluster, which is no mistake here.
	if choice.err != nil && c.EKS != nil {
		return entryChoice{}, choice.err
	}
	d.Entries = EntrySituation{Selected: choice.selected, Alone: choice.alone, Record: choice.record}
	d.Entries.View.Mode, d.Entries.View.Err = choice.mode, choice.err
	return choice, nil
}

// look lists the access entries where the controller would, and reads those of
// an identity.
func (c *LiveConfig) look(ctx context.Context, d *PlanData) error {
	e := &d.Entries
	if c.EKS == nil {
		return nil
	}
	if e.Selected || len(e.Record.Entries) > 0 {
		mode := e.View.Mode
		e.View = c.EKS.Look(ctx, e.Record, uniqueIDs(d.Principals))
		e.View.Mode = mode
		if mode.ReadsEntries() {
			if err := errors.Join(e.View.Err, e.View.LookErr); err != nil {
				return err
			}
		}
	}
	if c.Identity == "" || !e.View.Mode.ReadsEntries() {
		return nil
	}
	kind, canonical, err := whose(c.Identity)
	if err != nil {
		return err
	}
	d.Standing, err = c.EKS.Find(ctx, func(principalARN string) bool {
		a, err := arn.Parse(principalARN)
		return err == nil && a.Type == string(kind) && principalKey(kind, principalARN).arn == canonical
	})
	return err
}

// whose gives the kind of an identity's principal and the key of its entries.
func whose(identity string) (kind rules.Kind, key string, err error) {
	a, err := arn.Parse(identity)
	if err != nil {
		return "", "", err
	}
	if a.Type == arn.TypeAssumedRole {
		a = roleOf(a)
	}
	kind = rules.Kind(a.Type)
	return kind, principalKey(kind, a.String()).arn, nil
}

// roleOf is the role of a session, of which only the name is known.
func roleOf(session arn.ARN) arn.ARN {
	return arn.ARN{Partition: session.Partition, AccountID: session.AccountID, Type: arn.TypeRole, Path: "/", Name: session.Name}
}
