package controllers

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// inTrouble is a world where a trouble has happened and was reported.
type inTrouble struct {
	*world
	// tells is what its condition's message says of the way out.
	tells string
	// out goes the way out, until the condition is as it should be.
	out func()
}

// walk is the test of one row.
type walk struct{ *testing.T }

// makers make each trouble happen, by condition and reason.
func makers() makersOf {
	all := makersOf{}
	for _, some := range []makersOf{
		makeRuleTroubles(), makeGrantTroubles(), makeListingTroubles(), makeEventTroubles(), makeDeletionTroubles(), makeWritingTroubles(),
		makeRecordTroubles(), makeEntryTroubles(), makePauseTroubles(), makeHistoryTroubles(),
	} {
		maps.Copy(all, some)
	}
	return all
}

// TestEveryTroubleIsSaid walks the table: each trouble is told by its condition,
// with the way out, by its event, its metrics and its alert; and where the way out
// is gone, by none of them any longer.
func TestEveryTroubleIsSaid(t *testing.T) {
	all, alerts := makers(), alertExpressions(t)
	for _, row := range troubles() {
		key := row.condition + " " + row.reason
		maker := all[key]
		delete(all, key)
		t.Run(key, func(t *testing.T) {
			if maker == nil {
				t.Fatal("nobody knows how to make it happen")
			}
			w := maker(walk{t})
			c := w.condition(row.condition)
			if c.Status != row.status() || c.Reason != row.reason {
				t.Fatalf("condition %+v", c)
			}
			if w.tells == "" || !strings.Contains(c.Message, w.tells) {
				t.Errorf("%q does not tell the way out, %q", c.Message, w.tells)
			}
			if w.events.count("Warning "+row.event()+": ") == 0 {
				t.Errorf("no event %s: %q", row.event(), w.events.notes)
			}
			metrics := w.series()
			for _, expression := range append(row.metrics(), alerts[row.alert]) {
				if !metrics.hold(t, expression) {
					t.Errorf("it does not show in %s: %v", expression, metrics)
				}
			}
			if d := w.condition(ConditionDegraded); row.alert == alertDegraded && d.Status != metav1.ConditionTrue {
				t.Errorf("condition %+v", d)
			}

			w.out()
			if c := w.condition(row.condition); c.Status == row.status() && c.Reason == row.reason {
				t.Errorf("the way out leads nowhere: %+v", c)
			}
			for _, expression := range append(row.metrics(), alerts[row.alert]) {
				if !strings.Contains(expression, "_total") && w.series().hold(t, expression) {
					t.Errorf("the way out was gone, and still it shows in %s: %v", expression, w.series())
				}
			}
		})
	}
	for key := range all {
		t.Errorf("%s is made, and is no row of the table", key)
	}
}

// TestNoTroubleIsSaidWhereThereIsNone.
func TestNoTroubleIsSaidWhereThereIsNone(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.settle()
	metrics, alerts := w.series(), alertExpressions(t)
	for _, row := range troubles() {
		for _, expression := range append(row.metrics(), alerts[row.alert]) {
			if metrics.hold(t, expression) {
				t.Errorf("%s shows in %s", row.event(), expression)
			}
		}
	}
	if n := w.events.count("Warning "); n != 0 {
		t.Errorf("events: %q", w.events.notes)
	}
}

// TestATroubleThatTheTableLacksIsToldToo: it must not be silent for that.
func TestATroubleThatTheTableLacksIsToldToo(t *testing.T) {
	t.Parallel()
	got, bad := troubleOf(metav1.Condition{Type: ConditionApplied, Status: metav1.ConditionFalse, Reason: "New"})
	if !bad || got.event() != "AppliedNew" {
		t.Errorf("%t, event %s", bad, got.event())
	}
	if _, bad := troubleOf(metav1.Condition{Type: ConditionRemovalHeld, Status: metav1.ConditionFalse, Reason: "NothingHeld"}); bad {
		t.Error("what is held by nobody is no trouble")
	}
}

// series are metrics that are served, with their labels.
type series map[string]float64

// series gathers the metrics of a world.
func (w *world) series() series {
	w.Helper()
	m, reg := w.config.Metrics, prometheus.NewPedanticRegistry()
	for _, c := range m.states() {
		reg.MustRegister(c)
	}
	reg.MustRegister(m.bytesLimit, m.revived, m.trouble)
	families, err := reg.Gather()
	if err != nil {
		w.Fatal(err)
	}
	all := series{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			key := family.GetName()
			for _, label := range m.GetLabel() {
				key += fmt.Sprintf("{%s=%q}", label.GetName(), label.GetValue())
			}
			all[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// hold evaluates a comparison of series as Prometheus does, as far as the table
// and the alerts for its rows need that. An increase is taken to be that since
// the process began.
func (s series) hold(t *testing.T, expression string) bool {
	t.Helper()
	plain := regexp.MustCompile(`(?:max by \(cluster\) |increase)\(([^()[]+)(?:\[1h\])?\)`).ReplaceAllString(expression, "$1")
	m := regexp.MustCompile(`^(\w+(?:\{type="\w+"\})?)(?: / (\w+))? (==|>) ([0-9.]+)$`).FindStringSubmatch(plain)
	if m == nil {
		t.Fatalf("it is not known how to evaluate %s", expression)
	}
	bound, err := strconv.ParseFloat(m[4], 64)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(slices.Sorted(maps.Keys(s)), func(key string) bool {
		if key != m[1] && (strings.Contains(m[1], "{") || !strings.HasPrefix(key, m[1]+"{")) {
			return false
		}
		value := s[key]
		if m[2] != "" {
			value /= s[m[2]]
		}
		return m[3] == "==" && value == bound || m[3] == ">" && value > bound
	})
}
