package controlplane_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

var bed *controlplane.ControlPlane

func TestMain(m *testing.M) {
	if dir := os.Getenv(abandonEnv); dir != "" {
		abandon(dir)
	}
	os.Exit(controlplane.Main(m, controlplane.Config{Audit: true}, &bed))
}

// clientFor returns a client with the credentials of cfg.
func clientFor(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// soon is a context for what a busy machine does within a minute.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func TestServerSideApply(t *testing.T) {
	ctx, c := soon(t), clientFor(t, bed.RESTConfig())
	applied := corev1apply.ConfigMap("applied", "kube-system").WithData(map[string]string{"key": "value"})
	if err := c.Apply(ctx, applied, client.FieldOwner("tester"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	got := configMap("kube-system", "applied")
	if err := c.Get(ctx, client.ObjectKeyFromObject(got), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"key": "value"}, got.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	fields := got.ManagedFields
	if len(fields) != 1 || fields[0].Manager != "tester" || fields[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("managed fields are %+v, want one Apply by tester", fields)
	}
}

func TestRBACLimitsUsers(t *testing.T) {
	ctx, admin := soon(t), clientFor(t, bed.RESTConfig())
	cfg, err := bed.User("alice", "readers")
	if err != nil {
		t.Fatal(err)
	}
	alice := clientFor(t, cfg)
	list := func() error { return alice.List(ctx, &corev1.ConfigMapList{}, client.InNamespace("default")) }
	if err := list(); !apierrors.IsForbidden(err) {
		t.Fatalf("before the binding: %v, want Forbidden", err)
	}
	for _, object := range []client.Object{
		&rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "readers"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}},
		},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "readers"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "readers"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "readers"}},
		},
	} {
		if err := admin.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	for list() != nil { // the authorizer learns of the binding by a watch
		select {
		case <-ctx.Done():
			t.Fatalf("after the binding: %v", list())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := alice.Create(ctx, configMap("default", "of-alice")); !apierrors.IsForbidden(err) {
		t.Errorf("creating: %v, want Forbidden", err)
	}
}

func TestUnknownTokenIsRefused(t *testing.T) {
	c := clientFor(t, bed.Token("nobody"))
	err := c.List(soon(t), &corev1.ConfigMapList{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("got %v, want Unauthorized", err)
	}
}

func TestKubeconfig(t *testing.T) {
	text, err := controlplane.Kubeconfig(bed.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := clientFor(t, cfg).Get(soon(t), client.ObjectKey{Name: "default"}, &corev1.Namespace{}); err != nil {
		t.Error(err)
	}
}

func TestWritesCountsEveryAnsweredWrite(t *testing.T) {
	ctx, c := soon(t), clientFor(t, bed.RESTConfig())
	object := configMap("default", "counted")
	if err := c.Create(ctx, object); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(ctx, configMap("default", "counted")); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("got %v, want AlreadyExists", err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, object); err != nil {
		t.Fatal(err)
	}
	writes, err := bed.Writes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []controlplane.Write
	for _, w := range writes {
		if w.Name == "counted" {
			got = append(got, w)
		}
	}
	write := func(verb string, code int) controlplane.Write {
		return controlplane.Write{User: "admin", Verb: verb, Resource: "configmaps", Namespace: "default", Name: "counted", Code: code}
	}
	want := []controlplane.Write{write("create", 201), write("create", 409), write("delete", 200)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestRestartKeepsDataAndClients(t *testing.T) {
	ctx := soon(t)
	own, err := controlplane.Start(ctx, controlplane.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Stop() })
	c, object := clientFor(t, own.RESTConfig()), configMap("default", "kept")
	if err := c.Create(ctx, object); err != nil {
		t.Fatal(err)
	}
	if err := own.KillAPIServer(); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err == nil {
		t.Error("the API server answers after it was killed")
	}
	if err := own.StartAPIServer(); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	stopsWithAWatchOpen(t, own)
}

// stopsWithAWatchOpen: left to itself, an API server that is told to stop waits
// a minute for whoever watches.
func stopsWithAWatchOpen(t *testing.T, own *controlplane.ControlPlane) {
	t.Helper()
	core, err := corev1client.NewForConfig(own.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	watching, err := core.ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	stopped := make(chan error, 1)
	go func() { stopped <- own.Stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(40 * time.Second):
		t.Error("still not stopped, with a watch open")
	}
}

func TestStartSaysWhatTheServerSaid(t *testing.T) {
	dir := t.TempDir()
	_, err := controlplane.Start(soon(t), controlplane.Config{
		Dir:           dir,
		APIServerArgs: map[string][]string{"no-such-flag": {"1"}},
	})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Fatalf("got %v, want the API server's own words", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kube-apiserver.log")); err != nil {
		t.Errorf("the log in Config.Dir is kept: %v", err)
	}
}
