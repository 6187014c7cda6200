package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pause has the refresher write nothing from now on; why is the annotation's
// value. A refresher that has begun to write still fails or succeeds with that
// very write.
func (o *Operator) Pause(ctx context.Context, why string) error {
	err := o.annotate(ctx, o.Names.Rules, map[string]*string{PausedAnnotation: &why})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w %s, by which the refresher is paused; nothing was changed", errRulesMissing, o.Names.Rules)
	}
	return err
}

// rememberPause does at once what a refresher does when it sees the pause, for
// the case that none runs. Without a state ConfigMap there is nothing of ours
// to bring back either.
func (o *Operator) rememberPause(ctx context.Context) error {
	cm, err := o.store().get(ctx, o.Names.Rules)
	if err != nil || !isPaused(cm) {
		return err
	}
	annotations := map[string]*string{}
	for key, value := range pauseOf(cm, o.Clock.Now()).annotations() {
		annotations[key] = &value
	}
	if err = o.annotate(ctx, o.Names.State, annotations); apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Resume takes the pause away and reports whether there was one. Without a
// rules ConfigMap that is the one that is remembered; if there is none either,
// it is an error.
func (o *Operator) Resume(ctx context.Context) (bool, error) {
	cm, err := o.store().get(ctx, o.Names.Rules)
	if err != nil {
		return false, err
	}
	state, err := o.store().get(ctx, o.Names.State)
	if err != nil {
		return false, err
	}
	if cm == nil && !isPaused(state) {
		return false, fmt.Errorf("%w %s", errRulesMissing, o.Names.Rules)
	}
	// What is remembered goes first: it would hold again, should the rules
	// ConfigMap be deleted before a refresher has seen it without the pause.
	if isPaused(state) {
		annotations := map[string]*string{}
		for key := range (pauseNote{}).annotations() {
			annotations[key] = nil
		}
		if err := o.annotate(ctx, o.Names.State, annotations); err != nil || cm == nil {
			return true, err
		}
	}
	if _, there := cm.Annotations[PausedAnnotation]; !there {
		return false, nil
	}
	return isPaused(cm), o.annotate(ctx, o.Names.Rules, map[string]*string{PausedAnnotation: nil})
}

// annotate gives a ConfigMap annotations, and takes away those that are nil.
func (o *Operator) annotate(ctx context.Context, name string, annotations map[string]*string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	if _, err = o.ConfigMaps.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("annotating ConfigMap %s: %w", name, err)
	}
	return nil
}
