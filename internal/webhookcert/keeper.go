// Package webhookcert makes the certificate that an admission webhook serves
// with, renews it in time, and has the API server trust it.
//
// Certificate and key are in a Secret, so that all replicas serve the same one;
// what is to be trusted goes into the webhook's configuration. Both must exist,
// and are read and updated by name: no right to list Secrets, or to create them,
// is needed. The authority that signs is made for one certificate, and its key is
// forgotten at once.
package webhookcert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

const (
	// lifetime is that of a certificate, renewal how long before its end the
	// next one is made.
	lifetime = 365 * 24 * time.Hour
	renewal  = 30 * 24 * time.Hour
	// skew is by how much clocks may differ.
	skew = time.Hour
	// every is how often both objects are looked at, afterTrouble how soon again
	// when one cannot be read or written.
	every        = time.Minute
	afterTrouble = 10 * time.Second
	// callTimeout bounds one look, retries and all.
	callTimeout = 15 * time.Second

	caKey      = "ca.crt"
	fieldOwner = "aws-auth-refresher-webhook"
)

// Secrets is the client for the Secrets of one namespace.
type Secrets interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error)
	Update(ctx context.Context, s *corev1.Secret, o metav1.UpdateOptions) (*corev1.Secret, error)
}

// Webhooks is the client for the configurations of validating webhooks.
type Webhooks interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*admissionv1.ValidatingWebhookConfiguration, error)
	Update(ctx context.Context, w *admissionv1.ValidatingWebhookConfiguration, o metav1.UpdateOptions) (*admissionv1.ValidatingWebhookConfiguration, error)
}

// Config configures a Keeper. All of it is needed.
type Config struct {
	Secrets  Secrets
	Webhooks Webhooks
	// Secret and Webhook are the names of the two objects.
	Secret, Webhook string
	// Names are the host names that the webhook is called by.
	Names []string
	Clock clock.WithTicker
	Log   logr.Logger
}

// Keeper keeps one certificate. Its methods may be called from several
// goroutines, except Keep and Start.
type Keeper struct {
	Config

	mu      sync.Mutex
	current *tls.Certificate
	trouble string
}

// New returns a Keeper that has no certificate yet.
func New(c Config) *Keeper { return &Keeper{Config: c} }

// NeedLeaderElection is false: every replica serves.
func (*Keeper) NeedLeaderElection() bool { return false }

// Get gives the certificate for a handshake.
func (k *Keeper) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil {
		return nil, errors.New("there is no certificate yet")
	}
	return k.current, nil
}

// Start keeps the certificate until ctx ends. Trouble is logged and never ends
// it: the API server goes on without the webhook.
func (k *Keeper) Start(ctx context.Context) error {
	for {
		wait := every
		if err := k.Keep(ctx); err != nil {
			wait = afterTrouble
			if ctx.Err() == nil && err.Error() != k.trouble {
				k.trouble = err.Error()
				k.Log.Error(err, "the certificate of the webhook is not in order")
			}
		} else {
			k.trouble = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.Clock.After(wait):
		}
	}
}

// ErrAnothers says that cert-manager keeps the webhook's configuration, so that
// neither object is touched.
var ErrAnothers = errors.New("cert-manager says whom the API server trusts here, and two must not write that in turns; " +
	"start with --webhook-cert-dir, or take the annotation away")

// anothers finds what has cert-manager's injector write the configuration
// (cert-manager.io/docs, CA Injector).
func anothers(webhook *admissionv1.ValidatingWebhookConfiguration) error {
	for _, annotation := range []string{"cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret", "cert-manager.io/inject-apiserver-ca"} {
		if webhook.Annotations[annotation] != "" {
			return fmt.Errorf("the ValidatingWebhookConfiguration has the annotation %s: %w", annotation, ErrAnothers)
		}
	}
	return nil
}

// Keep looks at both objects once, and puts in order what is not. A new
// certificate is served only after it is trusted. Where cert-manager keeps the
// configuration the error is ErrAnothers.
func (k *Keeper) Keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// First the one that is written last: if another replica writes it in
	// between, the older content that was read here cannot replace it.
	webhook, err := k.Webhooks.Get(ctx, k.Webhook, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the ValidatingWebhookConfiguration: %w", err)
	}
	if err := anothers(webhook); err != nil {
		return err
	}
	secret, err := k.Secrets.Get(ctx, k.Secret, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the Secret: %w", err)
	}
	if !k.good(secret) {
		if secret, err = k.renew(ctx, secret); err != nil {
			return fmt.Errorf("renewing the certificate in the Secret: %w", err)
		}
		k.Log.Info("the certificate of the webhook was made", "secret", k.Secret)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return err
	}
	if err := k.trust(ctx, webhook, secret.Data[caKey]); err != nil {
		return fmt.Errorf("writing the ValidatingWebhookConfiguration: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = &pair
	return nil
}

// good tells whether the certificate serves for all names, for long enough.
func (k *Keeper) good(secret *corev1.Secret) bool {
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, at := range []time.Time{k.Clock.Now(), k.Clock.Now().Add(renewal)} {
		for _, name := range k.Names {
			ok, err := rotator.ValidCert(secret.Data[caKey], secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], name, &usage, at)
			if err != nil || !ok {
				return false
			}
		}
	}
	return true
}

// renew stores a new certificate. The authority of the last one stays trusted,
// for the replicas that still serve with that.
func (k *Keeper) renew(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	maker := rotator.CertRotator{
		CAName: k.Names[0] + "-ca", CAOrganization: "aws-auth-refresher", DNSName: k.Names[0], ExtraDNSNames: k.Names[1:],
		ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	begin, end := k.Clock.Now().Add(-skew), k.Clock.Now().Add(lifetime)
	authority, err := maker.CreateCACert(begin, end)
	if err != nil {
		return nil, err
	}
	cert, key, err := maker.CreateCertPEM(authority, begin, end)
	if err != nil {
		return nil, err
	}
	trusted := authority.CertPEM
	if last, _ := pem.Decode(secret.Data[caKey]); last != nil && last.Type == "CERTIFICATE" {
		if _, err := x509.ParseCertificate(last.Bytes); err == nil {
			trusted = append(bytes.Clone(trusted), pem.EncodeToMemory(last)...)
		}
	}
	secret = secret.DeepCopy()
	secret.Data = map[string][]byte{caKey: trusted, corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key}
	return k.Secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldOwner})
}

// trust has the API server trust the authorities.
func (k *Keeper) trust(ctx context.Context, webhook *admissionv1.ValidatingWebhookConfiguration, authorities []byte) error {
	changed := false
	webhook = webhook.DeepCopy()
	for i := range webhook.Webhooks {
		config := &webhook.Webhooks[i].ClientConfig
		if !bytes.Equal(config.CABundle, authorities) {
			config.CABundle, changed = authorities, true
		}
	}
	if !changed {
		return nil
	}
	_, err := k.Webhooks.Update(ctx, webhook, metav1.UpdateOptions{FieldManager: fieldOwner})
	return err
}
