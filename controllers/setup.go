package controllers

import (
	"context"
	"errors"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// request is the one key of the work queue: however much happens, there is at
// most one refresh under way and one waiting.
func request() reconcile.Request { return reconcile.Request{} }

// SetupWithManager has the manager drive the reconciler: at once, on time, and
// whenever the rules or aws-auth change.
func (r *AWSAuthReconciler) SetupWithManager(mgr ctrl.Manager) error {
	c, err := controller.New("aws-auth", mgr, controller.Options{
		Reconciler: r,
		// A process that has lost the Lease makes a new manager and controller.
		SkipNameValidation: new(true),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			500*time.Millisecond, max(r.RefreshInterval, time.Second)),
	})
	if err != nil {
		return err
	}
	start := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(request())
		return nil
	})
	for _, s := range []source.Source{r.lists(), start, r.watch(r.Names.Rules), r.watch(r.Names.AWSAuth), r.hear()} {
		if err := c.Watch(s); err != nil {
			return err
		}
	}
	return nil
}

// watch watches one ConfigMap by name. A cache of its own for each keeps the
// rights small: list and watch limited by resourceNames are granted only with
// a field selector for the name, and a manager's cache has one for each type.
func (r *AWSAuthReconciler) watch(name string) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		one := toolscache.NewListWatchFromClient(r.Watch, "configmaps", r.Namespace, fields.OneTermEqualSelector("metadata.name", name))
		informer := toolscache.NewSharedInformer(one, &corev1.ConfigMap{}, 0)
		// Only that something changed matters here; what did is read live.
		err := informer.SetTransform(func(object any) (any, error) {
			if cm, ok := object.(*corev1.ConfigMap); ok {
				cm.Data, cm.BinaryData, cm.ManagedFields, cm.Annotations = nil, nil, nil, nil
			}
			return object, nil
		})
		if err != nil {
			return err
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { queue.Add(request()) },
			UpdateFunc: func(before, after any) {
				was, ok := before.(*corev1.ConfigMap)
				is, alsoOK := after.(*corev1.ConfigMap)
				if !ok || !alsoOK || was.ResourceVersion != is.ResourceVersion {
					queue.Add(request())
				}
			},
			DeleteFunc: func(any) { queue.Add(request()) },
		})
		if err != nil {
			return err
		}
		go informer.RunWithContext(ctx)
		return nil
	})
}

// Ready is a readiness check: it passes once the rules could be read and, on
// the leader, the first refresh has ended, well or badly. elected tells whether
// this replica leads; one that waits for its turn is ready to take over.
func (r *AWSAuthReconciler) Ready(elected <-chan struct{}) func(*http.Request) error {
	return func(req *http.Request) error {
		select {
		case <-r.ready:
			return nil
		default:
		}
		select {
		case <-elected:
			return errors.New("the first refresh has not ended yet")
		default:
		}
		_, err := r.store.get(req.Context(), r.Names.Rules)
		return err
	}
}

func (r *AWSAuthReconciler) markReady() {
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
}
