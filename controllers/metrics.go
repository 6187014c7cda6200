package controllers

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Metrics are the refresher's own; all names begin with aws_auth_refresher_.
type Metrics struct {
	refreshes, writes, iamCalls, changes   *prometheus.CounterVec
	leader, bytesLimit                     prometheus.Gauge
	lastSuccess, bytes, held               *prometheus.GaugeVec
	leftOut, givenWay                      *prometheus.GaugeVec
	unproven, orphans, unowned, frozen     *prometheus.GaugeVec
	revived                                prometheus.Counter
	entries, matches, condition, principal *prometheus.GaugeVec
	account, statusWritten                 *prometheus.GaugeVec
	duration                               prometheus.Histogram
	limit                                  int
	accessEntries                          entryMetrics
	eventMetrics
}

const prefix = "aws_auth_refresher_"

// NewMetrics registers the metrics with reg; limit is the size that aws-auth
// must not exceed, in bytes.
func NewMetrics(reg prometheus.Registerer, limit int) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
	}
	if limit == 0 {
		limit = awsauth.MaxBytes
	}
	m := &Metrics{
		refreshes:   counter("refreshes_total", "Refreshes by result: ok, degraded or error.", "result"),
		writes:      counter("writes_total", "Writes of aws-auth."),
		iamCalls:    counter("iam_list_calls_total", "Pages listed from IAM, by account, kind and result: ok or error.", "account", "kind", "result"),
		changes:     counter("entry_changes_total", "Entries of ours that were added, changed, removed or put back.", "change"),
		leader:      gauge("leader", "Whether this replica leads: 1, or 0 while it stands by. One that stands by tells nothing of what follows from a refresh, but for last_success_timestamp_seconds."),
		lastSuccess: gauges("last_success_timestamp_seconds", "When the last refresh of this process ended that listed IAM and wrote all that could be written, in Unix seconds. It is missing before the first."),
		bytes:       gauges("aws_auth_bytes", "Size of the data of aws-auth, in bytes."),
		bytesLimit:  gauge("aws_auth_limit_bytes", "The size that aws-auth is not let exceed, in bytes."),
		held:        gauges("held_removals", "Entries that the breaker keeps in aws-auth."),
		leftOut:     gauges("left_out", "Principals that a rule selects and that are not let in: bad names, or no room."),
		givenWay:    gauges("given_way", "Grants that gave way to somebody else's entry."),
		unproven:    gauges("unproven_deletions", "Principals of ours that IAM's listings lack and that are not known to be gone."),
		orphans:     gauges("orphans", "Entries of others in aws-auth whose principal IAM does not list."),
		unowned:     gauges("unowned", "Entries that a lost record may have said to be ours."),
		frozen:      gauges("frozen_rules", "Rules that match more than their maxMatches, so that nobody new gets in by them."),
		revived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "revived_total", Help: "Entries that had been taken out, and that somebody wrote back.",
		}),
		statusWritten: gauges("status_written", "Whether the status ConfigMap could be written: 1, or 0 while it says what was so before."),
		entries:       gauges("entries", "Entries in aws-auth that EKS sees, by kind and owner: ours or others.", "kind", "owner"),
		matches:       gauges("rule_matches", "Principals that a rule matches.", "rule"),
		condition:     gauges("condition", "Conditions as in the status ConfigMap: 1 is True.", "type"),
		principal:     gauges("principals", "IAM principals in the last complete listing, by account and kind.", "account", "kind"),
		account:       gauges("account_listed", "Whether the last listing of an account was complete: 1, or 0 while nothing is concluded from it.", "account"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "refresh_duration_seconds", Help: "How long refreshes take, in seconds.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}),
		limit: limit, accessEntries: newEntryMetrics(reg, prefix), eventMetrics: newEventMetrics(reg),
	}
	m.bytesLimit.Set(float64(limit))
	reg.MustRegister(m.leader, m.refreshes, m.writes, m.iamCalls, m.changes, m.lastSuccess, m.bytesLimit, m.revived, m.duration)
	for _, state := range m.states() {
		reg.MustRegister(state)
	}
	return m
}

// Leading tells that this process refreshes.
func (m *Metrics) Leading() { m.leader.Set(1) }

