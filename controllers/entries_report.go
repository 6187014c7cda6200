package controllers

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// entryStatus adds to the status what there is to say about access entries.
func (run *refresh) entryStatus(s *Status) {
	refused := func(list []accessentry.Refused) {
		for _, r := range list {
			s.LeftOut = append(s.LeftOut, PrincipalStatus{r.Entry.ARN, "no access entry: " + r.Reason})
		}
	}
	refused(run.out.EntriesLeftOut)
	refused(run.out.Entries.Waiting)
	refused(run.entries.result.Refused)
	for _, e := range run.out.Entries.Overflow {
		s.LeftOut = append(s.LeftOut, PrincipalStatus{e.ARN, fmt.Sprintf("no access entry: a cluster has at most %d", accessentry.Limit)})
	}
}

// entrySummary is what follows the summary of aws-auth.
func (run *refresh) entrySummary() string {
	n := run.entryCount()
	if n == 0 && !run.entries.selected {
		return ""
	}
	return fmt.Sprintf("; %d access entries of ours", n)
}

// entryCount is how many access entries are ours after the refresh.
func (run *refresh) entryCount() int {
	return run.out.EntriesOurs + len(run.entries.result.Added) + len(run.entries.result.Adopted) -
		len(run.entries.result.Removed) - len(run.entries.result.NotOurs)
}

// reasonEntriesFailed is why Applied is not true while EKS cannot be asked.
const reasonEntriesFailed = "AccessEntriesFailed"

// entriesReason is why access entries are not as they should be, empty if they
// are.
func (run *refresh) entriesReason() (reason, message string) {
	switch {
	case run.entries.err != nil:
		return reasonEntriesFailed, clip(run.entries.err.Error())
	case run.entries.applyErr != nil:
		return reasonEntriesFailed, clip(run.entries.applyErr.Error())
	case run.entries.doubt != nil:
		return reasonEntriesFailed, clip(run.entries.doubt.Error())
	case len(run.out.Entries.Overflow) > 0:
		return "AccessEntriesFull", fmt.Sprintf("%d principals have no access entry: a cluster has at most %d; %s",
			len(run.out.Entries.Overflow), accessentry.Limit, makeRoom)
	}
	return "", ""
}

// entriesFailed: EKS did not answer, or not as it should.
func (run *refresh) entriesFailed() bool {
	reason, _ := run.entriesReason()
	return reason == reasonEntriesFailed
}

// announceEntries makes events of what was done to access entries.
func (r *AWSAuthReconciler) announceEntries(run *refresh) {
	res := run.entries.result
	for _, change := range []struct {
		reason, verb string
		entries      []accessentry.Entry
	}{
		{"AccessEntriesAdded", "added access entries:", res.Added},
		{"AccessEntriesChanged", "changed access entries:", res.Changed},
		{"AccessEntriesMadeAgain", "made access entries again, because their principals were made again:", res.MadeAgain},
		{"AccessEntriesAdopted", "took over access entries:", res.Adopted},
	} {
		var list []string
		for _, e := range change.entries {
			run.log.Info(change.verb, "arn", e.ARN, "username", e.Username, "groups", e.Groups, "admin", e.Admin)
			list = append(list, e.ARN+" as "+e.Username)
		}
		r.entryEvent(run, change.reason, change.verb, list)
	}
	for _, change := range []struct {
		reason, verb string
		entries      []accessentry.Owned
	}{
		{"AccessEntriesRemoved", "removed access entries:", res.Removed},
		{"AccessEntriesNotOurs", "access entries are somebody else's by now:", res.NotOurs},
	} {
		var list []string
		for _, o := range change.entries {
			run.log.Info(change.verb, "arn", o.ARN)
			list = append(list, o.ARN)
		}
		r.entryEvent(run, change.reason, change.verb, list)
	}
}

func (r *AWSAuthReconciler) entryEvent(run *refresh, reason, verb string, list []string) {
	if len(list) == 0 {
		return
	}
	if n := len(list); n > namesInEvent {
		list = append(list[:namesInEvent:namesInEvent], fmt.Sprintf("and %d more", n-namesInEvent))
	}
	r.event(run, corev1.EventTypeNormal, reason, verb+" "+strings.Join(list, ", "))
}

// entryMetrics are those about access entries.
type entryMetrics struct {
	changes *prometheus.CounterVec
	ours    *prometheus.GaugeVec
}

func newEntryMetrics(reg prometheus.Registerer, prefix string) entryMetrics {
	m := entryMetrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "access_entry_changes_total",
			Help: "Access entries of ours that were added, changed, made again, adopted or removed.",
		}, []string{"change"}),
		ours: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "access_entries", Help: "Access entries of ours in the cluster."}, nil),
	}
	reg.MustRegister(m.changes)
	return m
}

func (m entryMetrics) refreshed(run *refresh) {
	res := run.entries.result
	for change, n := range map[string]int{
		"added": len(res.Added), "changed": len(res.Changed), "made_again": len(res.MadeAgain), "adopted": len(res.Adopted),
		"removed": len(res.Removed),
	} {
		m.changes.WithLabelValues(change).Add(float64(n))
	}
	m.ours.WithLabelValues().Set(float64(run.entryCount()))
}
