package app_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestWebhook runs two replicas with the rights of deploy/webhook/webhook.yaml
// and no others. The one that does not hold the Lease answers a real API server,
// which was told of it by that file; only the address is this machine's.
func TestWebhook(t *testing.T) {
	plane, err := controlplane.Start(t.Context(), controlplane.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	address := freeAddress(t)
	install(t, plane, webhookManifests(t, address, "webhook/webhook.yaml"))
	core := coreClient(t, plane)
	rights, err := plane.User("system:serviceaccount:kube-system:aws-auth-refresher",
		"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	deps := app.ControllerDeps{Cluster: rights, AWS: emulated(t, fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"}))}
	stopLeader := runReplica(t, deps, app.Webhook{Address: freeAddress(t)})
	defer stopLeader()
	rulesOf := func(text string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth-refresher"}, Data: map[string]string{"mapUsers": text}}
	}
	if _, err := core.ConfigMaps("kube-system").Create(t.Context(), rulesOf(rule), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first replica leads", func() bool {
		_, err := core.ConfigMaps("kube-system").Get(t.Context(), "aws-auth-refresher-status", metav1.GetOptions{})
		return err == nil
	})
	stop := runReplica(t, deps, app.Webhook{Address: address})

	update := func(namespace string, cm *corev1.ConfigMap, dryRun ...string) error {
		_, err := core.ConfigMaps(namespace).Update(t.Context(), cm, metav1.UpdateOptions{DryRun: dryRun})
		return err
	}
	bad := rulesOf("- arnRegexp: ^x$\n  username: foo\n")
	eventually(t, "the webhook answers", func() bool { return update("kube-system", bad, metav1.DryRunAll) != nil })
	const refusal = `admission webhook "rules.aws-auth-refresher.io" denied the request: mapUsers rule 1 (line 1): unknown field "arnRegexp"; did you mean "arnRegex"?`
	if err := update("kube-system", bad); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("a bad edit: %v\nwant %s", err, refusal)
	}
	if err := update("kube-system", rulesOf(strings.Replace(rule, "tmp-foo", "tmp-bar", 1))); err != nil {
		t.Errorf("a good edit: %v", err)
	}
	other := bad.DeepCopy()
	other.Name = "coredns"
	if _, err := core.ConfigMaps("kube-system").Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Errorf("another ConfigMap: %v", err)
	}
	if _, err := core.ConfigMaps("default").Create(t.Context(), bad, metav1.CreateOptions{}); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	stop()
	if err := update("kube-system", bad); err != nil {
		t.Errorf("with the webhook down an edit is refused: %v", err)
	}

	before := emptySecret(t, core)
	defer runReplica(t, deps, app.Webhook{Address: address})()
	eventually(t, "the API server trusts a new certificate", func() bool { return update("kube-system", rulesOf("bad"), metav1.DryRunAll) != nil })
	if after := emptySecret(t, core); after == before || after == "" {
		t.Errorf("the certificate is %q, and was %q before", after, before)
	}
}

// emptySecret takes the certificate away and returns it.
func emptySecret(t *testing.T, core corev1client.CoreV1Interface) string {
	t.Helper()
	secret, err := core.Secrets("kube-system").Get(t.Context(), "aws-auth-refresher-webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(secret.Data[corev1.TLSCertKey])
	secret.Data = nil
	if _, err := core.Secrets("kube-system").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return certificate
}

// runReplica runs the controller until stop is called.
func runReplica(t *testing.T, deps app.ControllerDeps, webhook app.Webhook) (stop func()) {
	t.Helper()
	if deps.Log.GetSink() == nil {
		logs := &logLines{}
		if testing.Verbose() {
			logs.t = t
		}
		deps.Log = logs.logger()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- app.RunController(ctx, app.ControllerOptions{
			Target:          app.Target{Namespace: "kube-system", Rules: "aws-auth-refresher", AWSAuth: "aws-auth"},
			Policy:          app.Policy{RemovalHold: time.Minute, MaxRemovals: "10,50%"},
			Webhook:         webhook,
			RefreshInterval: time.Second, LeaderElect: true, MetricsAddress: "0", ProbeAddress: "0",
		}, deps)
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
	}
}

// webhookManifests are those in a file of deploy/, with the address of a process on
// this machine instead of the Service.
func webhookManifests(t *testing.T, address, file string) []*unstructured.Unstructured {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	objects := manifests(t, file)
	for _, object := range objects {
		if object.GetKind() == "ValidatingWebhookConfiguration" {
			hooks, _, _ := unstructured.NestedSlice(object.Object, "webhooks")
			hook, _ := hooks[0].(map[string]any)
			hook["clientConfig"] = map[string]any{"url": "https://localhost:" + port + "/validate-rules"}
			object.Object["webhooks"] = hooks
		}
	}
	return objects
}

// TestWebhookOptions are refused before anything is tried.
func TestWebhookOptions(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		webhook app.Webhook
		want    string
	}{
		{"off", app.Webhook{Address: "0"}, ""},
		{"not set", app.Webhook{}, ""},
		{"on", app.Webhook{Address: ":9443"}, ""},
		{"a certificate for nothing", app.Webhook{Address: "0", CertDir: "/etc/webhook"}, "--webhook-cert-dir needs --webhook-bind-address, such as :9443"},
		{"a port alone", app.Webhook{Address: "9443"}, `--webhook-bind-address is "9443"; write :9443, with a colon before the port, or 0 to turn it off`},
	} {
		got := ""
		if err := tt.webhook.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.reason, got, tt.want)
		}
	}
}
