package accessentry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

var actions = []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry", "ListAssociatedAccessPolicies", "CreateAccessEntry", "UpdateAccessEntry"}

// calls counts the calls of EKS so far, by action.
func (b *bed) calls() map[string]int {
	counts := map[string]int{}
	for _, action := range actions {
		counts[action] = b.aws.Calls(action)
	}
	return counts
}

// full is a bed with users for as many entries as a cluster can have.
func full(b *testing.B, latency time.Duration) (*bed, []accessentry.Entry) {
	b.Helper()
	bed := newBed(b)
	want := make([]accessentry.Entry, accessentry.Limit)
	for i := range want {
		want[i] = wants(bed.user(fmt.Sprintf("vault-token-terraform-%04d", i)), "developers", "viewers")
	}
	bed.latency = latency
	return bed, want
}

// BenchmarkFromNothing makes 3,000 access entries, as many as a cluster can
// have, while EKS takes some time for each call.
func BenchmarkFromNothing(b *testing.B) {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run("latency="+latency.String(), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				bed, want := full(b, latency)
				b.StartTimer()
				bed.reconcile(want...)
				if n := len(bed.last.Added); n != len(want) {
					b.Fatalf("%d entries were made: %v", n, bed.last.Err)
				}
				b.ReportMetric(float64(bed.aws.Calls("CreateAccessEntry")), "create-calls/op")
				encoded, err := bed.record.Encode()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(encoded)), "record-bytes")
			}
		})
	}
}

// BenchmarkNoChange is a pass over 3,000 access entries with nothing to do. The
// close looks are due all the time here, as they are at first.
func BenchmarkNoChange(b *testing.B) {
	bed, want := full(b, 0)
	bed.reconcile(want...)
	bed.restart()
	before, passes := bed.calls(), 0
	for b.Loop() {
		if p := bed.reconcile(want...); !p.Idle() {
			b.Fatalf("there is something to do: %+v", bed.last)
		}
		passes++
	}
	for action, n := range bed.calls() {
		b.ReportMetric(float64(n-before[action])/float64(passes), action+"/op")
	}
}
