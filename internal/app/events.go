package app

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
)

// listenTo has the manager receive IAM's events from a queue, on the leader
// only: each event has one receiver.
func listenTo(queueURL string, mgr ctrl.Manager, deps ControllerDeps, meter iamevents.Meter) (*iamevents.Source, error) {
	region, err := iamevents.Region(queueURL)
	if err != nil {
		return nil, fmt.Errorf("--events-queue-url: %w", err)
	}
	source := iamevents.New(iamevents.Config{
		Queue: sqs.NewFromConfig(deps.AWS, func(o *sqs.Options) {
			if region != "" {
				o.Region = region
			}
		}),
		URL: queueURL, Clock: clock.RealClock{}, Log: deps.Log.WithName("events"), Meter: meter,
	})
	if err := mgr.Add(source); err != nil {
		return nil, fmt.Errorf("configuring the receiver of events: %w", err)
	}
	return source, nil
}
