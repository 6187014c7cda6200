package accessentry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// How long an entry that EKS refuses waits: a principal that was made just now
// is known to it after some seconds.
const (
	shortestWait = 2 * time.Second
	longestWait  = 5 * time.Minute
)

// Result is what Apply did.
type Result struct {
	// Record is the plan's, brought up to date, and View the last one.
	Record Record
	View   View
	// Added, Changed, MadeAgain and Adopted now say what they should; Removed
	// are gone; NotOurs turned out to be somebody else's.
	Added, Changed, MadeAgain, Adopted []Entry
	Removed, NotOurs                   []Owned
	// Refused are entries that EKS did not take.
	Refused []Refused
	// Err is trouble with EKS that kept some from being done.
	Err error
	// Again: something was found out that the next pass can go on with at once.
	Again bool
}

// outcome is what became of one entry.
type outcome int

const (
	undone outcome = iota
	done
	same     // there was nothing to do
	gone     // it does not stand there
	notOurs  // it is somebody else's
	refused  // it was refused, for this entry
	declined // it cannot be adopted
)

// job is the change of one entry.
type job struct {
	entry    Entry
	owned    Owned // what is recorded when it is done, or to be removed
	recorded Owned // what is recorded until then, brought up to date
	do       func(context.Context, *job) (outcome, error)
	list     *[]Entry
	result   outcome
	err      error
	failed   bool // EKS failed it
}

// standing is an entry of ours as it stands there.
type standing struct {
	entry *types.AccessEntry
	seen  Seen
}

// Apply carries out the plan, each kind of change for itself. What it cannot do
// stays pending in the record.
func (c *Cluster) Apply(ctx context.Context, p Plan) Result {
	var res Result
	lanes := c.lanes(p, &res)
	c.again.Store(false)
	c.work(ctx, lanes)
	c.countFailures(lanes)
	var jobs []*job
	for _, l := range lanes {
		jobs = append(jobs, l.jobs...)
	}
	c.collect(&res, p, jobs)
	c.record = res.Record
	res.View, res.Again = c.snapshot(), c.again.Load()
	return res
}

// collect brings record and view up to date.
func (c *Cluster) collect(res *Result, p Plan, jobs []*job) {
	index := p.Record.index()
	for _, j := range jobs {
		key := j.entry.Key()
		switch j.result {
		case done, same:
			if j.list != nil && j.result == done {
				*j.list = append(*j.list, j.entry)
			}
			index[key] = j.owned
			c.view.Listed[key] = true
			delete(c.view.Waiting, key)
		case gone:
			res.Removed = append(res.Removed, j.owned)
			delete(index, key)
			c.drop(key)
			c.deleted[key] = c.Now()
		case notOurs, declined:
			if j.result == notOurs {
				res.NotOurs = append(res.NotOurs, j.owned)
			}
			delete(index, key)
			c.view.Listed[key] = true
		case refused:
			index[key] = j.recorded
			c.wait(key, j.err.Error())
			res.Refused = append(res.Refused, Refused{j.entry, j.err.Error()})
		case undone:
			index[key] = j.recorded
			if j.err != nil && res.Err == nil {
				res.Err = j.err
			}
		}
	}
	res.Record = Record{Cluster: p.Record.Cluster, Mode: p.Record.Mode}
	for _, o := range p.Record.Entries {
		if now, kept := index[o.Key()]; kept {
			res.Record.Entries = append(res.Record.Entries, now)
		}
	}
}

// drop notes that an entry does not stand there.
func (c *Cluster) drop(key string) {
	if c.view.Gone == nil {
		c.view.Gone = map[string]bool{}
	}
	c.view.Gone[key] = true
	delete(c.view.Listed, key)
	delete(c.view.Seen, key)
	delete(c.lookedAt, key)
}

