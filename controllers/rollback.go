package controllers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Rollback is a way back to an earlier version. It describes; nothing is done
// yet.
type Rollback struct {
	To AWSAuthVersion
	// Everything: the version comes back as a whole, byte for byte, what others
	// have written since is lost. Otherwise only our entries do.
	Everything bool
	// Before and After are the data of aws-auth; Missing: there is none.
	Before, After map[string]string
	Missing       bool
	// GivenWay are entries of ours that do not come back, because somebody else
	// has one for the same ARN.
	GivenWay []Conflict
	// LeftOut are those that there is no room for.
	LeftOut []awsauth.Entry
	// Elsewhere says which access entries of ours there are, which a rollback
	// does not change; empty: none.
	Elsewhere string

	binaryBefore map[string][]byte
	awsAuth      *corev1.ConfigMap // nil: missing
	state        *corev1.ConfigMap // nil: none
	present      AWSAuthVersion
	out          Outcome // what ours come to
	at           time.Time
}

// Changes tells whether aws-auth becomes another one.
func (b *Rollback) Changes() bool {
	return b.Missing || !maps.Equal(b.Before, b.After) ||
		b.Everything && !maps.EqualFunc(b.binaryBefore, b.To.BinaryData, bytes.Equal)
}

// ErrChanged says that aws-auth is no longer the one that a Rollback was
// planned for.
var ErrChanged = errors.New("aws-auth has changed since the difference was shown")

// PlanRollback finds the way back to the version with this ID; 0 is the newest
// that differs from the present one.
func (o *Operator) PlanRollback(ctx context.Context, id int, everything bool) (*Rollback, error) {
	all, err := o.Versions(ctx)
	if err != nil {
		return nil, err
	}
	b := &Rollback{Everything: everything}
	var record rules.Record
	if b.awsAuth, err = o.store().get(ctx, o.Names.AWSAuth); err != nil {
		return nil, err
	}
	if b.state, record, err = o.store().readRecord(ctx); err != nil {
		return nil, err
	}
	b.Missing = b.awsAuth == nil
	if !b.Missing {
		b.present, b.binaryBefore = o.present(b.awsAuth, record), b.awsAuth.BinaryData
	}
	if b.To, err = b.choose(all, id); err != nil {
		return nil, err
	}
	if err := b.findElsewhere(); err != nil {
		return nil, err
	}
	return b, o.plan(b, record)
}

// findElsewhere looks for access entries of ours. Where they have taken the
// place of those in aws-auth, bringing these back is no way back.
func (b *Rollback) findElsewhere() error {
	record, err := readEntries(b.state)
	if err != nil {
		b.Elsewhere = fmt.Sprintf("whether there are access entries of ours is not known: %v", err)
		return nil
	}
	n := len(record.Entries)
	if n == 0 {
		return nil
	}
	const mend = "they follow the rules: bring the former rules back"
	if !b.Everything && len(b.present.own()) == 0 && b.allIn(record) {
		return fmt.Errorf("nothing was changed: our entries are no longer in aws-auth, but %d access entries of the cluster %s, and a rollback "+
			"does not change those; %s, with kubectl apply", n, record.Cluster, mend)
	}
	b.Elsewhere = fmt.Sprintf("%d access entries of ours in the cluster %s stay as they are, and of whoever has one EKS does not read aws-auth; "+
		"%s, and resume", n, record.Cluster, mend)
	return nil
}

// allIn tells whether whoever would come back has an access entry that is there
// to stay.
func (b *Rollback) allIn(record accessentry.Record) bool {
	stays := map[string]bool{}
	for _, o := range record.Entries {
		stays[o.Key()] = !o.Pending && o.HeldSince.IsZero()
	}
	return !slices.ContainsFunc(b.To.own(), func(g rules.Grant) bool { return !stays[arn.Fold(g.PrincipalARN)] })
}

