package app_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

const deployed = "../../deploy"

// manifests are the objects in a file of deploy/.
func manifests(t *testing.T, name string) (objects []*unstructured.Unstructured) {
	t.Helper()
	file, err := os.Open(filepath.Join(deployed, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, &object)
		}
	}
	if len(objects) == 0 {
		t.Fatalf("there is nothing in %s", name)
	}
	return objects
}

// install makes the objects, as strictly as the API server can.
func install(t *testing.T, plane *controlplane.ControlPlane, objects []*unstructured.Unstructured) {
	t.Helper()
	c := clusterClient(t, plane)
	for _, object := range objects {
		if err := c.Create(t.Context(), object, client.FieldValidation("Strict")); err != nil {
			t.Fatal(err)
		}
	}
}

func clusterClient(t *testing.T, plane *controlplane.ControlPlane) client.Client {
	t.Helper()
	c, err := client.New(plane.RESTConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func coreClient(t testing.TB, plane *controlplane.ControlPlane) corev1client.CoreV1Interface {
	t.Helper()
	core, err := corev1client.NewForConfig(plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return core
}
