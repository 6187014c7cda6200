package accessentry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// OwnerTag is the key of the tag that every entry of ours carries.
const OwnerTag = "aws-auth-refresher.io/owner"

const standard = "STANDARD"

const (
	// modeEvery is how old the known authentication mode may be: from one refresh
	// to the next it may become API, and then aws-auth lets nobody in. That mode
	// is for good, unless the cluster is made anew.
	modeEvery    = 900 * time.Millisecond
	apiModeEvery = 5 * time.Minute
	// modeRetry is how long after an error it is asked for again.
	modeRetry = 10 * time.Second
	// lookEvery is how old a close look at an entry may be, looksAtOnce how many
	// there are in one Look: 3,000 entries take some 75 minutes at 15 seconds.
	lookEvery   = 10 * time.Minute
	looksAtOnce = 10
)

// Config configures a Cluster.
type Config struct {
	EKS *eks.Client
	// Name is the cluster's name in EKS.
	Name string
	// Owner is the value of OwnerTag: what tells this installation from others.
	Owner string
	// Now is the clock.
	Now func() time.Time
	// CallTimeout bounds each change with its retries, default 10s, ReadTimeout
	// each question, default 5s.
	CallTimeout, ReadTimeout time.Duration
	// AtOnce is how many calls may be under way at the same time; default 8.
	AtOnce int
}

// Cluster is the access entries of one cluster. It is not for concurrent use.
type Cluster struct {
	Config
	view     View
	record   Record               // as of the last Look, or as Apply left it
	modeAt   time.Time            // when it was asked for
	modeErr  error                // what came of that
	lookedAt map[string]time.Time // by folded ARN
	waits    map[string]time.Duration
	deleted  map[string]time.Time // by us, lately
	failures map[string]int       // of Apply, one after the other
	silences map[question]silence

	again atomic.Bool // Apply found out something to go on with

	mu sync.Mutex // guards view, lookedAt, waits and silences within one call
}

// New returns a Cluster that has not asked yet.
func New(c Config) *Cluster {
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 5 * time.Second
	}
	if c.AtOnce == 0 {
		c.AtOnce = 8
	}
	return &Cluster{
		Config: c, lookedAt: map[string]time.Time{}, waits: map[string]time.Duration{}, deleted: map[string]time.Time{},
		silences: map[question]silence{},
	}
}

// snapshot is what is known, as of the last Look and what Apply did since.
func (c *Cluster) snapshot() View {
	v := c.view
	v.Listed, v.Seen, v.Waiting, v.Gone = maps.Clone(v.Listed), maps.Clone(v.Seen), maps.Clone(v.Waiting), maps.Clone(v.Gone)
	return v
}

// Mode gives the authentication mode, asking for it once a refresh, no more than
// about once a second, and every 5 minutes where it is API. On an error it gives
// the mode that was seen last, empty for none. It repeats the error for 10
// seconds, and for a minute if EKS did not answer in time.
func (c *Cluster) Mode(ctx context.Context) (Mode, error) {
	every := modeEvery
	switch {
	case errors.Is(c.modeErr, context.DeadlineExceeded):
		every = silenceTime
	case c.modeErr != nil:
		every = modeRetry
	case c.view.Mode == ModeAPI:
		every = apiModeEvery
	}
	if age := c.Now().Sub(c.modeAt); !c.modeAt.IsZero() && age >= 0 && age < every {
		return c.view.Mode, c.modeErr
	}
	mode, err := c.askMode(ctx)
	if c.modeAt, c.modeErr = c.Now(), err; err == nil {
		c.view.Mode = mode
	}
	return c.view.Mode, err
}

func (c *Cluster) askMode(ctx context.Context) (Mode, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	out, err := c.EKS.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &c.Name})
	if err != nil {
		return "", failed("ask EKS for the authentication mode", err)
	}
	if out.Cluster == nil || out.Cluster.AccessConfig == nil || out.Cluster.AccessConfig.AuthenticationMode == "" {
		return ModeConfigMap, nil // a cluster from before there were access entries
	}
	return Mode(out.Cluster.AccessConfig.AuthenticationMode), nil
}