func (b *Rollback) choose(all []AWSAuthVersion, id int) (AWSAuthVersion, error) {
	for _, v := range slices.Backward(all) {
		different := !sameOwn(v, b.present)
		if b.Everything {
			different = b.Missing || !maps.Equal(v.Data, b.present.Data) || !maps.EqualFunc(v.BinaryData, b.present.BinaryData, bytes.Equal)
		}
		if v.ID != 0 && (v.ID == id || id == 0 && different) {
			return v, nil
		}
	}
	if id != 0 {
		return AWSAuthVersion{}, fmt.Errorf("version %d: %w; aws-auth-refresher history lists those that are kept", id, ErrNoVersion)
	}
	return AWSAuthVersion{}, fmt.Errorf("%w: none that is kept differs from the present one", ErrNoVersion)
}

// plan computes what aws-auth and the record come to.
func (o *Operator) plan(b *Rollback, record rules.Record) error {
	if b.Missing && !b.Everything {
		return fmt.Errorf("there is no ConfigMap %s; with --everything it is made again with everybody's entries", o.Names.AWSAuth)
	}
	b.at = o.Clock.Now()
	s := Situation{Now: b.at, Record: record, Missing: b.Missing}
	s.Record.Seen = true
	var reader awsauth.Reader
	s.Document = reader.Read(b.present.Data, 0)
	if !b.Missing {
		b.Before = b.present.Data
		s.Document = reader.Read(b.present.Data, binaryBytes(b.awsAuth))
	}
	b.out = restore(s, b.To.own(), b.Everything)
	if b.Everything {
		b.After = b.To.Data
		return nil
	}
	if len(b.out.Result.Problems) > 0 {
		return fmt.Errorf("aws-auth %s\nnothing was changed; with --everything the whole version comes back, others' entries included", b.out.Result.ProblemText())
	}
	if err := b.out.readable(); err != nil {
		return err
	}
	b.GivenWay, b.LeftOut = b.out.Conflicts, b.out.Result.Overflow
	b.After = maps.Clone(b.Before)
	if b.After == nil {
		b.After = map[string]string{}
	}
	values := b.out.Result.Document.Values()
	for _, kind := range rules.Kinds() {
		delete(b.After, kind.DataKey())
	}
	maps.Copy(b.After, values)
	return nil
}

// restore computes the document with just these entries of ours, and the record
// to store before it is written. With everything, only the record counts.
func restore(s Situation, grants []rules.Grant, everything bool) Outcome {
	c := computation{Situation: s, recorded: newRecorded(s.Record, s.Now)}
	c.out.Evaluation.Grants = grants
	c.sortEntries()
	want := grants
	edit := awsauth.Edit{Owned: func(awsauth.Entry) bool { return false }, Originals: s.Record.Originals}
	if !everything {
		want = c.wanted()
		edit.Owned, edit.Want = c.owned, entriesOf(want)
	}
	c.out.Result = s.Document.Merge(edit)
	c.out.Record = c.record(want)
	c.out.RecordChanged = news(s.Record, c.out.Record, s.Now)
	c.out.before = c.ownBefore()
	c.compare()
	return c.out
}

// Roll does what was planned: it pauses the refresher, which would otherwise
// bring back what the rules say, stores the record, keeps the present version,
// and writes aws-auth. Only our entries are planned anew where somebody was
// faster; nobody loses access by that who would not have by b, and a whole
// version is not forced over what nobody has seen: then the error is ErrChanged. All errors but that of the pause itself say that the
// refresher is paused: it stays so, because it might have been before.
func (o *Operator) Roll(ctx context.Context, b *Rollback) error {
	if err := o.Pause(ctx, fmt.Sprintf("rollback to version %d", b.To.ID)); err != nil {
		return err
	}
	if err := o.rollPaused(ctx, b); err != nil {
		return fmt.Errorf("%w; the refresher is paused now", err)
	}
	return nil
}

