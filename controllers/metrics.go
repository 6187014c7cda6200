package controllers

import (
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
	lastSuccess, bytes, bytesLimit, held   prometheus.Gauge
	leftOut, givenWay                      prometheus.Gauge
	unproven, orphans, unowned, frozen     prometheus.Gauge
	revived                                prometheus.Counter
	entries, matches, condition, principal *prometheus.GaugeVec
	account                                *prometheus.GaugeVec
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
		lastSuccess: gauge("last_success_timestamp_seconds", "When the last refresh ended without trouble, in Unix seconds."),
		bytes:       gauge("aws_auth_bytes", "Size of the data of aws-auth, in bytes."),
		bytesLimit:  gauge("aws_auth_limit_bytes", "The size that aws-auth is not let exceed, in bytes."),
		held:        gauge("held_removals", "Entries that the breaker keeps in aws-auth."),
		leftOut:     gauge("left_out", "Principals that a rule selects and that are not let in: bad names, or no room."),
		givenWay:    gauge("given_way", "Grants that gave way to somebody else's entry."),
		unproven:    gauge("unproven_deletions", "Principals of ours that IAM's listings lack and that are not known to be gone."),
		orphans:     gauge("orphans", "Entries of others in aws-auth whose principal IAM does not list."),
		unowned:     gauge("unowned", "Entries that a lost record may have said to be ours."),
		frozen:      gauge("frozen_rules", "Rules that match more than their maxMatches, so that nobody new gets in by them."),
		revived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "revived_total", Help: "Entries that had been taken out, and that somebody wrote back.",
		}),
		entries:   gauges("entries", "Entries in aws-auth that EKS sees, by kind and owner: ours or others.", "kind", "owner"),
		matches:   gauges("rule_matches", "Principals that a rule matches.", "rule"),
		condition: gauges("condition", "Conditions as in the status ConfigMap: 1 is True.", "type"),
		principal: gauges("principals", "IAM principals in the last complete listing, by account and kind.", "account", "kind"),
		account:   gauges("account_listed", "Whether the last listing of an account was complete: 1, or 0 while nothing is concluded from it.", "account"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "refresh_duration_seconds", Help: "How long refreshes take, in seconds.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}),
		limit: limit, accessEntries: newEntryMetrics(reg, prefix), eventMetrics: newEventMetrics(reg),
	}
	m.bytesLimit.Set(float64(limit))
	reg.MustRegister(m.refreshes, m.writes, m.iamCalls, m.changes, m.lastSuccess, m.bytes, m.bytesLimit, m.held,
		m.leftOut, m.givenWay, m.unproven, m.orphans, m.unowned, m.frozen, m.revived, m.entries, m.matches, m.condition, m.principal, m.account, m.duration)
	return m
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

func (m *Metrics) refreshed(run *refresh, conditions []metav1.Condition) {
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
	if result == "ok" {
		m.lastSuccess.Set(float64(run.now.UnixNano()) / float64(time.Second))
	}
	m.accessEntries.refreshed(run)
	m.bytes.Set(float64(run.document().Size()))
	m.held.Set(float64(len(run.out.Removal.Held)))
	m.leftOut.Set(float64(len(run.out.Evaluation.LeftOut) + len(run.out.Result.Overflow)))
	m.givenWay.Set(float64(len(run.out.Conflicts)))
	m.unproven.Set(float64(len(run.out.Removal.Verify)))
	m.orphans.Set(float64(len(run.orphaned)))
	m.unowned.Set(float64(len(run.unowned())))
	frozen := 0
	for _, c := range run.out.Evaluation.Rules {
		if c.Frozen {
			frozen++
		}
	}
	m.frozen.Set(float64(frozen))
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
