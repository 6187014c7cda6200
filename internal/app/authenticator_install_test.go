package app_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

// installAuthenticator applies deploy/authenticator, checks the configuration
// in it, and gives the rights that its ServiceAccount has then.
func installAuthenticator(t *testing.T, plane *controlplane.ControlPlane) *rest.Config {
	t.Helper()
	objects := manifests(t, "authenticator/authenticator.yaml")
	install(t, plane, objects)
	for _, object := range objects {
		if config, ok, err := unstructured.NestedString(object.Object, "data", "config.yaml"); ok && err == nil {
			file := authnconfig.Default()
			if err := authnconfig.Decode([]byte(config), &file); err != nil {
				t.Errorf("the shipped configuration: %v", err)
			}
			if err := file.Normalize(); err != nil {
				t.Errorf("the shipped configuration: %v", err)
			}
		}
	}
	rights, err := plane.User("system:serviceaccount:kube-system:aws-iam-authenticator",
		"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	return rights
}

// mapIdentity makes an IAMIdentityMapping.
func (a *authenticator) mapIdentity(t *testing.T, identityARN, username string) {
	t.Helper()
	c := clusterClient(t, a.plane)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "iamauthenticator.k8s.aws/v1alpha1", "kind": "IAMIdentityMapping", "metadata": map[string]any{"name": username},
		"spec": map[string]any{"arn": identityARN, "username": username, "groups": []any{"dev"}},
	}}
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}