func (o *Operator) rollPaused(ctx context.Context, b *Rollback) error {
	if err := o.rememberPause(ctx); err != nil {
		return err
	}
	shown := *b
	for range writeAttempts {
		next, err := o.again(ctx, b)
		if err != nil {
			return err
		}
		if next.takesMore(&shown) || b.Everything && (next.Missing != shown.Missing || !maps.Equal(next.Before, shown.Before)) {
			return ErrChanged
		}
		*b = *next
		if err = o.write(ctx, b); err == nil {
			if err := o.settle(ctx, b); err != nil {
				return fmt.Errorf("aws-auth was written; but bringing the record in step: %w", err)
			}
			return nil
		}
		if !errors.Is(err, errStale) {
			return err
		}
	}
	return fmt.Errorf("%s is being written all the time; nothing was changed", o.Names.AWSAuth)
}

// again plans with what stands there now, for the version that was chosen.
func (o *Operator) again(ctx context.Context, b *Rollback) (*Rollback, error) {
	next := &Rollback{To: b.To, Everything: b.Everything}
	var record rules.Record
	var err error
	// aws-auth before the record: what is written since then makes the write
	// fail.
	if next.awsAuth, err = o.store().get(ctx, o.Names.AWSAuth); err != nil {
		return nil, err
	}
	if next.state, record, err = o.store().readRecord(ctx); err != nil {
		return nil, err
	}
	next.Missing = next.awsAuth == nil
	if !next.Missing {
		next.present, next.binaryBefore = o.present(next.awsAuth, record), next.awsAuth.BinaryData
	}
	return next, o.plan(next, record)
}

// write stores the record, then keeps the present version, then writes
// aws-auth.
func (o *Operator) write(ctx context.Context, b *Rollback) error {
	s := o.store()
	began := o.Clock.Now()
	if b.out.RecordChanged {
		if err := s.rewriteRecord(ctx, b.state, b.out.Record); err != nil {
			return err
		}
	}
	if !b.Changes() {
		return nil
	}
	if !b.Missing {
		v := history.Version{At: o.Clock.Now(), Data: b.Before, BinaryData: b.binaryBefore, Ours: b.out.before}
		// How many are kept is the refresher's to say, with its next write.
		if err := s.keepVersion(ctx, v, math.MaxInt); err != nil {
			return fmt.Errorf("nothing was changed, because the present aws-auth could not be kept: %w", err)
		}
	}
	if o.Clock.Since(began) > writeWithin {
		return fmt.Errorf("%w: the process stood still since its record was stored", errStale)
	}
	if !b.Everything {
		_, err := s.applyAWSAuth(ctx, b.awsAuth, b.out.Result.Document.Values())
		return err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: o.Names.AWSAuth}}
	if !b.Missing {
		cm = b.awsAuth.DeepCopy()
	}
	cm.Data, cm.BinaryData = b.To.Data, b.To.BinaryData
	// A plain update, as by hand: the bytes of others must not become ours.
	_, err := s.put(ctx, !b.Missing, cm)
	return err
}

// settle brings the record in step with what stands in aws-auth now: entries
// that are out of it count as ours for a while only, and of those that stand
// there only the version's own do.
func (o *Operator) settle(ctx context.Context, b *Rollback) error {
	for range writeAttempts {
		now, err := o.again(ctx, b)
		if err != nil || now.Missing {
			return err
		}
		record := now.out.Record
		if b.Everything && maps.Equal(now.Before, b.To.Data) {
			own := map[ownedKey]bool{}
			for _, g := range b.To.own() {
				owned := ownedBy(g)
				own[ownedKey{owned.Kind, arn.Fold(owned.ARN), owned.Digest}] = true
			}
			record.Entries = slices.DeleteFunc(slices.Clone(record.Entries), func(e rules.Owned) bool {
				return e.Forget.IsZero() && !own[ownedKey{e.Kind, arn.Fold(e.ARN), e.Digest}]
			})
		}
		if err = o.store().rewriteRecord(ctx, now.state, record); !errors.Is(err, errStale) {
			return err
		}
	}
	return nil // another writer of the record has brought it in step
}
