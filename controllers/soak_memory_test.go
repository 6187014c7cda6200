package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// soakMaps are ConfigMaps in memory, which behave like those of an API server
// as far as versions and managed data keys go.
type soakMaps struct {
	corev1client.ConfigMapInterface // nothing else is called
	objects                         map[string]*soakObject
	version                         int
	down                            bool
}

// soakObject is one of them; owners has, by data key, who applied it, and who
// wrote it.
type soakObject struct {
	*corev1.ConfigMap
	owners map[string]map[metav1.ManagedFieldsEntry]bool
}

func soakResource() schema.GroupResource { return schema.GroupResource{Resource: "configmaps"} }

func (m *soakMaps) find(name string) (*soakObject, error) {
	if m.down {
		return nil, errFailing
	}
	o, ok := m.objects[name]
	if !ok {
		return nil, apierrors.NewNotFound(soakResource(), name)
	}
	return o, nil
}

// Get is what the API server does.
func (m *soakMaps) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.ConfigMap, error) {
	o, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return o.DeepCopy(), nil
}

// Create is what the API server does.
func (m *soakMaps) Create(_ context.Context, cm *corev1.ConfigMap, opts metav1.CreateOptions) (*corev1.ConfigMap, error) {
	if o, err := m.find(cm.Name); err == nil {
		return nil, apierrors.NewAlreadyExists(soakResource(), o.Name)
	} else if !apierrors.IsNotFound(err) {
		return nil, err
	}
	o := &soakObject{&corev1.ConfigMap{}, map[string]map[metav1.ManagedFieldsEntry]bool{}}
	m.objects[cm.Name] = o
	cm = cm.DeepCopy()
	cm.UID = types.UID(fmt.Sprintf("uid-%d", m.version))
	return m.store(o, cm, metav1.ManagedFieldsEntry{Manager: opts.FieldManager, Operation: metav1.ManagedFieldsOperationUpdate})
}

// Update is what the API server does.
func (m *soakMaps) Update(_ context.Context, cm *corev1.ConfigMap, opts metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	o, err := m.find(cm.Name)
	switch {
	case err != nil:
		return nil, err
	case cm.ResourceVersion != "" && cm.ResourceVersion != o.ResourceVersion || cm.UID != "" && cm.UID != o.UID:
		return nil, apierrors.NewConflict(soakResource(), cm.Name, errStale)
	}
	cm = cm.DeepCopy()
	cm.UID = o.UID
	return m.store(o, cm, metav1.ManagedFieldsEntry{Manager: opts.FieldManager, Operation: metav1.ManagedFieldsOperationUpdate})
}

// Delete is what the API server does.
func (m *soakMaps) Delete(_ context.Context, name string, _ metav1.DeleteOptions) error {
	_, err := m.find(name)
	delete(m.objects, name)
	return err
}

// Patch sets annotations.
//
//nolint:revive // the interface is not ours
func (m *soakMaps) Patch(_ context.Context, name string, _ types.PatchType, data []byte, opts metav1.PatchOptions, _ ...string) (*corev1.ConfigMap, error) {
	o, err := m.find(name)
	if err != nil {
		return nil, err
	}
	var patch struct {
		Metadata struct{ Annotations map[string]*string }
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	cm := o.DeepCopy()
	for key, value := range patch.Metadata.Annotations {
		if value == nil {
			delete(cm.Annotations, key)
		} else {
			metav1.SetMetaDataAnnotation(&cm.ObjectMeta, key, *value)
		}
	}
	return m.store(o, cm, metav1.ManagedFieldsEntry{Manager: opts.FieldManager, Operation: metav1.ManagedFieldsOperationUpdate})
}

// Apply is what the API server does with force and the version that was read.
func (m *soakMaps) Apply(_ context.Context, apply *applycorev1.ConfigMapApplyConfiguration, opts metav1.ApplyOptions) (*corev1.ConfigMap, error) {
	o, err := m.find(*apply.Name)
	switch {
	case err != nil:
		return nil, err
	case *apply.ResourceVersion != o.ResourceVersion || *apply.UID != o.UID:
		return nil, apierrors.NewConflict(soakResource(), *apply.Name, errStale)
	}
	who := metav1.ManagedFieldsEntry{Manager: opts.FieldManager, Operation: metav1.ManagedFieldsOperationApply}
	cm := o.DeepCopy()
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	maps.Copy(cm.Data, apply.Data)
	for key, owners := range o.owners {
		if _, stays := apply.Data[key]; !stays && owners[who] {
			delete(owners, who)
			if len(owners) == 0 {
				delete(cm.Data, key)
			}
		}
	}
	for key := range apply.Data {
		if o.owners[key] == nil {
			o.owners[key] = map[metav1.ManagedFieldsEntry]bool{}
		}
		o.owners[key][who] = true
	}
	return m.store(o, cm, who)
}

// store notes who owns what has changed.
func (m *soakMaps) store(o *soakObject, cm *corev1.ConfigMap, who metav1.ManagedFieldsEntry) (*corev1.ConfigMap, error) {
	for key, value := range cm.Data {
		if old, was := o.Data[key]; !was || old != value {
			o.owners[key] = map[metav1.ManagedFieldsEntry]bool{who: true}
		}
	}
	fields := map[metav1.ManagedFieldsEntry]map[string]struct{}{}
	for key, owners := range o.owners {
		if _, there := cm.Data[key]; !there {
			delete(o.owners, key)
			continue
		}
		for owner := range owners {
			if fields[owner] == nil {
				fields[owner] = map[string]struct{}{}
			}
			fields[owner]["f:"+key] = struct{}{}
		}
	}
	cm.ManagedFields = nil
	for owner, keys := range fields {
		text, err := json.Marshal(map[string]any{"f:data": keys})
		if err != nil {
			return nil, fmt.Errorf("managed fields: %w", err)
		}
		owner.FieldsV1 = &metav1.FieldsV1{}
		owner.FieldsV1.SetRawBytes(text)
		cm.ManagedFields = append(cm.ManagedFields, owner)
	}
	slices.SortFunc(cm.ManagedFields, func(a, b metav1.ManagedFieldsEntry) int {
		return len(a.Manager+string(a.Operation)) - len(b.Manager+string(b.Operation))
	})
	m.version++
	cm.ResourceVersion = strconv.Itoa(m.version)
	o.ConfigMap = cm
	return cm.DeepCopy(), nil
}
