package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// fieldManager is the name under which aws-auth is server-side-applied.
const fieldManager = "aws-auth-refresher"

// recordKey is the key of the state ConfigMap's binaryData that holds the
// record; see rules.Record.
const recordKey = "record.json.gz"

// errStale says that an object changed, went or was made again between the
// read and the write: read again and decide anew.
var errStale = errors.New("it changed in between")

// store reads and writes the ConfigMaps of one namespace, always live: what a
// write builds on must not come from a cache.
type store struct {
	configMaps corev1client.ConfigMapInterface
	names      Names
}

// Names are the ConfigMaps that the refresher works with.
type Names struct {
	Rules, AWSAuth, State, Status, History string
}

// NamesFor derives the names of our own three ConfigMaps from that of the rules.
func NamesFor(rulesName, awsAuth string) Names {
	return Names{
		Rules: rulesName, AWSAuth: awsAuth,
		State: rulesName + "-state", Status: rulesName + "-status", History: rulesName + "-history",
	}
}

// get returns nil without an error if there is no such ConfigMap.
func (s store) get(ctx context.Context, name string) (*corev1.ConfigMap, error) {
	cm, err := s.configMaps.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s: %w", name, err)
	}
	return cm, nil
}

// readRecord returns the state ConfigMap, nil if there is none, and the record
// in it.
func (s store) readRecord(ctx context.Context) (*corev1.ConfigMap, rules.Record, error) {
	cm, err := s.get(ctx, s.names.State)
	if err != nil || cm == nil {
		return nil, rules.Record{}, err
	}
	record, err := rules.DecodeRecord(cm.BinaryData[recordKey])
	if err != nil {
		return nil, rules.Record{}, fmt.Errorf("%w: ConfigMap %s, binaryData %s: %w", errRecordUnusable, s.names.State, recordKey, err)
	}
	return cm, record, nil
}

var errRecordUnusable = errors.New("what is ours in aws-auth cannot be told, so nothing is changed; put the ConfigMap " +
	"back from a backup, run the version that wrote it, or delete it (then our entries count as somebody else's until " +
	"--adopt takes them over)")

// errRecordTooLarge says that nothing is written, because the record that would
// have to be written first could not be stored, or never be read again.
var errRecordTooLarge = errors.New("nothing is changed, because the record of what is ours would become too large; " +
	"let fewer rules match the same principals, or shorten the rules")

// writeRecord stores the records over the state ConfigMap that was read, or
// creates it. It returns what stands there now, or errStale, or
// errRecordTooLarge.
func (s store) writeRecord(ctx context.Context, was *corev1.ConfigMap, record rules.Record, entries accessentry.Record) (*corev1.ConfigMap, error) {
	binary, err := encodeRecords(record, entries)
	if err != nil {
		return nil, fmt.Errorf("writing ConfigMap %s: %w", s.names.State, err)
	}
	now := s.own(was, s.names.State)
	now.BinaryData = binary
	if was != nil && maps.EqualFunc(was.BinaryData, now.BinaryData, bytes.Equal) {
		return was, nil
	}
	return s.put(ctx, was != nil, now)
}

// encodeRecords is the state ConfigMap's binaryData.
func encodeRecords(record rules.Record, entries accessentry.Record) (map[string][]byte, error) {
	binary := map[string][]byte{}
	var err error
	if binary[recordKey], err = record.Encode(); err == nil && !entries.Empty() {
		binary[entriesKey], err = entries.Encode()
	}
	switch size := binaryBytes(&corev1.ConfigMap{BinaryData: binary}); {
	case errors.Is(err, gzipjson.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", errRecordTooLarge, err)
	case err != nil:
		return nil, err
	case size > awsauth.MaxBytes:
		return nil, fmt.Errorf("%w: %d KiB, where a ConfigMap holds %d", errRecordTooLarge, (size-1)>>10+1, awsauth.MaxBytes>>10)
	}
	return binary, nil
}

// rewriteRecord stores the record of aws-auth and leaves that of access entries
// as it is.
func (s store) rewriteRecord(ctx context.Context, was *corev1.ConfigMap, record rules.Record) error {
	entries, err := readEntries(was)
	if err != nil {
		return err
	}
	_, err = s.writeRecord(ctx, was, record, entries)
	return err
}

// own is one of our own ConfigMaps as it is to be written. The labels of what is
// installed are not on it: whoever deletes by these must not lose the record.
func (s store) own(was *corev1.ConfigMap, name string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if was != nil {
		cm = was.DeepCopy()
	}
	for label, value := range map[string]string{"app": fieldManager, "app.kubernetes.io/name": fieldManager} {
		if cm.Labels[label] == value {
			delete(cm.Labels, label)
		}
	}
	metav1.SetMetaDataLabel(&cm.ObjectMeta, "app.kubernetes.io/managed-by", fieldManager)
	return cm
}

func (s store) put(ctx context.Context, exists bool, cm *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	var now *corev1.ConfigMap
	var err error
	if exists {
		now, err = s.configMaps.Update(ctx, cm, metav1.UpdateOptions{FieldManager: fieldManager})
	} else {
		now, err = s.configMaps.Create(ctx, cm, metav1.CreateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return nil, writeError(cm.Name, err)
	}
	return now, nil
}

// createAWSAuth makes an empty aws-auth. It is a plain create, not an apply, so
// that it fails if somebody else made one meanwhile.
func (s store) createAWSAuth(ctx context.Context) (*corev1.ConfigMap, error) {
	return s.put(ctx, false, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.names.AWSAuth}})
}

