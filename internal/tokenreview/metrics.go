package tokenreview

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// maxError is how much of an error of STS is looked at; they have some hundred
// bytes.
const maxError = 4 << 10

// Metrics are those of aws-iam-authenticator, under its names.
type Metrics struct {
	latency                             *prometheus.HistogramVec
	responses, throttling, disconnected *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const prefix = "aws_iam_authenticator_"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	}
	m := &Metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "authenticate_latency_seconds", Help: "How long reviews take, in seconds, by result.",
		}, []string{"result"}),
		responses:    counter("sts_responses_total", "Answers of STS by status code and region.", "ResponseCode", "StsRegion"),
		throttling:   counter("sts_throttling_total", "Calls that STS throttled, by region.", "StsRegion"),
		disconnected: counter("sts_connection_failures_total", "Calls to STS that got no answer, by region.", "StsRegion"),
	}
	reg.MustRegister(m.latency, m.responses, m.throttling, m.disconnected)
	return m
}

func (m *Metrics) observe(o outcome, took time.Duration) {
	if m != nil {
		m.latency.WithLabelValues(string(o)).Observe(took.Seconds())
	}
}

// CountSTS counts the calls that go through next. The verifier asks only
// endpoints of a fixed list, so there are no more labels than regions.
func (m *Metrics) CountSTS(next http.RoundTripper) http.RoundTripper {
	return &stsCounter{next: next, metrics: m}
}

type stsCounter struct {
	next    http.RoundTripper
	metrics *Metrics
}

// RoundTrip passes r on.
func (c *stsCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	region := regionOf(r.URL.Hostname())
	response, err := c.next.RoundTrip(r)
	if err != nil {
		c.metrics.disconnected.WithLabelValues(region).Inc()
		return nil, err
	}
	c.metrics.responses.WithLabelValues(strconv.Itoa(response.StatusCode), region).Inc()
	if response.StatusCode != http.StatusOK && ekstoken.Throttles(response.StatusCode, peek(response)) {
		c.metrics.throttling.WithLabelValues(region).Inc()
	}
	return response, nil
}

// peek reads the beginning of a body, which holds the whole of an error of STS,
// and leaves the body as it was for the next reader.
func peek(response *http.Response) []byte {
	begin, err := io.ReadAll(io.LimitReader(response.Body, maxError))
	rest := io.Reader(response.Body)
	if err != nil {
		rest = failing{err}
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), rest), response.Body}
	return begin
}

// failing is a body that broke off.
type failing struct{ err error }

// Read gives the error.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// regionOf takes the region out of sts.REGION.amazonaws.com, sts-fips.REGION...
// and gives global for sts.amazonaws.com.
func regionOf(host string) string {
	labels := strings.Split(host, ".")
	if len(labels) < 2 || labels[1] == "amazonaws" {
		return "global"
	}
	return labels[1]
}