// Look lists the entries and looks closely at a few of ours: those whose
// principal has another unique id by now, then those longest unseen. ids are the
// unique ids of the principals as listed, by folded ARN, nil for not known. The
// mode is the one that Mode gave last, else the recorded one. What goes wrong is
// in the View.
func (c *Cluster) Look(ctx context.Context, r Record, ids map[string]string) View {
	mode := cmp.Or(c.view.Mode, r.Mode)
	var err error
	if mode == "" {
		mode, err = c.Mode(ctx)
	}
	if err == nil && !mode.ReadsEntries() {
		err = fmt.Errorf("the cluster's authentication mode is %s, in which it reads no access entries; turn them on, for good, with: "+
			"aws eks update-cluster-config --name %s --access-config authenticationMode=%s", mode, c.Name, ModeAPIConfigMap)
	}
	c.view.Mode = mode
	var listed []string
	if err == nil {
		listed, err = c.list(ctx)
	}
	if c.view.Err = err; err == nil {
		c.view.Listed = make(map[string]bool, len(listed))
		for _, principal := range listed {
			c.view.Listed[arn.Fold(principal)] = true
		}
		c.disregard()
		if now := c.Now(); c.view.Changed.IsZero() || c.view.Changed.After(now) {
			c.view.Changed = now
		}
		c.forget(r)
		c.lookClosely(ctx, r, ids)
	}
	return c.snapshot()
}

// list gives the principals' ARNs as EKS has them.
func (c *Cluster) list(ctx context.Context) ([]string, error) {
	if err := c.silent(forList); err != nil {
		return nil, err
	}
	var listed []string
	tokens := map[string]bool{}
	in := &eks.ListAccessEntriesInput{ClusterName: &c.Name, MaxResults: aws.Int32(100)}
	for {
		page, err := c.page(ctx, in)
		if err != nil {
			err = failed("list access entries", err)
			c.noteSilence(ctx, forList, err)
			return nil, err
		}
		listed = append(listed, page.AccessEntries...)
		token := aws.ToString(page.NextToken)
		switch {
		case token == "":
			return listed, nil
		case tokens[token]:
			return nil, errors.New("list access entries: EKS gives the same page again and again")
		}
		tokens[token] = true
		in.NextToken = &token
	}
}

func (c *Cluster) page(ctx context.Context, in *eks.ListAccessEntriesInput) (*eks.ListAccessEntriesOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	return c.EKS.ListAccessEntries(ctx, in)
}

// disregard takes from a listing what we have deleted just now: a listing that
// lags would show it as somebody else's.
func (c *Cluster) disregard() {
	now := c.Now()
	for key, at := range c.deleted {
		if age := now.Sub(at); age < 0 || age >= SettleTime {
			delete(c.deleted, key)
			continue
		}
		delete(c.view.Listed, key)
	}
}

// forget drops what is known of entries that are gone or not ours, and what no
// longer waits.
func (c *Cluster) forget(r Record) {
	if !r.Equal(c.record) {
		// Another process wrote it, and may have made what was gone.
		clear(c.view.Gone)
	}
	c.record = r
	index, now := r.index(), c.Now()
	gone := func(key string) bool {
		_, recorded := index[key]
		return !recorded || !c.view.Listed[key]
	}
	maps.DeleteFunc(c.view.Seen, func(key string, _ Seen) bool { return gone(key) })
	maps.DeleteFunc(c.lookedAt, func(key string, _ time.Time) bool { return gone(key) })
	maps.DeleteFunc(c.view.Gone, func(key string, _ bool) bool {
		_, recorded := index[key]
		return !recorded || c.view.Listed[key]
	})
	maps.DeleteFunc(c.view.Waiting, func(_ string, w Waiting) bool { return now.Sub(w.Until) > longestWait })
	maps.DeleteFunc(c.waits, func(key string, _ time.Duration) bool {
		_, waiting := c.view.Waiting[key]
		return !waiting
	})
}

