package controllers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditionText is a metav1.Condition with what people look for first in front.
type conditionText struct {
	Type               string                 `json:"type"`
	Status             metav1.ConditionStatus `json:"status"`
	Reason             string                 `json:"reason"`
	Message            string                 `json:"message,omitempty"`
	LastTransitionTime string                 `json:"lastTransitionTime"`
}

func conditionTexts(conditions []metav1.Condition) []conditionText {
	texts := make([]conditionText, len(conditions))
	for i, c := range conditions {
		texts[i] = conditionText{c.Type, c.Status, c.Reason, c.Message, c.LastTransitionTime.UTC().Format(time.RFC3339)}
	}
	return texts
}

// ordered is value as YAML for people: its fields in their own order, where
// other encoders sort them by name, and text of several lines as such.
func ordered(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("rendering the status: %w", err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return "", fmt.Errorf("rendering the status: %w", err)
	}
	plain(&node)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return "", fmt.Errorf("rendering the status: %w", err)
	}
	return b.String(), nil
}

// plain takes the looks of JSON off a node.
func plain(node *yaml.Node) {
	node.Style = 0
	for _, n := range node.Content {
		plain(n)
	}
}

// makeRoom is the way out where there is no room.
const makeRoom = "let fewer principals match, or take out entries that nobody needs"

func stableAPIError(err error) string {
	what := "the API server could not be asked (the log says why)"
	var api apierrors.APIStatus
	if errors.As(err, &api) && api.Status().Message != "" {
		what = clip(api.Status().Message)
	}
	return what + "; it is tried again; deploy/common.yaml has what the controller must be allowed"
}
