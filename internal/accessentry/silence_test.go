package accessentry_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// hanging has EKS not answer certain requests, and counts them.
func (b *bed) hanging(is func(method, path string) bool) *atomic.Int32 {
	var n atomic.Int32
	b.before = func(r *http.Request) {
		if is(r.Method, r.URL.Path) {
			n.Add(1)
			b.body(r) // else the server does not see that the client gave up
			<-r.Context().Done()
		}
	}
	return &n
}

// TestQuestionsThatHangAreNotAskedAgainSoon: whoever asks has other things to
// do.
func TestQuestionsThatHangAreNotAskedAgainSoon(t *testing.T) {
	for _, row := range []struct {
		reason string
		hangs  func(method, path string) bool
		err    func(accessentry.View, error) error
	}{
		{"the mode", func(_, path string) bool { return path == "/clusters/"+clusterName }, func(_ accessentry.View, err error) error { return err }},
		{"the list", func(_, path string) bool { return strings.HasSuffix(path, "/access-entries") }, func(v accessentry.View, _ error) error { return v.Err }},
		{"a close look", func(_, path string) bool { return strings.Contains(path, "/access-entries/") }, func(v accessentry.View, _ error) error { return v.LookErr }},
	} {
		b := newBed(t)
		b.reconcile(wants(b.user("ann"), "devs"))
		b.restart()
		b.cluster.ReadTimeout = 300 * time.Millisecond
		asked := b.hanging(row.hangs)
		for pass, want := range []int32{1, 1, 1, 1, 2} {
			_, modeErr := b.cluster.Mode(t.Context())
			view := b.cluster.Look(t.Context(), b.record, nil)
			if err := row.err(view, modeErr); err == nil || !strings.HasSuffix(err.Error(), "EKS did not answer in time") {
				t.Errorf("%s, pass %d: got %v", row.reason, pass, err)
			}
			if asked.Load() != want {
				t.Errorf("%s, pass %d: asked %d times, want %d", row.reason, pass, asked.Load(), want)
			}
			b.pass(15 * time.Second)
		}
	}
}

// TestChangesThatHangAreLeftAlone: the others go on.
func TestChangesThatHangAreLeftAlone(t *testing.T) {
	b := newBed(t)
	b.reconcile(b.crowd("out", 3)...)
	want := b.crowd("new", 30)
	b.cluster.CallTimeout = 300 * time.Millisecond
	tried := b.hanging(func(method, path string) bool {
		return method == http.MethodPost && strings.HasSuffix(path, "/access-entries")
	})
	b.reconcile(want...)
	first := tried.Load()
	if len(b.last.Removed) != 3 || first > 15 {
		t.Errorf("%d of 3 removed, %d creations tried", len(b.last.Removed), first)
	}
	b.pass(15 * time.Second)
	b.reconcile(want...)
	if n := tried.Load() - first; n != 0 || b.last.Err == nil {
		t.Errorf("%d creations tried soon after, %v", n, b.last.Err)
	}
	b.before = nil
	b.pass(time.Minute)
	b.reconcile(want...)
	if n := len(b.entries()); n != 30 || b.last.Err != nil {
		t.Errorf("a minute later: %d of 30 are there, %v", n, b.last.Err)
	}
}

// deadlines is an HTTP client that notes how long a request may take.
type deadlines struct {
	*http.Client
	read, change time.Duration // the longest
}

func (d *deadlines) Do(r *http.Request) (*http.Response, error) {
	at, _ := r.Context().Deadline()
	left := &d.change
	if r.Method == http.MethodGet {
		left = &d.read
	}
	*left = max(*left, time.Until(at).Round(time.Second))
	return d.Client.Do(r)
}

func TestCallsHaveDeadlines(t *testing.T) {
	b := newBed(t)
	d := &deadlines{Client: &http.Client{}}
	b.client = eks.New(b.client.Options(), func(o *eks.Options) { o.HTTPClient = d })
	b.restart()
	b.reconcile(wants(b.user("ann"), "devs"))
	b.restart()
	b.reconcile()
	if d.read != 5*time.Second || d.change != 10*time.Second || len(b.last.Removed) != 1 {
		t.Errorf("questions may take %s, want 5s; changes %s, want 10s", d.read, d.change)
	}
}
