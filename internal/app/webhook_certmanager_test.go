package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

// mount is a folder as the kubelet mounts a Secret: what is in it changes all at
// once, by a symbolic link.
type mount struct{ dir string }

// put has the folder hold a new certificate, and returns it as PEM.
func (m mount) put(t *testing.T, version string) []byte {
	t.Helper()
	made := &serve.Certificates{Dir: t.TempDir(), Names: []string{"localhost"}}
	if _, err := made.Ensure(); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(m.dir, version), 0o700))
	for name, from := range map[string]string{"tls.crt": made.CertPath(), "tls.key": made.KeyPath()} {
		must(os.Rename(from, filepath.Join(m.dir, version, name)))
	}
	must(os.Symlink(version, filepath.Join(m.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
	for _, name := range []string{"tls.crt", "tls.key"} {
		if _, err := os.Lstat(filepath.Join(m.dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
		}
	}
	return made.PEM()
}

// inject tells the API server whom to trust, as cert-manager's injector does.
func inject(t *testing.T, all kubernetes.Interface, authority []byte) {
	t.Helper()
	webhooks := all.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	webhook, err := webhooks.Get(t.Context(), "aws-auth-refresher", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	webhook.Webhooks[0].ClientConfig.CABundle = authority
	if _, err := webhooks.Update(t.Context(), webhook, metav1.UpdateOptions{FieldManager: "cert-manager-cainjector"}); err != nil {
		t.Fatal(err)
	}
}

// served is the certificate that the webhook has now, as DER; nil: none.
func served(ctx context.Context, address string) []byte {
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	return secured.ConnectionState().PeerCertificates[0].Raw
}

// TestWebhookOfCertManager serves with a mounted certificate and takes up the
// next one, without a restart. A replica that would make its own, as one of the
// release before does while it is replaced, leaves everything to cert-manager;
// both may do anything, and what would be made by themselves is there.
func TestWebhookOfCertManager(t *testing.T) {
	plane, err := controlplane.Start(t.Context(), controlplane.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	crds := envtest.CRDInstallOptions{Paths: []string{"../../config/testdata/cert-manager-crds.yaml"}, ErrorIfPathMissing: true}
	if _, err := envtest.InstallCRDs(plane.RESTConfig(), crds); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	install(t, plane, webhookManifests(t, address, "webhook/cert-manager/webhook.yaml"))
	core := coreClient(t, plane)
	all, err := kubernetes.NewForConfig(plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	leftOver := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth-refresher-webhook"}}
	if leftOver, err = core.Secrets("kube-system").Create(t.Context(), leftOver, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	rules := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth-refresher"}, Data: map[string]string{"mapUsers": rule}}
	if _, err := core.ConfigMaps("kube-system").Create(t.Context(), rules, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bad := rules.DeepCopy()
	bad.Data["mapUsers"] = "- arnRegexp: ^x$\n  username: foo\n"
	refused := func() bool {
		_, err := core.ConfigMaps("kube-system").Update(t.Context(), bad, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	}

	mounted := mount{t.TempDir()}
	deps := app.ControllerDeps{Cluster: plane.RESTConfig(), AWS: emulated(t, fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"}))}
	defer runReplica(t, deps, app.Webhook{Address: address, CertDir: mounted.dir})()
	if refused() {
		t.Error("there is no certificate yet, and an edit is refused")
	}
	for _, version := range []string{"first", "renewed"} {
		authority := mounted.put(t, version)
		inject(t, all, authority)
		eventually(t, "the "+version+" certificate is served", func() bool {
			pool, raw := x509.NewCertPool(), served(t.Context(), address)
			leaf, err := x509.ParseCertificate(raw)
			if err != nil || !pool.AppendCertsFromPEM(authority) {
				return false
			}
			_, err = leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: pool})
			return err == nil
		})
		eventually(t, "the API server trusts the "+version+" certificate", refused)
	}

	before := configuration(t, all)
	logs := &logLines{}
	deps.Log = logs.logger()
	defer runReplica(t, deps, app.Webhook{Address: freeAddress(t)})()
	eventually(t, "the other replica has looked", func() bool { return logs.has("two must not write that in turns") })
	after := configuration(t, all)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the configuration was written (-before +after):\n%s", diff)
	}
	if slices.ContainsFunc(after.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == "aws-auth-refresher-webhook" }) {
		t.Error("the configuration has fields of the controller's")
	}
	secret, err := core.Secrets("kube-system").Get(t.Context(), leftOver.Name, metav1.GetOptions{})
	if err != nil || secret.ResourceVersion != leftOver.ResourceVersion {
		t.Errorf("the Secret of the controller's own certificate was written: %v", err)
	}
	if !refused() {
		t.Error("the webhook is trusted no longer")
	}
}

func configuration(t *testing.T, all kubernetes.Interface) *admissionv1.ValidatingWebhookConfiguration {
	t.Helper()
	webhook, err := all.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "aws-auth-refresher", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return webhook
}
