package accessentry

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// maxErrors ends the changes of one kind in an Apply: what is wrong is not the
// entries.
const maxErrors = 5

// lane is the changes of one kind. Neither trouble with another kind nor a long
// queue there says anything about them.
type lane struct {
	asked question
	jobs  []*job

	mu     sync.Mutex // guards what follows
	next   int
	failed int
}

// take gives the next job, nil if there is none left to be tried.
func (l *lane) take() *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == len(l.jobs) || l.failed >= maxErrors {
		return nil
	}
	l.next++
	return l.jobs[l.next-1]
}

// fail counts a job that EKS failed; it reports whether that is the end.
func (l *lane) fail() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
	return l.failed == maxErrors
}

// lanes sorts the plan's changes, those that take away first. What failed the
// last times goes last: it keeps nobody out.
func (c *Cluster) lanes(p Plan, res *Result) []*lane {
	index := p.Record.index()
	jobs := func(list []Entry, into *[]Entry, do func(context.Context, *job) (outcome, error)) []*job {
		var jobs []*job
		for _, e := range list {
			jobs = append(jobs, &job{entry: e, owned: ownedBy(e), recorded: index[e.Key()], do: do, list: into})
		}
		return jobs
	}
	var removals []*job
	for _, o := range p.Delete {
		removals = append(removals, &job{entry: Entry{Kind: o.Kind, ARN: o.ARN}, owned: o, recorded: o, do: c.remove})
	}
	lanes := []*lane{
		{asked: toRemove, jobs: removals},
		{asked: toUpdate, jobs: jobs(p.Update, &res.Changed, c.update)},
		{asked: toCreate, jobs: append(jobs(p.Create, &res.Added, c.create), jobs(p.Recreate, &res.MadeAgain, c.recreate)...)},
		{asked: toAdopt, jobs: jobs(p.Adopt, &res.Adopted, c.adopt)},
	}
	for _, l := range lanes {
		slices.SortStableFunc(l.jobs, func(a, b *job) int { return cmp.Compare(c.failures[a.entry.Key()], c.failures[b.entry.Key()]) })
	}
	return slices.DeleteFunc(lanes, func(l *lane) bool { return len(l.jobs) == 0 })
}

// work does the jobs. Each lane has workers of its own, who help the others only
// once it is done.
func (c *Cluster) work(ctx context.Context, lanes []*lane) {
	total := 0
	for _, l := range lanes {
		total += len(l.jobs)
	}
	var workers sync.WaitGroup
	for i := range min(total, c.AtOnce) {
		workers.Go(func() {
			for n := range lanes {
				l := lanes[(i+n)%len(lanes)]
				for j := l.take(); j != nil && ctx.Err() == nil; j = l.take() {
					c.try(ctx, l, j)
				}
			}
		})
	}
	workers.Wait()
}

// try does one job, unless EKS is left alone with its kind.
func (c *Cluster) try(ctx context.Context, l *lane, j *job) {
	if j.err = c.silent(l.asked); j.err != nil {
		return
	}
	if j.result, j.err = j.do(ctx, j); j.err == nil || j.result == refused || ctx.Err() != nil {
		return
	}
	j.failed = true
	if l.fail() {
		c.noteSilence(ctx, l.asked, j.err)
	}
}

// countFailures remembers which of the jobs failed how often in a row.
func (c *Cluster) countFailures(lanes []*lane) {
	failures := map[string]int{}
	for _, l := range lanes {
		for _, j := range l.jobs {
			n := c.failures[j.entry.Key()]
			if j.failed {
				n++
			}
			if n > 0 && j.result == undone {
				failures[j.entry.Key()] = n
			}
		}
	}
	c.failures = failures
}
