package demo

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
)

// refresher is the controller as it runs at the moment. It can be started again
// with other flags, as a changed Deployment does.
type refresher struct {
	usual []string // its flags
	run   func(app.ControllerOptions) (stop func())
	stop  func()
}

// restart ends the controller and starts it with further flags, as on its
// command line; with none, as usual.
func (r *refresher) restart(flags ...string) error {
	var o app.ControllerOptions
	set := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	o.BindFlags(set)
	if err := set.Parse(append(slices.Clip(r.usual), flags...)); err != nil {
		return fmt.Errorf("flags of the controller: %w", err)
	}
	r.end()
	r.stop = r.run(o)
	return nil
}

// end waits until the controller has ended, and given up its Lease.
func (r *refresher) end() {
	if r.stop != nil {
		r.stop()
	}
	r.stop = nil
}

// controller runs the controller as it runs in a pod, but for its addresses.
func (d *demo) controller(w *world, log logr.Logger, fail context.CancelCauseFunc) error {
	w.refresher = &refresher{
		usual: []string{
			"--refresh-interval", d.RefreshInterval.String(),
			"--metrics-bind-address", "0", "--health-probe-bind-address", "0",
		},
		run: func(o app.ControllerOptions) func() {
			return launch("controller", w, fail, func(ctx context.Context) error {
				return app.RunController(ctx, o, app.ControllerDeps{Cluster: w.cluster.controller, AWS: w.emulator.config(), Log: log})
			})
		},
	}
	if err := w.refresher.restart(); err != nil {
		return err
	}
	d.atEnd(func() error {
		w.refresher.end()
		return nil
	})
	d.part("controller", "looks every %s; its log is %s", d.RefreshInterval, w.log)
	d.part("", "it has the rights of deploy/common.yaml, as %s", serviceAccount)
	return nil
}

// background runs a part until the demo ends.
func (d *demo) background(name string, w *world, fail context.CancelCauseFunc, run func(context.Context) error) {
	stop := launch(name, w, fail, run)
	d.atEnd(func() error {
		stop()
		return nil
	})
}

// launch runs a part until stop is called, which waits for its end. fail is
// called if it ends by itself.
func launch(name string, w *world, fail context.CancelCauseFunc, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := run(ctx)
		if ctx.Err() == nil {
			fail(fmt.Errorf("the %s ended by itself (its log is %s): %w", name, w.log, err))
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
