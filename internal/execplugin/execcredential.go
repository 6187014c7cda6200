package execplugin

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

const (
	apiGroup = "client.authentication.k8s.io/"
	v1       = apiGroup + "v1"
	v1beta1  = apiGroup + "v1beta1"
)

// execCredential is the part of client.authentication.k8s.io ExecCredential
// that is written and read here; it is the same in v1 and v1beta1:
// https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
type execCredential struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Spec       struct{}    `json:"spec"`
	Status     *execStatus `json:"status,omitempty"`
}

type execStatus struct {
	ExpirationTimestamp string `json:"expirationTimestamp"` // RFC 3339
	Token               string `json:"token"`
}

// apiVersion is the version in which to answer. Info is what kubectl put into
// KUBERNETES_EXEC_INFO; other tools put nothing or {} there and are answered in
// v1beta1, which is what aws-iam-authenticator does.
func apiVersion(info string) (string, error) {
	if info == "" {
		return v1beta1, nil
	}
	var asked execCredential
	if err := json.Unmarshal([]byte(info), &asked); err != nil {
		return "", fmt.Errorf("KUBERNETES_EXEC_INFO is not an ExecCredential: %w", err)
	}
	switch asked.APIVersion {
	case "":
		return v1beta1, nil
	case v1, v1beta1:
		return asked.APIVersion, nil
	}
	return "", fmt.Errorf("KUBERNETES_EXEC_INFO asks for %q; the exec entry of the kubeconfig should have the apiVersion %s or %s", asked.APIVersion, v1, v1beta1)
}

func writeExecCredential(w io.Writer, version string, t ekstoken.Token) error {
	return json.NewEncoder(w).Encode(execCredential{
		APIVersion: version,
		Kind:       "ExecCredential",
		Status:     &execStatus{ExpirationTimestamp: t.Expires.UTC().Format(time.RFC3339), Token: t.Value},
	})
}
