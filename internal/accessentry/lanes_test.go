package accessentry_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// crowd are the entries of as many new users.
func (b *bed) crowd(prefix string, n int) []accessentry.Entry {
	b.Helper()
	list := make([]accessentry.Entry, n)
	for i := range list {
		list[i] = wants(b.user(fmt.Sprintf("%s%02d", prefix, i)), "devs")
	}
	return list
}

// TestNoKindOfChangeStarvesAnother: whatever kind of change EKS refuses to make,
// the others are made.
func TestNoKindOfChangeStarvesAnother(t *testing.T) {
	const crowd = 30
	for _, row := range []struct {
		fault                           string
		creations, removals, downgrades int // that are left to be done
	}{
		{fault: "CreateAccessEntry", creations: crowd},
		{fault: "DeleteAccessEntry", removals: crowd},
		{fault: "UpdateAccessEntry", downgrades: crowd},
	} {
		t.Run(row.fault, func(t *testing.T) {
			b := newBed(t)
			var want, down []accessentry.Entry
			for i := range crowd {
				u := b.user(fmt.Sprintf("down%02d", i))
				want, down = append(want, wants(u, "old", rules.GroupMasters)), append(down, wants(u, "devs"))
			}
			b.reconcile(append(want, b.crowd("out", crowd)...)...)
			b.aws.Inject(fakeaws.Fault{Action: row.fault, Effect: fakeaws.Denied})
			want = append(b.crowd("new", crowd), down...)
			for range 3 {
				b.reconcile(want...)
			}
			creations, removals, downgrades := crowd, 0, 0
			for _, e := range b.entries() {
				switch {
				case strings.HasPrefix(e, "user/new"):
					creations--
				case strings.HasPrefix(e, "user/out"):
					removals++
				case strings.Contains(e, "[old]"):
					downgrades++
				}
				if strings.Contains(e, adminPolicy) {
					t.Errorf("it is to lose its rights: %s", e)
				}
			}
			if creations != row.creations || removals != row.removals || downgrades != row.downgrades {
				t.Errorf("left to be done after 3 passes: %d creations, %d removals, %d downgrades, want %d, %d and %d",
					creations, removals, downgrades, row.creations, row.removals, row.downgrades)
			}
			if b.last.Err == nil {
				t.Error("the trouble is told")
			}
		})
	}
}

// TestNoKindOfChangeWaitsForAnother: EKS makes the changes of one kind only
// after one of the other kind.
func TestNoKindOfChangeWaitsForAnother(t *testing.T) {
	for _, row := range []struct{ waits, comes string }{
		{http.MethodPost, http.MethodDelete},
		{http.MethodDelete, http.MethodPost},
	} {
		b := newBed(t)
		b.reconcile(b.crowd("out", 30)...)
		came, once := make(chan struct{}), sync.Once{}
		b.before = func(r *http.Request) {
			b.body(r) // else the server does not see that the client gave up
			switch r.Method {
			case row.comes:
				once.Do(func() { close(came) })
			case row.waits:
				select {
				case <-came:
				case <-r.Context().Done():
				}
			}
		}
		b.cluster.CallTimeout = time.Second
		b.reconcile(b.crowd("new", 30)...)
		if len(b.last.Added) != 30 || len(b.last.Removed) != 30 || b.last.Err != nil {
			t.Errorf("%s waits for the first %s: %d of 30 added, %d of 30 removed, %v",
				row.waits, row.comes, len(b.last.Added), len(b.last.Removed), b.last.Err)
		}
	}
}

// TestWhatFailsGoesLast: a few entries that EKS never makes keep nobody out.
func TestWhatFailsGoesLast(t *testing.T) {
	b := newBed(t)
	bad, good := b.crowd("bad", 30), b.crowd("good", 5)
	b.fails = func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(b.body(r), ":user/bad")
	}
	want := slices.Concat(bad, good)
	for range 4 {
		b.reconcile(want...)
	}
	if n := len(b.entries()); n != len(good) {
		t.Errorf("%d of %d are in after 4 passes", n, len(good))
	}
	b.fails = nil
	b.reconcile(want...)
	if n := len(b.entries()); n != len(want) {
		t.Errorf("when the trouble is over %d of %d are in", n, len(want))
	}
}