// lookClosely is the rolling Describe that finds drift. Recorded entries that
// the listing lacks are looked at, too, before the others, and before all those
// that may be for an earlier principal of their name.
func (c *Cluster) lookClosely(ctx context.Context, r Record, ids map[string]string) {
	now := c.Now()
	c.view.LookErr = nil
	var due, missing, again []Owned
	for _, o := range r.Entries {
		at, looked := c.lookedAt[o.Key()]
		old := func(age time.Duration) bool { return !looked || now.Before(at) || now.Sub(at) >= age }
		switch id := ids[o.Key()]; {
		case !c.view.Listed[o.Key()]:
			if !c.view.Gone[o.Key()] {
				missing = append(missing, o)
			}
		case id != "" && o.ID != "" && id != o.ID && old(againEvery) && len(again) < againAtOnce:
			again = append(again, o)
		case !o.Pending && old(lookEvery):
			due = append(due, o)
		}
	}
	slices.SortFunc(due, func(a, b Owned) int {
		return cmp.Or(c.lookedAt[a.Key()].Compare(c.lookedAt[b.Key()]), cmp.Compare(a.ARN, b.ARN))
	})
	due = append(missing, due...)
	due = append(again, due[:min(len(due), looksAtOnce)]...)
	c.each(len(due), func(i int) {
		var seen Seen
		err := c.silent(forLook)
		if err == nil {
			_, seen, err = c.describe(ctx, due[i].ARN)
			c.noteSilence(ctx, forLook, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case errors.Is(err, errGone):
			c.drop(due[i].Key())
		case err != nil:
			c.view.LookErr = err
		default:
			c.view.Listed[due[i].Key()] = true
			c.saw(due[i].Key(), seen)
		}
	})
}

// saw notes what stands in an entry; the lock is held.
func (c *Cluster) saw(key string, s Seen) {
	if c.view.Seen == nil {
		c.view.Seen = map[string]Seen{}
	}
	c.view.Seen[key], c.lookedAt[key] = s, c.Now()
	delete(c.view.Gone, key)
	delete(c.deleted, key)
}

// each calls do for 0 to n-1, some at the same time.
func (c *Cluster) each(n int, do func(int)) {
	var next int
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(n, c.AtOnce) {
		workers.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	workers.Wait()
}

var errGone = errors.New("there is no such access entry")

// describe reads an entry and the policies that are associated with it.
func (c *Cluster) describe(ctx context.Context, principal string) (*types.AccessEntry, Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	out, err := c.EKS.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: &c.Name, PrincipalArn: &principal})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return nil, Seen{}, errGone
	}
	if err == nil && out.AccessEntry == nil {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		return nil, Seen{}, failed("read an access entry", err)
	}
	seen := Seen{
		Ours: aws.ToString(out.AccessEntry.Type) == standard && out.AccessEntry.Tags[OwnerTag] == c.Owner,
		Made: aws.ToTime(out.AccessEntry.CreatedAt),
	}
	groups := out.AccessEntry.KubernetesGroups
	policies, err := c.policies(ctx, principal)
	if err != nil {
		return nil, Seen{}, err
	}
	admin := Policy{ARN: policyARN(principal)}
	if slices.ContainsFunc(policies, admin.Equal) {
		groups = append(slices.Clone(groups), rules.GroupMasters)
	}
	seen.Extra = Extra{Policies: slices.DeleteFunc(policies, admin.Equal), Tags: theirTags(out.AccessEntry.Tags)}
	seen.Digest = rules.ContentDigest(aws.ToString(out.AccessEntry.Username), groups)
	return out.AccessEntry, seen, nil
}

// policyARN is the ARN of AdminPolicy in a principal's partition.
func policyARN(principal string) string {
	partition := "aws"
	if parts := strings.SplitN(principal, ":", 3); len(parts) == 3 {
		partition = parts[1]
	}
	return "arn:" + partition + ":eks::aws:" + AdminPolicy
}
