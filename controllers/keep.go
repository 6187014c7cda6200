package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
)

const (
	// historyKey is the key of the history ConfigMap's binaryData that holds
	// the versions; see history.History.
	historyKey = "versions.json.gz"
	// keepTimeout is how long an addition waits at most for the version before
	// it to be kept.
	keepTimeout  = 2 * time.Second
	keepAttempts = 3
)

// ConditionHistoryKept is true while the versions of aws-auth before our writes
// are kept.
const ConditionHistoryKept = "HistoryKept"

// errHistoryUnusable says what to do when the history cannot be read.
var errHistoryUnusable = errors.New("delete the ConfigMap to begin a new history, or run the version that wrote it")

// keepVersion keeps aws-auth as it was read, before it is written: whenever the
// process dies, what stood there is in aws-auth or in the history. Letting
// people in is worth more than the history, so trouble with it is reported and
// holds nothing up.
func (r *AWSAuthReconciler) keepVersion(ctx context.Context, run *refresh) {
	if r.History <= 0 || run.awsAuth == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	v := history.Version{At: r.Clock.Now(), Data: run.awsAuth.Data, BinaryData: run.awsAuth.BinaryData, Ours: run.out.before}
	if r.historyErr = r.store.keepVersion(ctx, v, r.History); r.historyErr != nil {
		run.log.Error(r.historyErr, "aws-auth is written without its present version being kept")
	}
}

// retryHistory finds out, without keeping anything, whether a version could be
// kept by now where the last one could not, and once in a process whether the
// history can be read: the next write may be days away.
func (r *AWSAuthReconciler) retryHistory(ctx context.Context, run *refresh) {
	first := !r.historySeen
	r.historySeen = true
	if r.History <= 0 || run.awsAuth == nil || run.done.writes > 0 || r.historyErr == nil && !first {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if first {
		_, _, r.historyErr = r.store.readHistory(ctx)
		return
	}
	dry := store{dryRun{r.store.configMaps}, r.store.names}
	r.historyErr = dry.keepVersion(ctx, history.Version{At: r.Clock.Now(), Data: run.awsAuth.Data, BinaryData: run.awsAuth.BinaryData}, r.History)
}

// dryRun has the API server say what a write would come to.
type dryRun struct {
	corev1client.ConfigMapInterface
}

// Create creates nothing.
func (d dryRun) Create(ctx context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error) {
	o.DryRun = []string{metav1.DryRunAll}
	return d.ConfigMapInterface.Create(ctx, cm, o)
}

// Update updates nothing.
func (d dryRun) Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	o.DryRun = []string{metav1.DryRunAll}
	return d.ConfigMapInterface.Update(ctx, cm, o)
}

// readHistory returns the history ConfigMap, nil if there is none, and the
// history in it.
func (s store) readHistory(ctx context.Context) (*corev1.ConfigMap, *history.History, error) {
	cm, err := s.get(ctx, s.names.History)
	if err != nil || cm == nil {
		return nil, &history.History{}, err
	}
	h, err := history.Decode(cm.BinaryData[historyKey])
	if err != nil {
		return nil, nil, fmt.Errorf("ConfigMap %s, binaryData %s: %w; %w", s.names.History, historyKey, err, errHistoryUnusable)
	}
	return cm, h, nil
}

// keepVersion adds a version to those that are kept, if the newest one is not
// just that.
func (s store) keepVersion(ctx context.Context, v history.Version, keep int) error {
	var err error
	for range keepAttempts {
		var was *corev1.ConfigMap
		var h *history.History
		if was, h, err = s.readHistory(ctx); err != nil {
			return err
		}
		changed, addErr := h.Add(v, keep)
		if addErr != nil || !changed {
			return addErr
		}
		encoded, encodeErr := h.Encode(history.MaxBytes)
		if encodeErr != nil {
			return encodeErr
		}
		now := s.own(was, s.names.History)
		now.BinaryData = map[string][]byte{historyKey: encoded}
		if _, err = s.put(ctx, was != nil, now); !errors.Is(err, errStale) {
			return err
		}
	}
	return err
}

// ownBefore are our entries in the document as it was read.
func (c *computation) ownBefore() []history.Own {
	own := make([]history.Own, len(c.ours))
	for i, e := range c.ours {
		o := c.recorded.owner(e, c.granted)
		own[i] = history.Own{At: c.places[i], Selectors: o.Selectors}
		if arn.Fold(o.ARN) != e.Key() {
			own[i].Principal = o.ARN
		}
	}
	return own
}

// historyCondition tells whether the last version was kept, as far as there was
// one to keep.
func (r *AWSAuthReconciler) historyCondition() metav1.Condition {
	c := metav1.Condition{Type: ConditionHistoryKept, Status: metav1.ConditionTrue, Reason: "Kept"}
	switch err := r.historyErr; {
	case r.History <= 0:
		c.Reason, c.Message = "Off", "--history is 0"
	case errors.Is(err, history.ErrUnusable):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Unusable", clip(err.Error())
	case errors.Is(err, history.ErrTooLarge):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "TooLarge", "aws-auth does not compress to what may be kept; shorten it, or turn the history off with --history=0"
	case errors.Is(err, history.ErrNotText):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "NotText", clip(err.Error())+"; correct it"
	case err != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Failed", stableAPIError(err)
	}
	return c
}