// StandingBy tells that this process does not refresh, and takes back what it
// told about aws-auth and IAM as the leader: by now that may be another one's to
// say. It must not be called while a refresh is under way. When the last refresh
// succeeded stays told: it is the truth while nobody leads.
func (m *Metrics) StandingBy() {
	m.leader.Set(0)
	for _, state := range m.states() {
		state.Reset()
	}
}

// states are the gauges of what the last refresh found.
func (m *Metrics) states() []*prometheus.GaugeVec {
	return []*prometheus.GaugeVec{
		m.bytes, m.held, m.leftOut, m.givenWay, m.unproven, m.orphans, m.unowned, m.frozen,
		m.statusWritten, m.entries, m.matches, m.condition, m.principal, m.account, m.accessEntries.ours,
	}
}

// succeeded: the refresh ended, and wrote all that could be written. What there
// is no room for, or what only a person can mend, makes it Degraded; that nobody
// answers, in IAM, EKS or the API server, makes it no success.
func (r *AWSAuthReconciler) succeeded(run *refresh) bool {
	if run.err != nil || run.out.Result.Document == nil || run.entriesFailed() {
		return false
	}
	return run.rules.set == nil || slices.ContainsFunc(r.known.listings, func(l principals.Listing) bool {
		_, err := failure(l)
		return err == nil
	})
}

func (m *Metrics) listed(l principals.Listing) {
	m.account.Reset() // of an account that is no longer read nothing is said
	for _, one := range append([]principals.Listing{l}, l.Others...) {
		complete := 1.0
		if _, err := failure(one); err != nil {
			complete = 0
		}
		m.account.WithLabelValues(one.AccountID).Set(complete)
		m.listedAccount(one)
	}
}

func (m *Metrics) listedAccount(l principals.Listing) {
	for kind, scope := range scopes(l) {
		result := "ok"
		if !scope.Complete {
			result = "error"
		}
		if scope.Asked {
			m.iamCalls.WithLabelValues(l.AccountID, string(kind), result).Add(float64(scope.Calls))
		}
		if scope.Complete {
			m.principal.WithLabelValues(l.AccountID, string(kind)).Set(float64(len(only(kind, l.Principals))))
		}
	}
}

func (m *Metrics) refreshed(run *refresh, conditions []metav1.Condition, success bool) {
	result := "ok"
	for _, c := range conditions {
		value := 0.0
		if c.Status == metav1.ConditionTrue {
			value = 1
		}
		m.condition.WithLabelValues(c.Type).Set(value)
		if c.Type == ConditionDegraded && value == 1 {
			result = "degraded"
		}
	}
	if run.err != nil {
		result = "error"
	}
	m.refreshes.WithLabelValues(result).Inc()
	m.revived.Add(float64(len(run.out.Revived)))
	m.duration.Observe(run.took.Seconds())
	m.writes.WithLabelValues().Add(float64(run.done.writes))
	for change, entries := range map[string][]awsauth.Entry{
		"added": run.done.added, "put_back": run.done.putBack, "changed": run.done.changed, "removed": run.done.removed,
	} {
		m.changes.WithLabelValues(change).Add(float64(len(entries)))
	}
	if run.out.Result.Document == nil {
		return
	}
	if success {
		m.lastSuccess.WithLabelValues().Set(float64(run.now.UnixNano()) / float64(time.Second))
	}
	m.accessEntries.refreshed(run)
	frozen := 0
	for _, c := range run.out.Evaluation.Rules {
		if c.Frozen {
			frozen++
		}
	}
	for state, value := range map[*prometheus.GaugeVec]int{
		m.bytes: run.document().Size(), m.held: len(run.out.Removal.Held), m.givenWay: len(run.out.Conflicts),
		m.leftOut:  run.leftOut(),
		m.unproven: len(run.out.Removal.Verify), m.orphans: len(run.orphaned), m.unowned: len(run.unowned()),
		m.frozen: frozen,
	} {
		state.WithLabelValues().Set(float64(value))
	}
	ours, others := run.counts()
	for _, kind := range rules.Kinds() {
		m.entries.WithLabelValues(string(kind), "ours").Set(float64(ours[kind]))
		m.entries.WithLabelValues(string(kind), "others").Set(float64(others[kind]))
	}
	m.matches.Reset()
	for _, c := range run.out.Evaluation.Rules {
		m.matches.WithLabelValues(ruleName(c.Kind, c.Rule)).Set(float64(c.Matched))
	}
}
