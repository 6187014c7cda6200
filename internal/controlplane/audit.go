package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// auditPolicy records who wrote what, without the bodies, once the answer is
// known.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
`

// markerPrefix begins the names of the objects that mark a place in the log.
const markerPrefix = "audit-marker-"

// Write is one write request that the API server answered, successful or not.
type Write struct {
	User        string // who wrote
	Verb        string // create, update, patch (server-side apply too), delete, deletecollection
	Resource    string // plural, such as configmaps
	Subresource string // such as status, often empty
	Namespace   string // empty for what belongs to none
	Name        string // empty for deletecollection, and for a create that names nothing
	Code        int    // HTTP status of the answer
}

func (c *ControlPlane) configureAudit(api *envtest.APIServer, cfg Config) error {
	if !cfg.Audit {
		return nil
	}
	policy := c.path("audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	c.audit = c.path("audit.jsonl")
	api.Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", c.audit).
		Set("audit-log-mode", "blocking")
	return nil
}

// Writes returns every write request that was answered before the call, oldest
// first, the API server's own included. Config.Audit must be set.
func (c *ControlPlane) Writes(ctx context.Context) ([]Write, error) {
	if c.audit == "" {
		return nil, errors.New("the control plane was started without Config.Audit")
	}
	marker, err := c.writeMarker(ctx)
	if err != nil {
		return nil, err
	}
	for {
		writes, found, err := readAudit(c.audit, marker)
		if err != nil || found {
			return writes, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the audit log: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// writeMarker sends a write that changes nothing and has a name of its own: what
// the log holds before it was answered before.
func (c *ControlPlane) writeMarker(ctx context.Context) (string, error) {
	k8s, err := client.New(c.admin, client.Options{})
	if err != nil {
		return "", err
	}
	name := markerPrefix + string(uuid.NewUUID())
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if err := k8s.Delete(ctx, object); !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("audit marker: %w", err)
	}
	return name, nil
}

// readAudit reads the log up to the marker. Earlier markers are left out.
func readAudit(path, marker string) (writes []Write, found bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil // made with its first line
	}
	if err != nil {
		return nil, false, err
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		w, err := parseWrite(line)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("audit log: %w", err)
		case w.Name == marker:
			return writes, true, nil
		case !strings.HasPrefix(w.Name, markerPrefix):
			writes = append(writes, w)
		}
	}
	return nil, false, nil
}

// parseWrite reads one line of the log: an Event of audit.k8s.io/v1.
func parseWrite(line []byte) (Write, error) {
	var event struct {
		Verb           string
		User           struct{ Username string }
		ObjectRef      struct{ Resource, Subresource, Namespace, Name string }
		ResponseStatus struct{ Code int }
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return Write{}, err
	}
	ref := event.ObjectRef
	return Write{
		User: event.User.Username, Verb: event.Verb,
		Resource: ref.Resource, Subresource: ref.Subresource,
		Namespace: ref.Namespace, Name: ref.Name, Code: event.ResponseStatus.Code,
	}, nil
}
