package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

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

// TestClusterThatComesLater: a file of backend modes may name a backend whose
// cluster cannot be found yet. The log says why, and it is looked for again.
func TestClusterThatComesLater(t *testing.T) {
	dir := t.TempDir()
	modes := filepath.Join(dir, "modes.json")
	if err := os.WriteFile(modes, []byte(`{"backendMode": "EKSConfigMap"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var logged strings.Builder
	var o AuthenticatorOptions
	o.Server = authnconfig.Server{BackendMode: []string{authnconfig.MountedFile}, Kubeconfig: filepath.Join(dir, "kubeconfig")}
	o.Server.BackendModePath = modes
	backends := newBackends(o, AuthenticatorDeps{
		FindCluster: func() (*rest.Config, error) { return authenticatorCluster(o.Server) },
		Log: funcr.New(func(_, line string) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(&logged, line)
		}, funcr.Options{}),
	}, prometheus.NewRegistry())
	for _, row := range []struct{ reason, kubeconfig, want string }{
		{"no kubeconfig", "", "kubeconfig: no such file"},
		{"one that is broken", "{", "error loading config file"},
		{"one that is right", "apiVersion: v1\nkind: Config\ncurrent-context: x\n" +
			"clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: x, context: {cluster: x}}]\n", `"backends"=["EKSConfigMap"]`},
	} {
		if row.kubeconfig != "" {
			if err := os.WriteFile(o.Server.Kubeconfig, []byte(row.kubeconfig), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		backends.Refresh(t.Context())
		mu.Lock()
		if log := logged.String(); !strings.Contains(log, row.want) {
			t.Errorf("%s: logged %q, want %q", row.reason, log, row.want)
		}
		mu.Unlock()
	}
}
