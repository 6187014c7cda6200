package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/mappings"
)

// backendMetrics are those of aws-iam-authenticator about backends.
type backendMetrics struct {
	watch, files, instances prometheus.Counter
	enabled, only           prometheus.Gauge
	delay                   *prometheus.HistogramVec
}

func newBackendMetrics(reg prometheus.Registerer) *backendMetrics {
	const prefix = "aws_iam_authenticator_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	m := &backendMetrics{
		watch:     counter("configmap_watch_failures_total", "Times that the watch of aws-auth failed."),
		files:     counter("dynamicfile_failures_total", "Times that the dynamic file could not be read."),
		instances: counter("ec2_describe_instances_calls_total", "Calls of DescribeInstances."),
		enabled:   gauge("dynamic_file_enabled", "1 while DynamicFile is one of several backends."),
		only:      gauge("dynamic_file_only", "1 while DynamicFile is the only backend."),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    prefix + "dynamic_e2e_latency_seconds",
			Help:    "From when a dynamic file says it was written until it took effect, in seconds, by type.",
			Buckets: []float64{1, 3, 5, 10, 15, 20, 30, 60},
		}, []string{"type"}),
	}
	reg.MustRegister(m.watch, m.files, m.instances, m.enabled, m.only, m.delay)
	return m
}

// took gives what observes how long a file of a type took to take effect.
func (m *backendMetrics) took(file string) func(time.Time) {
	return func(written time.Time) {
		if took := time.Since(written); took >= 0 {
			m.delay.WithLabelValues(file).Observe(took.Seconds())
		}
	}
}

// changed takes note of the backends that are asked now.
func (m *backendMetrics) changed(modes []string, written time.Time) {
	var enabled, only float64
	switch {
	case !slices.Contains(modes, authnconfig.DynamicFile):
	case len(modes) == 1:
		only = 1
	default:
		enabled = 1
	}
	m.enabled.Set(enabled)
	m.only.Set(only)
	if !written.IsZero() {
		m.took("dynamic_backend_mode")(written)
	}
}

// newBackends gives the backends that the options, or the file that these name,
// want to be asked.
func newBackends(o AuthenticatorOptions, deps AuthenticatorDeps, reg prometheus.Registerer) *mappings.Switch {
	metrics := newBackendMetrics(reg)
	chain := mappings.Chain{Reserved: o.Server.ReservedPrefixes}
	if deps.AWS.Region != "" && deps.AWS.Credentials != nil {
		chain.Nodes = nodeNames(o.Server, deps.AWS, metrics.instances.Inc)
	}
	return mappings.NewSwitch(mappings.SwitchConfig{
		Modes: o.Server.BackendMode, Path: o.Server.BackendModePath, Changed: metrics.changed, Log: deps.Log,
		Make: func(modes []string) (*mappings.Chain, error) {
			if err := o.Server.CheckModes(modes); err != nil {
				return nil, err
			}
			next := chain
			for _, mode := range modes {
				b, err := newBackend(mode, o, deps, metrics)
				if err != nil {
					return nil, err
				}
				next.Backends = append(next.Backends, b)
			}
			return &next, nil
		},
	})
}

func newBackend(mode string, o AuthenticatorOptions, deps AuthenticatorDeps, metrics *backendMetrics) (mappings.Backend, error) {
	switch mode {
	case authnconfig.MountedFile:
		return mappings.NewMountedFile(mappings.FileConfig{Path: o.Path, Log: deps.Log}), nil
	case authnconfig.DynamicFile:
		file := mappings.FileConfig{Path: o.Server.Path, Log: deps.Log, Failed: metrics.files.Inc, Changed: metrics.took("dynamic_file")}
		return mappings.NewDynamicFile(file, o.Server.UserIDStrict), nil
	}
	cluster, err := deps.cluster()
	if err != nil {
		return nil, fmt.Errorf("backend mode %s: %w", mode, err)
	}
	if mode == authnconfig.CRD {
		plain := rest.CopyConfig(cluster)
		plain.ContentType, plain.AcceptContentTypes = "", "" // custom resources have no other encoding than JSON
		client, err := dynamic.NewForConfig(plain)
		if err != nil {
			return nil, fmt.Errorf("configuring the Kubernetes client: %w", err)
		}
		return mappings.NewCRD(mappings.CRDConfig{Client: client, Log: deps.Log}), nil
	}
	core, err := corev1client.NewForConfig(cluster)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	return mappings.NewConfigMap(mappings.ConfigMapConfig{
		Core: core.RESTClient(), Log: deps.Log, Wipe: o.WipeUnparsable, Failed: metrics.watch.Inc,
	}), nil
}

// cluster is the one that is given, or can be found now.
func (d *AuthenticatorDeps) cluster() (*rest.Config, error) {
	if d.Cluster != nil {
		return d.Cluster, nil
	}
	if d.FindCluster == nil {
		return nil, errors.New("there is no cluster")
	}
	return d.FindCluster()
}
