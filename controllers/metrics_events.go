package controllers

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
)

// eventMetrics count what comes from the queue of IAM events; a Metrics is an
// iamevents.Meter.
type eventMetrics struct{ messages, announcements, trouble *prometheus.CounterVec }

func newEventMetrics(reg prometheus.Registerer) eventMetrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	}
	m := eventMetrics{
		messages:      counter("event_messages_total", "Messages from the queue of IAM events, by result: event, nothing (no user or role came, went or changed) or poison (no event of IAM).", "result"),
		announcements: counter("announcements_total", "Announced changes of IAM by outcome: seen in a listing, unneeded, or unseen in as many listings as are worth it.", "outcome"),
		trouble:       counter("event_queue_errors_total", "Calls to the queue of IAM events that failed, by cause: QueueMissing, Denied, Throttled or Unreachable.", "cause"),
	}
	reg.MustRegister(m.messages, m.announcements, m.trouble)
	return m
}

// EventMessage counts a message that was received.
func (m eventMetrics) EventMessage(result string) { m.messages.WithLabelValues(result).Inc() }

// Announced counts an announcement that ended.
func (m eventMetrics) Announced(o iamevents.Outcome) {
	m.announcements.WithLabelValues(string(o)).Inc()
}

// EventTrouble counts a call to the queue that failed.
func (m eventMetrics) EventTrouble(cause string) { m.trouble.WithLabelValues(cause).Inc() }
