package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

// measured gives the world's refresher new metrics and returns how many series
// each has, and the value of the last one.
func (w *world) measured() func() (series map[string]int, value map[string]float64) {
	reg := prometheus.NewRegistry()
	w.config.Metrics = NewMetrics(reg, 0)
	w.restart()
	return func() (map[string]int, map[string]float64) {
		w.Helper()
		found, err := reg.Gather()
		if err != nil {
			w.Fatal(err)
		}
		series, value := map[string]int{}, map[string]float64{}
		for _, family := range found {
			name := strings.TrimPrefix(family.GetName(), prefix)
			for _, m := range family.GetMetric() {
				series[name]++
				value[name] = m.GetGauge().GetValue()
			}
		}
		return series, value
	}
}

// TestWhatCountsAsSuccess: last_success says that aws-auth follows IAM as far as
// it can, so that its age is worth waking somebody for. What needs a person and
// keeps nobody else out has conditions and alerts of its own.
func TestWhatCountsAsSuccess(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		trouble func(*world)
		want    bool
	}{
		{"nothing is wrong", func(*world) {}, true},
		{"aws-auth is full", func(w *world) { w.config.Limit = len(person) + 20 }, true},
		{"the rules are refused, and those before go on", func(w *world) { w.rules("nonsense") }, true},
		{"it is told to write nothing", func(w *world) {
			cm := w.get("aws-auth-refresher")
			cm.Annotations = map[string]string{PausedAnnotation: "lunch"}
			_, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{})
			w.must(nil, err)
		}, true},
		{"IAM cannot be listed", func(w *world) {
			w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Denied})
		}, false},
		{"aws-auth cannot be written", func(w *world) {
			w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(verb, _ string) error {
				if verb == "apply" {
					return errors.New("refused")
				}
				return nil
			}}
		}, false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorldWith(t, "tmp-foo-1")
			w.createUsers("tmp-foo-2")
			tt.trouble(w)
			metrics := w.measured()
			_, _ = w.refresher.Reconcile(t.Context(), request())
			if series, _ := metrics(); (series["last_success_timestamp_seconds"] == 1) != tt.want {
				t.Errorf("success: %t, want %t", !tt.want, tt.want)
			}
		})
	}
}

func TestEKSThatDoesNotAnswerIsNoSuccess(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.Denied})
	metrics := w.measured()
	_, _ = w.refresher.Reconcile(t.Context(), request())
	if series, _ := metrics(); series["last_success_timestamp_seconds"] != 0 {
		t.Error("a refresh that knows nothing of access entries counts as a success")
	}
}

func TestOneAccountOfTwoIsASuccess(t *testing.T) {
	w, _ := newAccountsWorld(t)
	w.config.Lister = principals.NewAccounts(w.lister(), w.listerAs("AKIAOTHER", "not the secret", otherAccount))
	metrics := w.measured()
	w.refresh()
	if series, _ := metrics(); series["last_success_timestamp_seconds"] != 1 {
		t.Error("an account that cannot be listed keeps the other's refreshes from being one")
	}
}

// TestAStandbyTellsNothing of what it knew as a leader: the next one changes it.
func TestAStandbyTellsNothing(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	metrics := w.measured()
	w.config.Metrics.Leading()
	w.refresh()
	states := []string{"condition", "entries", "held_removals", "left_out", "given_way", "principals", "account_listed",
		"rule_matches", "aws_auth_bytes", "access_entries"}
	series, value := metrics()
	for _, name := range states {
		if series[name] == 0 {
			t.Errorf("a leader does not tell %s", name)
		}
	}
	if value["leader"] != 1 {
		t.Error("a leader does not say so")
	}
	success := value["last_success_timestamp_seconds"]

	w.config.Metrics.StandingBy()
	series, value = metrics()
	for _, name := range states {
		if series[name] != 0 {
			t.Errorf("a standby tells %s", name)
		}
	}
	if value["leader"] != 0 || value["last_success_timestamp_seconds"] != success {
		t.Errorf("leader %v, last success %v, want 0 and still %v", value["leader"], value["last_success_timestamp_seconds"], success)
	}
	w.refresh()
	if series, _ = metrics(); series["condition"] == 0 {
		t.Error("it tells nothing when it leads again")
	}
}