// wait puts an entry off, each time for longer.
func (c *Cluster) wait(key, reason string) {
	d := min(max(2*c.waits[key], shortestWait), longestWait)
	if c.view.Waiting == nil {
		c.view.Waiting = map[string]Waiting{}
	}
	c.waits[key] = d
	c.view.Waiting[key] = Waiting{Until: c.Now().Add(d), Reason: reason}
}

func (c *Cluster) create(ctx context.Context, j *job) (outcome, error) {
	// From here on it may stand there, whether or not EKS answers.
	c.mu.Lock()
	delete(c.view.Gone, j.entry.Key())
	c.mu.Unlock()
	callCtx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	out, err := c.EKS.CreateAccessEntry(callCtx, &eks.CreateAccessEntryInput{
		ClusterName: &c.Name, PrincipalArn: &j.entry.ARN, Type: aws.String(standard),
		Username: &j.entry.Username, KubernetesGroups: groupsOf(j.entry), Tags: map[string]string{OwnerTag: c.Owner},
	})
	if _, taken := errors.AsType[*types.ResourceInUseException](err); taken {
		return c.update(ctx, j)
	}
	if err != nil {
		is, err := sortError(failed("create an access entry", err))
		if is == refused {
			c.mu.Lock()
			c.drop(j.entry.Key())
			c.mu.Unlock()
		}
		return is, err
	}
	if j.entry.Admin {
		if err := c.associate(callCtx, j.entry.ARN, j.entry.adminPolicy()); err != nil {
			return undone, err
		}
	}
	made := types.AccessEntry{CreatedAt: aws.Time(c.Now())}
	if out.AccessEntry != nil && out.AccessEntry.CreatedAt != nil {
		made = *out.AccessEntry
	}
	extra := j.recorded.Extra
	if is, err := c.putBack(ctx, j, made.AccessEntryArn, &j.recorded.Extra); is != done {
		return is, err
	}
	c.note(j.entry, Seen{Made: *made.CreatedAt, Extra: extra})
	return done, nil
}

// groupsOf is never nil: that would mean "as it was".
func groupsOf(e Entry) []string { return append([]string{}, e.Groups...) }

// note remembers what an entry says now.
func (c *Cluster) note(e Entry, s Seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Ours, s.Digest = true, e.Digest()
	c.saw(e.Key(), s)
	c.view.Changed = c.Now()
}

// sortError tells what is wrong with the entry from trouble with EKS.
func sortError(err error) (outcome, error) {
	if invalid, ok := errors.AsType[*types.InvalidParameterException](err); ok {
		if strings.Contains(strings.ToLower(aws.ToString(invalid.Message)), "principal") {
			return refused, errors.New("EKS does not know the principal yet; it is asked again soon")
		}
		return refused, fmt.Errorf("EKS refuses it: %s", aws.ToString(invalid.Message))
	}
	if _, full := errors.AsType[*types.ResourceLimitExceededException](err); full {
		return refused, fmt.Errorf("the cluster has no room for it: at most %d access entries", Limit)
	}
	return undone, err
}

// confirm looks at an entry that is about to be changed.
func (c *Cluster) confirm(ctx context.Context, j *job) (*types.AccessEntry, Seen, outcome, error) {
	entry, seen, err := c.describe(ctx, j.entry.ARN)
	switch {
	case errors.Is(err, errGone):
		return nil, seen, gone, nil
	case err != nil:
		return nil, seen, undone, err
	}
	c.mu.Lock()
	c.saw(j.entry.Key(), seen)
	c.mu.Unlock()
	if !seen.Ours {
		return entry, seen, notOurs, nil
	}
	return entry, seen, done, nil
}

func (c *Cluster) update(ctx context.Context, j *job) (outcome, error) {
	entry, seen, is, err := c.confirm(ctx, j)
	switch {
	case is == gone:
		return undone, nil // the next listing shows that it is to be made
	case is != done:
		return is, err
	case madeAgain(j.recorded, j.entry, seen):
		c.again.Store(true) // what others put on it is to be on record first
		return undone, nil
	}
	return c.correct(ctx, j, standing{entry, seen})
}