// applyAWSAuth gives the object that was read the values, which hold mapUsers
// and mapRoles as far as they shall be present. uid and resourceVersion tie
// the write to the very object and state that the values were computed from.
func (s store) applyAWSAuth(ctx context.Context, was *corev1.ConfigMap, values map[string]string) (*corev1.ConfigMap, error) {
	mine, others, err := dataOwners(was.ManagedFields)
	if err != nil {
		return nil, fmt.Errorf("reading managedFields of ConfigMap %s: %w", was.Name, err)
	}
	data := map[string]string{}
	// A key of ours that an apply leaves out is deleted with everything in it.
	for key := range mine {
		if value, ok := was.Data[key]; ok {
			data[key] = value
		}
	}
	for _, kind := range rules.Kinds() {
		key := kind.DataKey()
		old, was := was.Data[key]
		value, present := values[key]
		switch {
		case present && (!was || value != old):
			data[key] = value
		case !present && was && others[key]:
			// Somebody else holds on to the key, so it would stay as it is.
			data[key] = ""
		case !present:
			delete(data, key)
		}
	}
	apply := applycorev1.ConfigMap(was.Name, was.Namespace).
		WithUID(was.UID).WithResourceVersion(was.ResourceVersion).WithData(data)
	now, err := s.configMaps.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return nil, writeError(was.Name, err)
	}
	for _, kind := range rules.Kinds() {
		if now.Data[kind.DataKey()] != values[kind.DataKey()] {
			return nil, fmt.Errorf("ConfigMap %s: the API server answers another %s than was applied", was.Name, kind.DataKey())
		}
	}
	return now, nil
}

// writeError turns every answer that means "not the object you read" into
// errStale: 409 for another version, a deletion or a creation meanwhile, 422
// for the uid of an object that was made again.
func writeError(name string, err error) error {
	var status apierrors.APIStatus
	stale := apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
	if apierrors.IsInvalid(err) && errors.As(err, &status) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			stale = stale || cause.Field == "metadata.uid"
		}
	}
	if stale {
		return fmt.Errorf("writing ConfigMap %s: %w: %w", name, errStale, err)
	}
	return fmt.Errorf("writing ConfigMap %s: %w", name, err)
}

// dataOwners reads who manages which data keys: our applies, and everybody and
// everything else (structured-merge-diff's FieldsV1 format).
func dataOwners(fields []metav1.ManagedFieldsEntry) (mine, others map[string]bool, err error) {
	mine, others = map[string]bool{}, map[string]bool{}
	for _, f := range fields {
		if f.FieldsV1 == nil {
			continue
		}
		var set struct {
			Data map[string]json.RawMessage `json:"f:data"`
		}
		if err := json.Unmarshal(f.FieldsV1.GetRawBytes(), &set); err != nil {
			return nil, nil, fmt.Errorf("manager %s: %w", f.Manager, err)
		}
		owner := others
		if f.Manager == fieldManager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == "" {
			owner = mine
		}
		for key := range maps.Keys(set.Data) {
			if len(key) > 2 && key[:2] == "f:" {
				owner[key[2:]] = true
			}
		}
	}
	return mine, others, nil
}

// binaryBytes is what binaryData takes of a ConfigMap's size.
func binaryBytes(cm *corev1.ConfigMap) int {
	size := 0
	for key, value := range cm.BinaryData {
		size += len(key) + len(value)
	}
	return size
}
