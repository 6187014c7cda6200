package accessentry_test

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestTheModeIsAskedForSeldom: however many refreshes events cause, and less
// often while EKS does not say.
func TestTheModeIsAskedForSeldom(t *testing.T) {
	b := newBed(t)
	asked := func(long time.Duration, want bool) int {
		before := b.aws.Calls("DescribeCluster")
		for range long / (100 * time.Millisecond) {
			mode, err := b.cluster.Mode(t.Context())
			if mode != accessentry.ModeAPIConfigMap || (err == nil) != want {
				t.Fatalf("it is known, and whether from now, %t: got %q, %v", want, mode, err)
			}
			b.pass(100 * time.Millisecond)
		}
		return b.aws.Calls("DescribeCluster") - before
	}
	if n := asked(10*time.Second, true); n > 12 {
		t.Errorf("in 10 seconds of a refresh each 100ms it is asked for %d times", n)
	}
	b.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Throttled})
	b.pass(time.Second)
	if n := asked(30*time.Second, false); n > 6 {
		t.Errorf("in 30 seconds of trouble it is asked for %d times", n)
	}
	b.aws.ClearFaults()
	b.pass(14 * time.Second)
	asked(time.Second, true)
}

// TestTheRecordKnowsTheMode: where EKS does not tell it.
func TestTheRecordKnowsTheMode(t *testing.T) {
	b := newBed(t)
	ann, bob := wants(b.user("ann"), "devs"), wants(b.user("bob"), "devs")
	b.reconcile(ann)
	b.restart()
	b.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Denied})
	if v := b.cluster.Look(t.Context(), b.record, nil); v.Err != nil || v.Mode != accessentry.ModeAPIConfigMap || len(v.Listed) != 1 {
		t.Errorf("got %+v", v)
	} else {
		b.apply(accessentry.Decide(accessentry.Input{Now: b.Now(), View: v, Record: b.record, Want: []accessentry.Entry{ann, bob}}))
	}
	b.expect("and goes on", "user/ann dev:user [devs]", "user/bob dev:user [devs]")
}