// correct makes an entry say what it should.
func (c *Cluster) correct(ctx context.Context, j *job, now standing) (outcome, error) {
	missing := j.recorded.owed(now.seen)
	j.recorded.Extra = missing
	if now.seen.Digest == j.entry.Digest() && missing.IsZero() {
		return same, nil
	}
	callCtx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	admin := now.seen.Digest != rules.ContentDigest(aws.ToString(now.entry.Username), now.entry.KubernetesGroups)
	if admin && !j.entry.Admin {
		// Rights go first, so that they are never more than both versions gave.
		if err := c.disassociate(callCtx, j.entry.ARN); err != nil {
			return undone, err
		}
	}
	if _, err := c.EKS.UpdateAccessEntry(callCtx, &eks.UpdateAccessEntryInput{
		ClusterName: &c.Name, PrincipalArn: &j.entry.ARN, Username: &j.entry.Username, KubernetesGroups: groupsOf(j.entry),
	}); err != nil {
		return sortError(failed("change an access entry", err))
	}
	if j.entry.Admin && !admin {
		if err := c.associate(callCtx, j.entry.ARN, j.entry.adminPolicy()); err != nil {
			return undone, err
		}
	}
	if is, err := c.putBack(ctx, j, now.entry.AccessEntryArn, &j.recorded.Extra); is != done {
		return is, err
	}
	c.note(j.entry, Seen{Made: now.seen.Made, Extra: now.seen.Extra.and(missing)})
	return done, nil
}

func (c *Cluster) remove(ctx context.Context, j *job) (outcome, error) {
	if _, _, is, err := c.confirm(ctx, j); is != done {
		return is, err
	}
	return c.erase(ctx, j)
}

// erase deletes an entry that was looked at just now.
func (c *Cluster) erase(ctx context.Context, j *job) (outcome, error) {
	callCtx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	_, err := c.EKS.DeleteAccessEntry(callCtx, &eks.DeleteAccessEntryInput{ClusterName: &c.Name, PrincipalArn: &j.entry.ARN})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !missing {
		return undone, failed("delete an access entry", err)
	}
	return gone, nil
}

// adopt puts our tag on somebody else's entry that says what ours would say.
func (c *Cluster) adopt(ctx context.Context, j *job) (outcome, error) {
	entry, seen, is, err := c.confirm(ctx, j)
	switch {
	case is == gone || is == undone:
		return undone, err
	case aws.ToString(entry.Type) != standard || seen.Digest != j.entry.Digest() || j.entry.Made.After(seen.Made):
		c.mu.Lock()
		c.waits[j.entry.Key()] = longestWait
		c.wait(j.entry.Key(), "somebody else's access entry says something else")
		c.mu.Unlock()
		return declined, nil
	}
	callCtx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	if _, err := c.EKS.TagResource(callCtx, &eks.TagResourceInput{
		ResourceArn: entry.AccessEntryArn, Tags: map[string]string{OwnerTag: c.Owner},
	}); err != nil {
		return undone, failed("tag an access entry", err)
	}
	c.note(j.entry, seen)
	return done, nil
}

func (c *Cluster) associate(ctx context.Context, principal string, p Policy) error {
	_, err := c.EKS.AssociateAccessPolicy(ctx, &eks.AssociateAccessPolicyInput{
		ClusterName: &c.Name, PrincipalArn: &principal, PolicyArn: &p.ARN, AccessScope: p.scope(),
	})
	if err != nil {
		return failed("associate an access policy", err)
	}
	return nil
}

func (c *Cluster) disassociate(ctx context.Context, principal string) error {
	_, err := c.EKS.DisassociateAccessPolicy(ctx, &eks.DisassociateAccessPolicyInput{
		ClusterName: &c.Name, PrincipalArn: &principal, PolicyArn: aws.String(policyARN(principal)),
	})
	if err != nil {
		return failed("disassociate an access policy", err)
	}
	return nil
}
