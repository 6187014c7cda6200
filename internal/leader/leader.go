// Package leader has one of several processes work at a time: the one that holds
// a Lease. What the work is it leaves to the caller. Nobody who has lost the
// Lease writes over somebody else's, and nobody stands again before the work of
// the last term has ended.
package leader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ErrStuck says that the work went on after its term: the process must end, and
// with it the work, because somebody else may have begun.
var ErrStuck = errors.New("the Lease was lost, and the work did not stop")

// Config says by which Lease the leader is elected, and how fast.
type Config struct {
	// Cluster is where the Lease is.
	Cluster *rest.Config
	// Namespace and Name are the Lease's.
	Namespace, Name string
	// Events records on the Lease who leads; nil: nothing does.
	Events resourcelock.EventRecorder
	Log    logr.Logger
	// LeaseDuration is how long others wait for a leader that is not heard of,
	// in whole seconds; default 15s. RenewDeadline and RetryPeriod, together
	// less than that, are how long a leader tries to renew the Lease and how long
	// it waits between two attempts; default 10s and 2s.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// Grace is how long the work may take to end; default 30s.
	Grace time.Duration
}

func (c Config) withDefaults() Config {
	for field, value := range map[*time.Duration]time.Duration{
		&c.LeaseDuration: 15 * time.Second, &c.RenewDeadline: 10 * time.Second, &c.RetryPeriod: 2 * time.Second, &c.Grace: 30 * time.Second,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return c
}

// Run stands for election until ctx ends, and calls work each time it is
// elected. The context of work ends when ctx does, or when the Lease is lost: as
// soon as another holder is seen in it, and at the latest while nobody else can
// have it yet. After that work must return soon. If it returns before, with an
// error or without, the Lease is given up and Run stands again.
//
// An error other than nil is ErrStuck, or says that the configuration is wrong.
// A Lease that cannot be had is waited for.
func (c Config) Run(ctx context.Context, work func(context.Context) error) error {
	c = c.withDefaults()
	if c.LeaseDuration <= c.RenewDeadline+c.RetryPeriod {
		return fmt.Errorf("a Lease of %s does not outlast the %s in which it is renewed", c.LeaseDuration, c.RenewDeadline+c.RetryPeriod)
	}
	client, err := c.client()
	if err != nil {
		return fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("naming this replica: %w", err)
	}
	for ctx.Err() == nil {
		// A name of its own for each time: whoever lost the Lease is another
		// candidate than the one that wrote it.
		if err := c.stand(ctx, client, host+"_"+string(uuid.NewUUID()), work); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.RetryPeriod):
		}
	}
	return nil
}

// client gives up each request early enough for another attempt.
func (c Config) client() (coordinationclient.LeasesGetter, error) {
	cluster := rest.AddUserAgent(rest.CopyConfig(c.Cluster), "leader-election")
	cluster.Timeout = c.RenewDeadline / 2
	return coordinationclient.NewForConfig(cluster)
}

// stand is one candidacy: it waits for the Lease, works, and gives it up.
func (c Config) stand(ctx context.Context, client coordinationclient.LeasesGetter, identity string, work func(context.Context) error) error {
	working, lose := context.WithCancel(ctx)
	defer lose()
	// The Lease is renewed until the work has ended.
	electing, quit := context.WithCancel(logr.NewContext(context.WithoutCancel(ctx), c.Log))
	defer quit()
	l := &lock{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name}, Client: client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity, EventRecorder: c.Events},
		},
		now: time.Now, lose: func() { lose(); quit() }, patience: c.RenewDeadline + c.RetryPeriod,
	}
	elected, over := make(chan struct{}), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l, Name: c.Name,
		LeaseDuration: c.LeaseDuration, RenewDeadline: c.RenewDeadline, RetryPeriod: c.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(elected) },
			OnStoppedLeading: func() {},
		},
		// The elector would give the Lease up while the work goes on, and keep the
		// work going while its call hangs.
		ReleaseOnCancel: false,
	})
	if err != nil {
		return fmt.Errorf("configuring the election: %w", err)
	}
	go func() {
		defer close(over)
		elector.Run(electing)
	}()
	select {
	case <-elected:
		err = c.lead(working, lose, over, work)
	case <-ctx.Done():
	}
	quit()
	<-over
	if err != nil {
		return err // while the work may go on, nobody is invited to begin
	}
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.RenewDeadline)
	defer cancel()
	if err := l.release(releasing); err != nil {
		c.Log.Info("the Lease could not be given up; it expires", "reason", err.Error())
	}
	return nil
}

// lead works until the term is over: working ends when the Lease is lost or the
// process stops, over when the elector has given up.
func (c Config) lead(working context.Context, lose func(), over <-chan struct{}, work func(context.Context) error) error {
	c.Log.Info("leading")
	ended := make(chan error, 1)
	go func() { ended <- work(working) }()
	select {
	case err := <-ended:
		c.Log.Error(err, "the work has ended, so the Lease is given up")
		return nil
	case <-working.Done():
	case <-over:
	}
	lose()
	select {
	case err := <-ended:
		if err != nil {
			c.Log.Error(err, "the work did not end well")
		}
		c.Log.Info("leading no longer")
		return nil
	case <-time.After(c.Grace):
		return fmt.Errorf("%w within %s", ErrStuck, c.Grace)
	}
}
