package promql_test

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// now is when the alerts are asked.
var now = time.Unix(1_800_000_000, 0)

// scraped are the series of now, as they are written in PromQL. What halfHourAgo
// says of a series is what it was then.
type scraped map[string]float64

// halfHourAgo names what a series was.
func halfHourAgo(series string) string { return series + earlier }

const earlier = " half an hour ago"

// Querier makes a storage of it.
func (s scraped) Querier(int64, int64) (storage.Querier, error) { return querier{s}, nil }

type querier struct{ series scraped }

func (querier) Close() error { return nil }

func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found set
	for text, value := range q.series {
		if strings.HasSuffix(text, earlier) {
			continue
		}
		metric, err := parser.ParseMetric(text)
		if err != nil {
			return storage.ErrSeriesSet(err)
		}
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(metric.Get(m.Name)) }) {
			continue
		}
		points := []promql.FPoint{{T: now.UnixMilli(), F: value}}
		if before, ok := q.series[halfHourAgo(text)]; ok {
			points = append([]promql.FPoint{{T: now.Add(-30 * time.Minute).UnixMilli(), F: before}}, points...)
		}
		found.left = append(found.left, promql.NewStorageSeries(promql.Series{Metric: metric, Floats: points}))
	}
	return &found
}

// set is a storage.SeriesSet.
type set struct {
	at   storage.Series
	left []storage.Series
}

func (s *set) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.at, s.left = s.left[0], s.left[1:]
	return true
}

func (s *set) At() storage.Series              { return s.at }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

func refresher(name, rest, instance string) string {
	return "aws_auth_refresher_" + name + `{cluster="prod",instance="` + instance + `"` + rest + "}"
}

