package controllers

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Announcements are changes of IAM that somebody has told of. They only make
// IAM be listed sooner, and never instead of on time.
type Announcements interface {
	// Wake gets a value when there is something new.
	Wake() <-chan struct{}
	// Settle takes what is known of IAM and returns when to list it for what is
	// announced and not seen yet; zero: no need.
	Settle(iamevents.View) time.Time
	// Health tells whether announcements are received.
	Health() iamevents.Health
}

// hear has the reconciler run when something is announced.
func (r *AWSAuthReconciler) hear() source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		if r.Announcements == nil {
			return nil
		}
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-r.Announcements.Wake():
					queue.Add(request())
				}
			}
		}()
		return nil
	})
}

// settle tells the announcements what is known, and returns when they want IAM
// listed; zero: they do not. fresh says that it has just been listed.
func (r *AWSAuthReconciler) settle(run *refresh, fresh bool) time.Time {
	if r.Announcements == nil {
		return time.Time{}
	}
	c := concern{set: run.rules.set, known: &r.known, record: run.record, entries: run.entries.record}
	return r.Announcements.Settle(iamevents.View{
		Now: r.Clock.Now(), Fresh: fresh, Calls: r.known.calls(), Principals: r.known.all(),
		Listed: r.known.listed, Concerns: c.concerns, Details: details,
	})
}

// eager reports whether IAM is to be listed now because of announcements.
func (r *AWSAuthReconciler) eager(run *refresh) bool {
	at := r.settle(run, false)
	return !at.IsZero() && !run.now.Before(at)
}

// details are those of a principal, as far as they were listed.
func details(p rules.Principal) (iamevents.Details, bool) {
	if p.Details == nil {
		return iamevents.Details{}, false
	}
	d := iamevents.Details{Groups: p.Details.IAMGroups, Boundary: p.Details.PermissionsBoundary, Tags: map[string]string{}}
	for _, t := range p.Details.Tags {
		d.Tags[t.Key] = t.Value
	}
	return d, true
}

// concern decides whom an announcement concerns.
type concern struct {
	set     *rules.Set
	known   *known
	record  rules.Record
	entries accessentry.Record
	// Made when needed: whose entries are on record, and who is known.
	ours map[string]bool
	arns map[string]string
}

// covers tells whether an account is, or may be, one that is listed.
func (c *concern) covers(accountID string) bool {
	return len(c.known.listings) == 0 || slices.ContainsFunc(c.known.listings, func(l principals.Listing) bool {
		return l.AccountID == accountID || l.AccountID == ""
	})
}

// concerns: somebody new must be one that a rule could select, somebody who is
// gone must have an entry of ours, and who changed must be one whose details a
// rule looks at.
func (c *concern) concerns(a iamevents.Announcement) bool {
	if c.set == nil || !c.covers(a.AccountID) {
		return false
	}
	needs := c.set.Needs()
	switch a.Verb {
	case iamevents.Exists:
		if asked := a.Kind == rules.User && needs.Users || a.Kind == rules.Role && needs.Roles; !asked {
			return false
		}
		return a.ARN == "" || c.set.CouldMatch(a.Kind, a.ARN)
	case iamevents.Gone:
		return c.holds(a)
	default:
		principal, listed := c.arnOf(a)
		return needs.Details(a.Kind) && (!listed || c.set.CouldMatch(a.Kind, principal))
	}
}

// arnOf is the ARN of who is known by that name.
func (c *concern) arnOf(a iamevents.Announcement) (principal string, listed bool) {
	if c.arns == nil {
		all := c.known.all()
		c.arns = make(map[string]string, len(all))
		for _, p := range all {
			c.arns[nameKey(p.Kind, p.AccountID, p.Name)] = p.ARN
		}
	}
	principal, listed = c.arns[nameKey(a.Kind, a.AccountID, a.Name)]
	return principal, listed
}

func (c *concern) holds(a iamevents.Announcement) bool {
	if c.ours == nil {
		c.ours = make(map[string]bool, len(c.record.Entries)+len(c.entries.Entries))
		for _, o := range c.record.Entries {
			if o.Forget.IsZero() {
				c.note(o.Kind, o.ARN)
			}
		}
		for _, o := range c.entries.Entries {
			c.note(o.Kind, o.ARN)
		}
	}
	return c.ours[nameKey(a.Kind, a.AccountID, a.Name)]
}

func (c *concern) note(kind rules.Kind, principal string) {
	if parsed, err := arn.Parse(principal); err == nil {
		c.ours[nameKey(kind, parsed.AccountID, parsed.Name)] = true
	}
}

func nameKey(kind rules.Kind, accountID, name string) string {
	return string(kind) + " " + accountID + " " + strings.ToLower(name)
}

// eventsReason is what the condition EventsReceived says; "" as long as that is
// not known.
func (r *AWSAuthReconciler) eventsReason() (reason, message string) {
	if r.Announcements == nil {
		return "", ""
	}
	h := r.Announcements.Health()
	switch {
	case !h.Known:
		return "", ""
	case h.Cause == "":
		return "Receiving", ""
	default:
		return h.Cause, h.Message()
	}
}
