package controllers

import (
	"cmp"
	"context"
	"fmt"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// modeReader gives the authentication mode, with an error the last known one.
type modeReader interface {
	Mode(ctx context.Context) (accessentry.Mode, error)
}

// entrySettings are what people say about access entries.
type entrySettings struct {
	target  Target
	cluster string
	eks     modeReader // nil without a cluster's name
}

// entryChoice is which stores are targets.
type entryChoice struct {
	record          accessentry.Record
	mode            accessentry.Mode // empty: not known
	made            bool             // else what follows says nothing
	selected, alone bool             // as in EntrySituation
	err             error            // why nothing can be done about access entries
	doubt           error            // why the mode is only what it was when last seen
}

// chooseTargets finds out which stores are targets. It asks EKS only where
// access entries matter.
func chooseTargets(ctx context.Context, s entrySettings, record accessentry.Record) entryChoice {
	c := entryChoice{record: record}
	if s.eks == nil {
		if n := len(record.Entries); n > 0 {
			c.err = fmt.Errorf("%d access entries of ours are left in the cluster %s; give --cluster-name, so that they can be removed", n, record.Cluster)
		}
		return c
	}
	if record.Cluster != s.cluster {
		if len(record.Entries) > 0 {
			c.err = fmt.Errorf("the access entries on record are those of the cluster %s, and --cluster-name is %s; nothing is done about them",
				record.Cluster, s.cluster)
			return c
		}
		c.record = accessentry.Record{Cluster: s.cluster}
	}
	c.mode = c.record.Mode
	if s.target != TargetConfigMap || len(c.record.Entries) > 0 {
		c.askMode(ctx, s.eks)
	}
	switch s.target {
	case TargetAccessEntries:
		c.selected, c.alone = true, true
	case TargetBoth:
		c.selected = true
	case TargetAuto:
		c.selected, c.alone = c.mode == accessentry.ModeAPI, !c.mode.ReadsConfigMap()
	}
	c.made = true
	return c
}

// askMode has the mode on record if it is known: who gets in where must not
// depend on EKS telling it again. From CONFIG_MAP by API_AND_CONFIG_MAP to API it
// only ever goes one way, so that one that was seen reads access entries does so
// still.
func (c *entryChoice) askMode(ctx context.Context, eks modeReader) {
	mode, err := eks.Mode(ctx)
	c.mode = cmp.Or(mode, c.mode)
	switch {
	case c.mode == "":
		c.err = err
	case err != nil:
		c.doubt = err
	}
}
