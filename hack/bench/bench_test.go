package bench

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

func BenchmarkMint(b *testing.B) {
	for _, side := range []struct {
		name string
		mint func() (string, error)
	}{{"ours", ourMint(keys())}, {"reference", referenceMint(b, keys())}} {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := side.mint(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// verify is one side's way to verify a token, on the transport it was made with.
type verify func(value string) error

func ourVerify(b *testing.B, transport http.RoundTripper) verify {
	b.Helper()
	v, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{ClusterID: clusterID, Transport: transport})
	if err != nil {
		b.Fatal(err)
	}
	return func(value string) error {
		_, err := v.Verify(b.Context(), value)
		return err
	}
}

func referenceVerify(b *testing.B, transport http.RoundTripper) verify {
	b.Helper()
	replaceDefaultTransport(b, transport)
	v := token.NewVerifier(clusterID, "aws", region)
	return func(value string) error {
		_, err := v.Verify(value)
		return err
	}
}

// BenchmarkVerify measures all but the network.
func BenchmarkVerify(b *testing.B) {
	for _, side := range []struct {
		name string
		make func(*testing.B, http.RoundTripper) verify
	}{{"ours", ourVerify}, {"reference", referenceVerify}} {
		b.Run(side.name, func(b *testing.B) {
			verify := side.make(b, canned{})
			value, err := ourMint(keys())()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := verify(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const (
	workers  = 64
	answerIn = 20 * time.Millisecond
	possible = float64(workers) * float64(time.Second) / float64(answerIn) // 3,200 a second
)

// BenchmarkReviews measures how many tokens 64 workers get verified in a second
// by an STS that takes 20 ms, speaks HTTP/1.1 and shares these processors.
func BenchmarkReviews(b *testing.B) {
	values := distinct(b, 4096)
	for _, side := range []struct {
		name      string
		transport func(*testing.B) *http.Transport
		make      func(*testing.B, http.RoundTripper) verify
	}{
		{"ours", func(*testing.B) *http.Transport { return ekstoken.NewTransport() }, ourVerify},
		{"reference", func(b *testing.B) *http.Transport { return goDefault(b) }, referenceVerify},
	} {
		b.Run(side.name, func(b *testing.B) {
			u := serve(b, func(w http.ResponseWriter, _ *http.Request) {
				<-time.After(answerIn)
				_, _ = io.WriteString(w, identity)
			})
			verify := side.make(b, u.redirect(b, side.transport(b)))
			reviews(b, verify, values, 4*workers) // opens the connections
			b.ResetTimer()
			reviews(b, verify, values, b.N)
			b.StopTimer()
			report(b, u)
		})
	}
}

// report says how many of the possible reviews there were, and how many
// connections to STS they took.
func report(b *testing.B, u *upstream) {
	b.Helper()
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(0, "ns/op") // of all workers together: it would only mislead
	b.ReportMetric(rate, "reviews/s")
	b.ReportMetric(100*rate/possible, "%possible")
	b.ReportMetric(float64(u.connections.Load()), "connections")
}

// reviews has n tokens verified by all workers.
func reviews(b *testing.B, verify verify, values []string, n int) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := verify(values[i%len(values)]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// distinct mints tokens of different keys.
func distinct(b *testing.B, n int) []string {
	b.Helper()
	values := make([]string, n)
	for i := range values {
		c := keys()
		c.AccessKeyID = fmt.Sprintf("AKIA%016d", i)
		value, err := ourMint(c)()
		if err != nil {
			b.Fatal(err)
		}
		values[i] = value
	}
	return values
}
