package webhookcert_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webhookcert"
)

const (
	service = "aws-auth-refresher-webhook.kube-system.svc"
	day     = 24 * time.Hour
)

// world is a cluster with the two objects as they are installed, and a clock.
type world struct {
	*testing.T
	api   *fake.Clientset
	clock *clocktesting.FakeClock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "webhook", Namespace: "kube-system"}}
	webhook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "rules"},
		Webhooks: []admissionv1.ValidatingWebhook{{Name: "rules.aws-auth-refresher.io"}}}
	return &world{T: t, api: fake.NewClientset(secret, webhook), clock: clocktesting.NewFakeClock(time.Now())}
}

// replica is one process.
func (w *world) replica() *webhookcert.Keeper {
	return webhookcert.New(webhookcert.Config{
		Secrets: w.api.CoreV1().Secrets("kube-system"), Webhooks: w.api.AdmissionregistrationV1().ValidatingWebhookConfigurations(),
		Secret: "webhook", Webhook: "rules", Names: []string{service, "localhost"}, Clock: w.clock, Log: logr.Discard(),
	})
}

func (w *world) keep(k *webhookcert.Keeper) {
	w.Helper()
	if err := k.Keep(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// served is what the replica serves; it must be trusted by the API server, now,
// by all names.
func (w *world) served(k *webhookcert.Keeper) []byte {
	w.Helper()
	pair, err := k.Get(nil)
	if err != nil {
		w.Fatal(err)
	}
	webhook, err := w.api.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(w.Context(), "rules", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(webhook.Webhooks[0].ClientConfig.CABundle) {
		w.Fatal("the API server trusts nobody")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		w.Fatal(err)
	}
	for _, name := range []string{service, "localhost"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: w.clock.Now()}); err != nil {
			w.Errorf("%s: %v", name, err)
		}
	}
	return pair.Certificate[0]
}

func (w *world) secret() map[string][]byte {
	w.Helper()
	secret, err := w.api.CoreV1().Secrets("kube-system").Get(w.Context(), "webhook", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return secret.Data
}

func (w *world) writes() int {
	n := 0
	for _, a := range w.api.Actions() {
		if a.GetVerb() != "get" {
			n++
		}
	}
	return n
}

// TestCertificate is made once for all replicas, kept, and renewed in time; at
// no moment one is served that the API server does not trust.
func TestCertificate(t *testing.T) {
	w := newWorld(t)
	one, two := w.replica(), w.replica()
	if _, err := one.Get(nil); err == nil {
		t.Error("there is a certificate from nowhere")
	}
	w.keep(one)
	w.keep(two)
	first := w.served(one)
	if !bytes.Equal(first, w.served(two)) {
		t.Error("the replicas serve different certificates")
	}
	if n := w.writes(); n != 2 {
		t.Errorf("%d writes for the first certificate, want one for each object", n)
	}

	w.clock.Step(334 * day)
	w.keep(one)
	if !bytes.Equal(first, w.served(one)) || w.writes() != 2 {
		t.Error("renewed more than 30 days before its end")
	}
	w.clock.Step(2 * day)
	w.keep(one)
	second := w.served(one)
	if bytes.Equal(first, second) {
		t.Error("not renewed 29 days before its end")
	}
	if !bytes.Equal(first, w.served(two)) {
		t.Error("the other replica has not looked yet")
	}
	w.keep(two)
	if !bytes.Equal(second, w.served(two)) {
		t.Error("the other replica has looked and goes on with the old one")
	}

	w.clock.Step(10 * 365 * day)
	w.keep(one)
	w.served(one)
	if blocks := bytes.Count(w.secret()["ca.crt"], []byte("BEGIN CERTIFICATE")); blocks != 2 {
		t.Errorf("%d authorities are trusted after three certificates, want the last two", blocks)
	}
	if _, found := w.secret()["ca.key"]; found {
		t.Error("the key of the authority is kept")
	}
}

// TestCertificateIsPutInOrder: whatever somebody else made of the two objects.
func TestCertificateIsPutInOrder(t *testing.T) {
	for reason, spoil := range map[string]func(s *corev1.Secret, w *admissionv1.ValidatingWebhookConfiguration){
		"the Secret is empty":               func(s *corev1.Secret, _ *admissionv1.ValidatingWebhookConfiguration) { s.Data = nil },
		"the key is not the certificate's":  func(s *corev1.Secret, _ *admissionv1.ValidatingWebhookConfiguration) { s.Data["tls.key"] = otherKey(t) },
		"the certificate is no certificate": func(s *corev1.Secret, _ *admissionv1.ValidatingWebhookConfiguration) { s.Data["tls.crt"] = []byte("x") },
		"the authority is no certificate":   func(s *corev1.Secret, _ *admissionv1.ValidatingWebhookConfiguration) { s.Data["ca.crt"] = badBlock() },
		"the API server trusts nobody": func(_ *corev1.Secret, w *admissionv1.ValidatingWebhookConfiguration) {
			w.Webhooks[0].ClientConfig.CABundle = nil
		},
		"the API server trusts somebody else": func(_ *corev1.Secret, w *admissionv1.ValidatingWebhookConfiguration) {
			w.Webhooks[0].ClientConfig.CABundle = badBlock()
		},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t)
			k := w.replica()
			w.keep(k)
			secrets, webhooks := w.api.CoreV1().Secrets("kube-system"), w.api.AdmissionregistrationV1().ValidatingWebhookConfigurations()
			secret, err := secrets.Get(t.Context(), "webhook", metav1.GetOptions{})
			webhook, webhookErr := webhooks.Get(t.Context(), "rules", metav1.GetOptions{})
			if err := errors.Join(err, webhookErr); err != nil {
				t.Fatal(err)
			}
			spoil(secret, webhook)
			_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
			_, webhookErr = webhooks.Update(t.Context(), webhook, metav1.UpdateOptions{})
			if err := errors.Join(err, webhookErr); err != nil {
				t.Fatal(err)
			}
			w.keep(k)
			w.served(k)
		})
	}
}

