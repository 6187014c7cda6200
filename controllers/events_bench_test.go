package controllers

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// arrivals is how many users come, and how far apart.
const (
	arrivals = 200
	apart    = 300 * time.Millisecond
)

// BenchmarkArrival measures how long it takes from CreateUser until the user's
// entry is in aws-auth, as somebody sees it who watches it, for 200 users who
// come one after another over a minute.
//
// It takes about 5 minutes: a minute or more for each row.
func BenchmarkArrival(b *testing.B) {
	for _, side := range []struct {
		name     string
		interval time.Duration
		events   bool
		lag      time.Duration
	}{
		{"events", time.Hour, true, 0},
		{"events-list-lag-2s", time.Hour, true, 2 * time.Second},
		{"polling-15s", 15 * time.Second, false, 0},
		{"polling-15s-list-lag-2s", 15 * time.Second, false, 2 * time.Second},
	} {
		b.Run(side.name, func(b *testing.B) {
			var took []time.Duration
			lists := 0
			for b.Loop() {
				w := newWorld(b)
				queue := ""
				if side.events {
					queue = "events"
					w.aws.SendEvents(fakeaws.EventRule{Queue: queue})
				}
				w.aws.SetLag(fakeaws.Lag{List: side.lag})
				w.awsAuth(person)
				w.rules(fooRule)
				stop := w.manage(side.interval, queue)
				seen := w.watchEntries()
				took = append(took, w.arrive(seen)...)
				stop()
				lists += w.lists()
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-p50")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-p99")
			b.ReportMetric(float64(lists)/float64(b.N), "ListUsers")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type arrival struct {
	name string
	at   time.Time
}

// watchEntries tells of each user when it is first seen in aws-auth.
func (w *world) watchEntries() <-chan arrival {
	w.Helper()
	watch, err := w.admin.Watch(w.Context(), metav1.SingleObject(metav1.ObjectMeta{Name: "aws-auth"}))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(watch.Stop)
	seen := make(chan arrival, arrivals+1)
	go func() {
		user := regexp.MustCompile(`:user/(tmp-foo-\d+)\n`)
		known := map[string]bool{}
		for event := range watch.ResultChan() {
			cm, ok := event.Object.(*corev1.ConfigMap)
			if !ok {
				continue
			}
			now := time.Now()
			for _, m := range user.FindAllStringSubmatch(cm.Data["mapUsers"], -1) {
				if !known[m[1]] {
					known[m[1]] = true
					seen <- arrival{m[1], now}
				}
			}
		}
	}()
	return seen
}

// arrive makes users, and returns how long each took to be seen.
func (w *world) arrive(seen <-chan arrival) []time.Duration {
	w.Helper()
	w.createUsers("tmp-foo-0") // begins when the refresher runs
	<-seen
	made := map[string]time.Time{}
	ticker := time.NewTicker(apart)
	defer ticker.Stop()
	var took []time.Duration
	note := func(a arrival) { took = append(took, a.at.Sub(made[a.name])) }
	for len(made) < arrivals {
		select {
		case a := <-seen:
			note(a)
		case <-ticker.C:
			name := fmt.Sprintf("tmp-foo-%d", len(made)+1)
			made[name] = time.Now()
			w.createUsers(name)
		}
	}
	for deadline := time.After(time.Minute); len(took) < arrivals; {
		select {
		case a := <-seen:
			note(a)
		case <-deadline:
			w.Fatalf("only %d users are let in", len(took))
		}
	}
	return took
}
