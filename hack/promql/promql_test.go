// Package promql_test holds that Prometheus can read the alerts and the queries of
// the dashboard, and that they ask for metrics and labels that there are.
package promql_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

const (
	alertsPath    = "../../deploy/chart/files/alerts.yaml"
	dashboardPath = "../../deploy/chart/files/dashboard.json"
	metricsPath   = "../../docs/metrics.md"
	readmePath    = "../../README.md"
)

// metrics are the labels of each series.
type metrics map[string][]string

// documented reads the generated page.
func documented(t *testing.T) metrics {
	t.Helper()
	m := metrics{}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| (.*?) \\|")
	for _, found := range row.FindAllStringSubmatch(read(t, metricsPath), -1) {
		name, kind := found[1], found[2]
		// Prometheus and those who run it add the others.
		known := append(strings.Split(found[3], ", "), "cluster", "instance", model.MetricNameLabel)
		switch kind {
		case "histogram":
			m[name+"_bucket"] = append(known, "le")
			m[name+"_sum"], m[name+"_count"] = known, known
		default:
			m[name] = known
		}
	}
	if len(m) < 20 {
		t.Fatalf("%s has %d metrics", metricsPath, len(m))
	}
	return m
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// check says what is wrong with an expression.
func (m metrics) check(expression string) (problems []string) {
	parsed, err := parser.ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	used := map[string]bool{}
	var known []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		has, exists := m[selector.Name]
		if !exists {
			problems = append(problems, fmt.Sprintf("there is no metric %q", selector.Name))
		}
		known = append(known, has...)
		for _, matcher := range selector.LabelMatchers {
			if !slices.Contains(has, matcher.Name) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", selector.Name, matcher.Name))
			}
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			addAll(used, n.Grouping)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				addAll(used, n.VectorMatching.MatchingLabels)
			}
		}
		return nil
	})
	for label := range used {
		if !slices.Contains(known, label) {
			problems = append(problems, "none of its metrics has the label "+label)
		}
	}
	return problems
}

func addAll(set map[string]bool, words []string) {
	for _, w := range words {
		set[w] = true
	}
}

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, alertsPath)), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func TestAlerts(t *testing.T) {
	known := documented(t)
	names := map[string]bool{}
	for _, r := range alerts(t) {
		t.Run(r.Alert, func(t *testing.T) {
			for _, problem := range known.check(r.Expr) {
				t.Error(problem)
			}
			if _, err := model.ParseDuration(r.For); err != nil {
				t.Errorf("for: %v", err)
			}
			if r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" {
				t.Errorf("severity %q", r.Labels["severity"])
			}
			for name, text := range r.Annotations {
				checkTemplate(t, name, text)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || names[r.Alert] {
				t.Error("it has no summary, no description, or its name twice")
			}
			names[r.Alert] = true
		})
	}
	for topic, alert := range map[string]string{
		"held removals": "AWSAuthRefresherRemovalsHeld", "refused rules": "AWSAuthRefresherRulesRefused",
		"stale refresh": "AWSAuthRefresherStale", "size": "AWSAuthAlmostFull", "Degraded": "AWSAuthRefresherDegraded",
		"a pause": "AWSAuthRefresherPaused", "lost events": "AWSAuthRefresherEventsNotReceived",
		"who should go and stays": "AWSAuthRefresherDeletionsUnproven", "a lost record": "AWSAuthRefresherRecordLost",
		"a rule without effect": "AWSAuthRefresherRulesIneffective", "who is left out": "AWSAuthPrincipalsLeftOut",
		"grants that gave way": "AWSAuthGrantsGivenWay", "a backup that is written back": "AWSAuthEntriesWrittenBack",
		"entries without a principal": "AWSAuthOrphanedEntries",
	} {
		if !names[alert] {
			t.Errorf("no %s: nobody is told about %s; there are %q", alert, topic, slices.Sorted(maps.Keys(names)))
		}
	}
}

// checkTemplate runs the text of an annotation with values as Prometheus has them.
func checkTemplate(t *testing.T, name, text string) {
	t.Helper()
	plain := func(any) string { return "" }
	parsed, err := template.New(name).Option("missingkey=error").
		Funcs(template.FuncMap{"humanizeDuration": plain, "humanizePercentage": plain}).
		Parse(`{{$labels := .Labels}}{{$value := .Value}}` + text)
	if err != nil {
		t.Error(err)
		return
	}
	var out strings.Builder
	err = parsed.Execute(&out, map[string]any{"Labels": map[string]string{"account": "123456789012", "kind": "user"}, "Value": 1.0})
	if err != nil {
		t.Error(err)
	}
}

func TestDashboard(t *testing.T) {
	known := documented(t)
	var dashboard struct {
		Panels []struct {
			ID          int
			Title, Type string
			Description string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, dashboardPath)), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) == 0 {
		t.Fatal("no panels")
	}
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("%s: its id twice, no description, or no query", panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			// Grafana puts the interval in.
			for _, problem := range known.check(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")) {
				t.Errorf("%s: %s", panel.Title, problem)
			}
		}
		at := panel.GridPos
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %q, or outside", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
}

func TestCheckSeesMistakes(t *testing.T) {
	known := metrics{"a_total": {"kind", model.MetricNameLabel}}
	for expression, mistake := range map[string]string{
		`sum(a_total`:                   "not closed",
		`b_total > 0`:                   "no such metric",
		`a_total{kid="user"}`:           "no such label",
		`sum by (kid) (a_total)`:        "no such label to group by",
		`a_total and on (kid) a_total`:  "no such label to match on",
		`rate(a_total)`:                 "rate of an instant",
		`a_total[5m] > 0`:               "comparison of a range",
		`histogram_quantile(a_total)`:   "too few arguments",
		`sum(rate(a_total[5 minutes]))`: "no such duration",
	} {
		if len(known.check(expression)) == 0 {
			t.Errorf("%s is accepted: %s", expression, mistake)
		}
	}
	if problems := known.check(`sum by (kind) (rate(a_total{kind="user"}[5m])) > 0`); len(problems) != 0 {
		t.Error(problems)
	}
}
