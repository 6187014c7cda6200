package loginproxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
)

const (
	connections = 64
	pairs       = 11
	oneRun      = 700 * time.Millisecond
)

// pair is a login proxy and a bare one in front of the same upstream.
type pair struct {
	bed               *bed
	session           string
	ours, bare, plain string // addresses
}

func newPair(b *testing.B, log logr.Logger) pair {
	b.Helper()
	body := bytes.Repeat([]byte("x"), 1<<10)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	b.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	transport := func() *http.Transport {
		return &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	}
	bed := newBed(b, func(c *loginproxy.Config) {
		c.Upstream, c.Transport, c.Log = target, transport(), log
		c.Identities = c.Identities[:1]
	})
	bare := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() }, Transport: transport(),
	})
	b.Cleanup(bare.Close)
	br := bed.signedIn(b, "jane", admin)
	return pair{bed, br.cookies[cookie], bed.address(), strings.TrimPrefix(bare.URL, "http://"), strings.TrimPrefix(upstream.URL, "http://")}
}

// load sends requests over many connections for a while, and gives how many
// there were a second and how long each took, sorted.
func load(b *testing.B, address, session string, many int) (perSecond float64, took []time.Duration) {
	b.Helper()
	request := []byte("GET /pods HTTP/1.1\r\nHost: proxy.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: application/json\r\n" +
		"Accept-Language: en\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nCookie: theme=dark; " + cookie + "=" + session + "\r\n\r\n")
	var all sync.WaitGroup
	var mu sync.Mutex
	var stop atomic.Bool
	begun := time.Now()
	for range many {
		all.Go(func() {
			conn, err := net.Dial("tcp", address) //nolint:noctx // loopback
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			r := bufio.NewReader(conn)
			var own []time.Duration
			for !stop.Load() {
				at := time.Now()
				if err := ask(conn, r, request); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	timer := time.AfterFunc(oneRun, func() { stop.Store(true) })
	defer timer.Stop()
	all.Wait()
	slices.Sort(took)
	return float64(len(took)) / time.Since(begun).Seconds(), took
}

func ask(conn net.Conn, r *bufio.Reader, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Contains(status, []byte(" 200 ")) {
		return io.ErrUnexpectedEOF
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err := r.Discard(1 << 10)
			return err
		}
	}
}

func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[int(p*float64(len(sorted)-1))]
}

// BenchmarkRequests compares interleaved runs with those of a bare
// httputil.ReverseProxy, and gives the median of the ratios.
func BenchmarkRequests(b *testing.B) {
	discard := zapr.NewLogger(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel)))
	for name, log := range map[string]logr.Logger{"silent": logr.Discard(), "logging": discard} {
		b.Run(name, func(b *testing.B) {
			p := newPair(b, log)
			for b.Loop() {
				compare(b, p, func() {})
			}
		})
	}
}

// BenchmarkRequestsDuringRenewal is the same while tokens and credentials are
// made anew all the time.
func BenchmarkRequestsDuringRenewal(b *testing.B) {
	p := newPair(b, logr.Discard())
	for b.Loop() {
		compare(b, p, func() { p.bed.clock.Add(11 * time.Minute) })
	}
	b.ReportMetric(float64(p.bed.aws.count()), "renewals")
}

func compare(b *testing.B, p pair, before func()) {
	b.Helper()
	var ratios, ours, bare []float64
	for i := range pairs {
		before()
		runs := []func(){
			func() { n, _ := load(b, p.ours, p.session, connections); ours = append(ours, n) },
			func() { n, _ := load(b, p.bare, p.session, connections); bare = append(bare, n) },
		}
		if i%2 == 1 {
			slices.Reverse(runs)
		}
		for _, run := range runs {
			run()
		}
		ratios = append(ratios, ours[i]/bare[i])
	}
	var ourTimes, bareTimes []time.Duration
	for range pairs {
		before()
		_, took := load(b, p.ours, p.session, 1)
		ourTimes = append(ourTimes, took...)
		_, took = load(b, p.bare, p.session, 1)
		bareTimes = append(bareTimes, took...)
	}
	slices.Sort(ratios)
	slices.Sort(ours)
	slices.Sort(bare)
	slices.Sort(ourTimes)
	slices.Sort(bareTimes)
	b.ReportMetric(ratios[len(ratios)/2], "median-ratio")
	b.ReportMetric(ours[len(ours)/2], "requests/s")
	b.ReportMetric(bare[len(bare)/2], "bare-requests/s")
	for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		b.ReportMetric(float64((percentile(ourTimes, q) - percentile(bareTimes, q)).Microseconds()), name+"-added-µs")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLogin is the whole round trip: sign-in page, role, provider, callback.
func BenchmarkLogin(b *testing.B) {
	bed := newBed(b, func(c *loginproxy.Config) { c.Log = logr.Discard() })
	for b.Loop() {
		bed.login(bed.browser(b), "jane", admin)
	}
}

// BenchmarkStream is what a message over a held WebSocket takes.
func BenchmarkStream(b *testing.B) {
	bed := newBed(b, func(c *loginproxy.Config) { c.Log = logr.Discard() })
	br := bed.signedIn(b, "jane", admin)
	s := webSocket(b, bed.address(), br.cookies[cookie])
	for b.Loop() {
		s.echoes(b)
	}
}
