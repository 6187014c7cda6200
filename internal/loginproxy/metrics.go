package loginproxy

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the login proxy's own.
type metrics struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	logins   *prometheus.CounterVec
	renewals *prometheus.CounterVec
	ended    *prometheus.CounterVec
	streams  prometheus.Gauge
}

// newMetrics registers them, unless there is no reg. storeUp is asked whenever
// they are read.
func newMetrics(reg prometheus.Registerer, storeUp func() float64) *metrics {
	const prefix = "aws_auth_refresher_login_proxy_"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("requests_total", "Requests by route and status.", "route", "status"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "request_seconds", Help: "How long requests take, in seconds, by route; streams until they end.",
		}, []string{"route"}),
		logins:   counter("logins_total", "Logins by result: ok, refused or unavailable.", "result"),
		renewals: counter("renewals_total", "Renewals of AWS credentials by result: ok, refused or unavailable.", "result"),
		ended:    counter("sessions_ended_total", "Sessions that this replica ended, by cause.", "cause"),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "open_requests", Help: "Requests to the upstream under way, WebSockets and other streams included.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.latency, m.logins, m.renewals, m.ended, m.streams, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "session_store_up", Help: "1 while the store of the sessions answers, else 0, and nobody gets in.",
		}, storeUp))
	}
	return m
}

const storeTimeout = 2 * time.Second

func (p *Proxy) storeUp() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := p.c.Sessions.Ready(ctx); err != nil {
		p.c.Log.V(1).Info("The store of the sessions does not answer", "cause", err.Error())
		return 0
	}
	return 1
}

func (m *metrics) request(rec *record, took time.Duration) {
	m.requests.WithLabelValues(rec.route, strconv.Itoa(rec.status)).Inc()
	m.latency.WithLabelValues(rec.route).Observe(took.Seconds())
}

// result sorts an outcome by who must act.
func result(pr problem) string {
	if pr.status < 500 {
		return "refused"
	}
	return "unavailable"
}