func badBlock() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
}

func otherKey(t *testing.T) []byte {
	t.Helper()
	w := newWorld(t)
	w.keep(w.replica())
	return w.secret()["tls.key"]
}

// refusing fails writes of webhook configurations.
type refusing struct{ webhookcert.Webhooks }

func (refusing) Update(context.Context, *admissionv1.ValidatingWebhookConfiguration, metav1.UpdateOptions) (*admissionv1.ValidatingWebhookConfiguration, error) {
	return nil, apierrors.NewConflict(admissionv1.Resource("x"), "rules", errors.New("somebody was faster"))
}

// TestTrustedBeforeServed: what the API server could not be told to trust is not
// served, and what is served goes on.
func TestTrustedBeforeServed(t *testing.T) {
	w := newWorld(t)
	k := w.replica()
	w.keep(k)
	first := w.served(k)
	good := k.Webhooks
	k.Webhooks = refusing{good}
	w.clock.Step(340 * day)
	if err := k.Keep(t.Context()); err == nil {
		t.Error("no error")
	}
	if !bytes.Equal(first, w.served(k)) {
		t.Error("what is not trusted is served")
	}
	k.Webhooks = good
	w.keep(k)
	if bytes.Equal(first, w.served(k)) {
		t.Error("the trusted one is not served")
	}
}

// TestAnothersConfigurationIsLeftAlone: where cert-manager says which authority is
// trusted, two would write it in turns.
func TestAnothersConfigurationIsLeftAlone(t *testing.T) {
	for _, annotation := range []string{"cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret", "cert-manager.io/inject-apiserver-ca"} {
		w := newWorld(t)
		k := w.replica()
		w.keep(k)
		first := w.served(k)
		webhooks := w.api.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		webhook, err := webhooks.Get(t.Context(), "rules", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		metav1.SetMetaDataAnnotation(&webhook.ObjectMeta, annotation, "kube-system/webhook")
		webhook.Webhooks[0].ClientConfig.CABundle = badBlock()
		if _, err := webhooks.Update(t.Context(), webhook, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		writes := w.writes()
		w.clock.Step(340 * day)
		for _, replica := range []*webhookcert.Keeper{k, w.replica()} {
			if err := replica.Keep(t.Context()); !errors.Is(err, webhookcert.ErrAnothers) {
				t.Errorf("%s: %v", annotation, err)
			}
		}
		if n := w.writes() - writes; n != 0 {
			t.Errorf("%s: %d writes", annotation, n)
		}
		if pair, err := k.Get(nil); err != nil || !bytes.Equal(first, pair.Certificate[0]) {
			t.Errorf("%s: what was served is served no longer: %v", annotation, err)
		}
	}
}

// TestStart: trouble does not end it, and it looks again by itself.
func TestStart(t *testing.T) {
	w := newWorld(t)
	secrets := w.api.CoreV1().Secrets("kube-system")
	if err := secrets.Delete(t.Context(), "webhook", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	k := w.replica()
	if k.NeedLeaderElection() {
		t.Error("only the leader would serve")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Start(ctx) }()
	w.awaitLook()
	if _, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "webhook"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.clock.Step(10 * time.Second)
	w.awaitLook()
	w.served(k)
	stop()
	if diff := cmp.Diff(error(nil), <-ended); diff != "" {
		t.Error(diff)
	}
}

// awaitLook returns when a look has ended and the next one is waited for.
func (w *world) awaitLook() {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !w.clock.HasWaiters(); <-tick.C {
		if time.Now().After(deadline) {
			w.Fatal("it does not wait")
		}
	}
}
