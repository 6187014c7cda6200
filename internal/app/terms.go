package app

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/leader"
)

// terms is a Runnable that stands for election, and refreshes in each of its
// terms: with a manager, a reconciler and a memory of their own, all of which
// have ended before the next term begins. What listens outlives them.
type terms struct {
	options ControllerOptions
	deps    ControllerDeps
	config  controllers.Config
	events  resourcelock.EventRecorder
	// present is the readiness of this term, or of standing by.
	present atomic.Pointer[healthz.Checker]
}

var _ manager.LeaderElectionRunnable = (*terms)(nil)

func newTerms(o ControllerOptions, deps ControllerDeps, config controllers.Config) *terms {
	t := &terms{options: o, deps: deps, config: config}
	t.standBy()
	return t
}

// NeedLeaderElection is false: the election is what it does.
func (*terms) NeedLeaderElection() bool { return false }

// Start stands for election until ctx ends.
func (t *terms) Start(ctx context.Context) error {
	if !t.options.LeaderElect {
		return t.lead(ctx)
	}
	return leader.Config{
		Cluster: t.deps.Cluster, Namespace: t.options.Namespace, Name: leaseName,
		Events: t.events, Log: t.deps.Log.WithName("leader"), Grace: stopWithin,
	}.Run(ctx, t.lead)
}

// lead refreshes until ctx ends, and returns when nothing is under way any
// longer.
func (t *terms) lead(ctx context.Context) error {
	mgr, err := ctrl.NewManager(t.deps.Cluster, ctrl.Options{
		Logger: t.deps.Log, Metrics: metricsserver.Options{BindAddress: "0"},
		GracefulShutdownTimeout: new(untilStopped),
	})
	if err != nil {
		return fmt.Errorf("configuring the manager: %w", err)
	}
	config := t.config
	config.Events = mgr.GetEventRecorder("aws-auth-refresher")
	if t.options.EventsQueueURL != "" {
		if config.Announcements, err = listenTo(t.options.EventsQueueURL, mgr, t.deps, config.Metrics); err != nil {
			return err
		}
	}
	reconciler := controllers.NewReconciler(config)
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("configuring the controller: %w", err)
	}
	defer t.standBy()
	t.config.Metrics.Leading()
	t.present.Store(new(healthz.Checker(reconciler.Ready(mgr.Elected()))))
	return mgr.Start(ctx)
}

// standBy is ready as soon as the rules can be read, and tells nothing of what
// it knew as a leader: the next one changes it.
func (t *terms) standBy() {
	t.config.Metrics.StandingBy()
	t.present.Store(new(healthz.Checker(controllers.NewReconciler(t.config).Ready(nil))))
}

func (t *terms) ready(r *http.Request) error { return (*t.present.Load())(r) }
