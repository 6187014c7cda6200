package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

// TestBackendMetrics: dashboards of aws-iam-authenticator see which backends are
// asked and how long their files took.
func TestBackendMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newBackendMetrics(registry)
	for _, row := range []struct {
		modes         []string
		written       time.Time
		enabled, only float64
		observed      uint64
	}{
		{[]string{authnconfig.MountedFile}, time.Time{}, 0, 0, 0},
		{[]string{authnconfig.EKSConfigMap, authnconfig.DynamicFile}, time.Now().Add(-time.Minute), 1, 0, 1},
		{[]string{authnconfig.DynamicFile}, time.Now().Add(time.Hour), 0, 1, 1},
		{[]string{authnconfig.CRD}, time.Time{}, 0, 0, 1},
	} {
		m.changed(row.modes, row.written)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		var observed uint64
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				got[family.GetName()] = metric.GetGauge().GetValue()
				observed += metric.GetHistogram().GetSampleCount()
			}
		}
		want := map[string]float64{"aws_iam_authenticator_dynamic_file_enabled": row.enabled, "aws_iam_authenticator_dynamic_file_only": row.only}
		for name := range want {
			if diff := cmp.Diff(want[name], got[name]); diff != "" {
				t.Errorf("%v: %s: -want +got\n%s", row.modes, name, diff)
			}
		}
		if observed != row.observed {
			t.Errorf("%v: %d observations, want %d", row.modes, observed, row.observed)
		}
	}
}