// TestWhichAlertsFire asks every alert about clusters whose replicas are in
// different states.
func TestWhichAlertsFire(t *testing.T) {
	const minute = 60
	ago := func(seconds float64) float64 { return float64(now.Unix()) - seconds }
	leads := func(instance string, degraded, success float64) scraped {
		return scraped{
			refresher("leader", "", instance):                                1,
			refresher("condition", `,type="Degraded"`, instance):             degraded,
			refresher("condition", `,type="RulesAccepted"`, instance):        1,
			refresher("held_removals", "", instance):                         0,
			refresher("account_listed", `,account="123456789012"`, instance): 1,
			refresher("last_success_timestamp_seconds", "", instance):        success,
			refresher("aws_auth_bytes", "", instance):                        1000,
			refresher("aws_auth_limit_bytes", "", instance):                  1_000_000,
		}
	}
	standsBy := scraped{refresher("leader", "", "b"): 0, refresher("aws_auth_limit_bytes", "", "b"): 1_000_000}
	formerly := func(success float64) scraped {
		return scraped{
			refresher("leader", "", "b"): 0, refresher("last_success_timestamp_seconds", "", "b"): success,
			refresher("aws_auth_limit_bytes", "", "b"): 1_000_000,
		}
	}
	for _, tt := range []struct {
		reason   string
		replicas []scraped
		want     []string
	}{
		{"nothing runs", nil, []string{"AWSAuthRefresherAbsent"}},
		{"one leads, one never did", []scraped{leads("a", 0, ago(5)), standsBy}, nil},
		{"one leads, one did an hour ago", []scraped{leads("a", 0, ago(5)), formerly(ago(60 * minute))}, nil},
		{"the leader needs a person, and refreshes", []scraped{leads("a", 1, ago(5)), standsBy}, []string{"AWSAuthRefresherDegraded"}},
		{"the leader's refreshes hang", []scraped{leads("a", 1, ago(20*minute)), standsBy}, []string{"AWSAuthRefresherDegraded", "AWSAuthRefresherStale"}},
		{"nobody has led for twenty minutes", []scraped{formerly(ago(20 * minute))}, []string{"AWSAuthRefresherStale"}},
		{"the leader has not succeeded yet, but the one before", []scraped{without(leads("a", 1, 0)), formerly(ago(2 * minute))}, []string{"AWSAuthRefresherDegraded"}},
		{"nobody has ever succeeded", []scraped{without(leads("a", 1, 0)), standsBy}, []string{"AWSAuthRefresherDegraded", "AWSAuthRefresherNeverSucceeded"}},
		{"nobody is elected", []scraped{standsBy}, []string{"AWSAuthRefresherNeverSucceeded"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			all := scraped{}
			for _, replica := range tt.replicas {
				maps.Copy(all, replica)
			}
			var got []string
			for _, r := range alerts(t) {
				if fires(t, all, r.Expr) {
					got = append(got, r.Alert)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("there fire %q, want %q", got, tt.want)
			}
		})
	}
}

// TestAlertsFireForTheirState, and for no other.
func TestAlertsFireForTheirState(t *testing.T) {
	condition := func(kind string) string { return refresher("condition", `,type="`+kind+`"`, "a") }
	well := func() scraped {
		world := scraped{
			refresher("leader", "", "a"): 1, refresher("last_success_timestamp_seconds", "", "a"): float64(now.Unix()) - 5,
			refresher("aws_auth_bytes", "", "a"): 1000, refresher("aws_auth_limit_bytes", "", "a"): 1_000_000,
			refresher("account_listed", `,account="123456789012"`, "a"): 1, refresher("status_written", "", "a"): 1,
			refresher("revived_total", "", "a"): 3, halfHourAgo(refresher("revived_total", "", "a")): 3,
		}
		for _, kind := range []string{"RulesAccepted", "PrincipalsListed", "Applied", "RulesEffective", "DeletionsProven", "RecordKept", "GrantsHonored",
			"EntriesClean", "HistoryKept", "EventsReceived"} {
			world[condition(kind)] = 1
		}
		for _, kind := range []string{"Degraded", "RemovalHeld", "Paused"} {
			world[condition(kind)] = 0
		}
		for _, count := range []string{"held_removals", "left_out", "given_way", "orphans", "unowned", "unproven_deletions", "frozen_rules"} {
			world[refresher(count, "", "a")] = 0
		}
		return world
	}
	states := map[string]map[string]float64{
		"AWSAuthRefresherAbsent":            nil,
		"AWSAuthRefresherStatusNotWritten":  {refresher("status_written", "", "a"): 0},
		"AWSAuthRefresherDegraded":          {condition("Degraded"): 1},
		"AWSAuthRefresherRulesRefused":      {condition("RulesAccepted"): 0},
		"AWSAuthRefresherRemovalsHeld":      {refresher("held_removals", "", "a"): 12},
		"AWSAuthRefresherCannotListIAM":     {refresher("account_listed", `,account="123456789012"`, "a"): 0},
		"AWSAuthRefresherDeletionsUnproven": {condition("DeletionsProven"): 0},
		"AWSAuthRefresherRecordLost":        {condition("RecordKept"): 0},
		"AWSAuthRefresherRulesIneffective":  {condition("RulesEffective"): 0},
		"AWSAuthRefresherPaused":            {condition("Paused"): 1},
		"AWSAuthRefresherEventsNotReceived": {condition("EventsReceived"): 0},
		"AWSAuthAlmostFull":                 {refresher("aws_auth_bytes", "", "a"): 900_000},
		"AWSAuthPrincipalsLeftOut":          {refresher("left_out", "", "a"): 1},
		"AWSAuthGrantsGivenWay":             {refresher("given_way", "", "a"): 1},
		"AWSAuthEntriesWrittenBack":         {refresher("revived_total", "", "a"): 4},
		"AWSAuthOrphanedEntries":            {refresher("orphans", "", "a"): 1},
		"AWSAuthRefresherStale":             {refresher("last_success_timestamp_seconds", "", "a"): float64(now.Unix()) - 1200},
		"AWSAuthRefresherNeverSucceeded":    nil,
	}
	for _, r := range alerts(t) {
		state, known := states[r.Alert]
		if !known {
			t.Errorf("%s: no state is known that it fires for", r.Alert)
		}
		if fires(t, well(), r.Expr) {
			t.Errorf("%s fires while all is well", r.Alert)
		}
		for of, state := range states {
			world := well()
			maps.Copy(world, state)
			if of != r.Alert && fires(t, world, r.Expr) {
				t.Errorf("%s fires for what is %s's", r.Alert, of)
			}
		}
		if state == nil {
			continue // TestWhichAlertsFire has it
		}
		world := well()
		maps.Copy(world, state)
		if !fires(t, world, r.Expr) {
			t.Errorf("%s does not fire", r.Alert)
		}
	}
}

// TestTheSimpleAlertsOfTheReadme fire when the leader is in trouble, and not
// because of a replica that led an hour ago.
func TestTheSimpleAlertsOfTheReadme(t *testing.T) {
	found := regexp.MustCompile("Three alerts go a long way: `(.+?)`, `(.+?)` and `(.+?)`").FindStringSubmatch(read(t, readmePath))
	if found == nil {
		t.Fatal("the README has no three alerts")
	}
	leader, condition := refresher("leader", "", "a"), refresher("condition", `,type="Degraded"`, "a")
	held := refresher("held_removals", "", "a")
	success, formerly := refresher("last_success_timestamp_seconds", "", "a"), refresher("last_success_timestamp_seconds", "", "b")
	now := float64(now.Unix())
	for _, expression := range found[1:] {
		if world := (scraped{leader: 1, condition: 0, held: 0, success: now - 5, formerly: now - 3600}); fires(t, world, expression) {
			t.Errorf("%s fires while all is well", expression)
		}
		if world := (scraped{leader: 1, condition: 1, held: 1, success: now - 600, formerly: now - 3600}); !fires(t, world, expression) {
			t.Errorf("%s does not fire", expression)
		}
	}
}

// without takes the last success out.
func without(s scraped) scraped {
	for series := range s {
		if strings.Contains(series, "last_success") {
			delete(s, series)
		}
	}
	return s
}

func fires(t *testing.T, world scraped, expression string) bool {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute})
	defer func() { _ = engine.Close() }()
	query, err := engine.NewInstantQuery(t.Context(), world, nil, expression, now)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	return len(vector) > 0
}
