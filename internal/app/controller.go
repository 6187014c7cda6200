package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
)

// leaseName is the Lease that the replicas elect their leader by.
const leaseName = "aws-auth-refresher"

// How many versions of aws-auth are kept: by default, and at most.
const (
	defaultHistory = 10
	maxHistory     = 100
)

// How long whatever is under way may take to stop.
const (
	stopWithin   = 30 * time.Second
	untilStopped = time.Duration(-1) // as long as it takes
)

// ControllerOptions configure the command controller.
type ControllerOptions struct {
	Target
	Policy
	Accounts
	Stores
	Webhook
	Logging
	RefreshInterval time.Duration
	History         int
	EventsQueueURL  string
	LeaderElect     bool
	MetricsAddress  string
	ProbeAddress    string
}

// BindFlags adds the flags with their defaults.
func (o *ControllerOptions) BindFlags(flags *pflag.FlagSet) {
	o.Target.BindFlags(flags)
	o.Policy.BindFlags(flags)
	o.Accounts.BindFlags(flags)
	o.Stores.BindFlags(flags)
	o.Webhook.BindFlags(flags)
	o.Logging.BindFlags(flags)
	flags.DurationVar(&o.RefreshInterval, "refresh-interval", 15*time.Second, "time between two listings of IAM, jittered")
	flags.IntVar(&o.History, "history", defaultHistory, "how many versions of aws-auth to keep, of those before our writes; 0: none")
	flags.StringVar(&o.EventsQueueURL, "events-queue-url", "", "SQS queue that EventBridge sends IAM's events to; they have IAM listed at once")
	flags.BoolVar(&o.LeaderElect, "leader-elect", true, "write only while holding the Lease; for more than one replica")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 turns it off")
	flags.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 turns them off")
}

// Controller is the command that keeps aws-auth in step.
func Controller() *cobra.Command {
	var o ControllerOptions
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Keep aws-auth in step with the rules and with IAM",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Getenv("GOGC") == "" {
				// Memory is dearer than the processor here: a refresh every 15
				// seconds, in a pod on every cluster.
				debug.SetGCPercent(50)
			}
			log, err := o.Logger()
			if err != nil {
				return err
			}
			// Process-wide, so before anything that logs is in use.
			ctrl.SetLogger(log)
			klog.SetLogger(log)
			if err := o.Validate(); err != nil {
				return err
			}
			cluster, err := o.RESTConfig()
			if err != nil {
				return err
			}
			account, err := AWSConfig(cmd.Context(), log)
			if err != nil {
				return err
			}
			return RunController(cmd.Context(), o, ControllerDeps{Cluster: cluster, AWS: account, Log: log})
		},
	}
	o.BindFlags(cmd.Flags())
	return cmd
}

// Validate refuses options that contradict themselves.
func (o *ControllerOptions) Validate() error {
	if o.RefreshInterval < time.Second {
		return fmt.Errorf("--refresh-interval is %s; it must be at least 1s", o.RefreshInterval)
	}
	if o.History < 0 || o.History > maxHistory {
		return fmt.Errorf("--history is %d; it must be from 0 to %d", o.History, maxHistory)
	}
	if _, err := o.roles(); err != nil {
		return err
	}
	if err := errors.Join(o.Stores.Validate(), o.Webhook.Validate(),
		bindAddress("metrics-bind-address", o.MetricsAddress), bindAddress("health-probe-bind-address", o.ProbeAddress)); err != nil {
		return err
	}
	if o.EventsQueueURL != "" {
		if _, err := iamevents.Region(o.EventsQueueURL); err != nil {
			return fmt.Errorf("--events-queue-url: %w", err)
		}
	}
	_, err := o.Settings()
	return err
}

// registry is where metrics go: controller-runtime's, which it serves, or where
// it serves none, one that nobody reads.
func (o *ControllerOptions) registry() prometheus.Registerer {
	if o.MetricsAddress == "0" {
		return prometheus.NewRegistry()
	}
	return metrics.Registry
}

// ControllerDeps is the world that a controller works in.
type ControllerDeps struct {
	Cluster *rest.Config
	AWS     aws.Config
	Log     logr.Logger
}

// RunController runs until ctx ends. Trouble with AWS or the API server does
// not end it, a lost Lease neither: it then stands by again. An error means
// that it could not begin, with bad options or an address that is taken, or that
// it did not stop writing after it had lost the Lease.
func RunController(ctx context.Context, o ControllerOptions, deps ControllerDeps) error {
	if err := o.Validate(); err != nil {
		return err
	}
	settings, err := o.Settings()
	if err != nil {
		return err
	}
	lister, err := NewLister(deps.AWS, o.Accounts)
	if err != nil {
		return err
	}
	core, err := corev1client.NewForConfig(deps.Cluster)
	if err != nil {
		return fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	config := controllers.Config{
		Watch: core.RESTClient(), ConfigMaps: core.ConfigMaps(o.Namespace), Namespace: o.Namespace, Names: o.Names(),
		Lister:          lister,
		Metrics:         controllers.NewMetrics(o.registry(), 0),
		Clock:           clock.RealClock{},
		RefreshInterval: o.RefreshInterval, Removal: settings, Adopt: o.Adopt,
		Rules: o.Options(), History: o.History,
		Target: controllers.Target(o.Stores.Target), Cluster: o.ClusterName,
		Entries: o.accessEntries(deps.AWS, o.Target),
	}
	if o.LeaderElect {
		if err := canBeElected(ctx, deps.Cluster, o.Namespace); err != nil {
			return err
		}
	}
	return runManager(ctx, o, deps, config)
}

// runManager runs what every replica does for as long as the process lives:
// answer probes, metrics and the webhook, and stand for election.
func runManager(ctx context.Context, o ControllerOptions, deps ControllerDeps, config controllers.Config) error {
	mgr, err := ctrl.NewManager(deps.Cluster, ctrl.Options{
		Logger:                  deps.Log,
		Metrics:                 metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:  o.ProbeAddress,
		GracefulShutdownTimeout: new(stopWithin),
	})
	if err != nil {
		return fmt.Errorf("configuring the manager: %w", err)
	}
	if err := o.addTo(mgr, deps, config); err != nil {
		return err
	}
	t := newTerms(o, deps, config)
	// Leader election reports through the core group, where what happens to a
	// Lease has its place.
	t.events = mgr.GetEventRecorderFor("aws-auth-refresher") //nolint:staticcheck // resourcelock knows no other
	if err := mgr.Add(t); err != nil {
		return fmt.Errorf("configuring the election: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("refreshed", t.ready); err != nil {
		return err
	}
	err = mgr.Start(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopping is no error
	}
	return err
}
