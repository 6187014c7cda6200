package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webhookcert"
)

const (
	// webhookName names the Service that the API server calls and the Secret
	// with the certificate; webhookConfiguration is the
	// ValidatingWebhookConfiguration.
	webhookName          = "aws-auth-refresher-webhook"
	webhookConfiguration = "aws-auth-refresher"
	webhookPath          = "/validate-rules"

	// Anybody in the cluster can call the webhook, and a request may be as large
	// as 7 MB: more at once than people edit rules must not take the memory away
	// from the refresher.
	webhookConnections = 20
	webhookRequests    = 4
)

// Webhook says whether a bad edit of the rules is refused while it is made.
type Webhook struct {
	Address string
	CertDir string
}

// BindFlags adds the flags with their defaults.
func (w *Webhook) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&w.Address, "webhook-bind-address", "0",
		"address of the validating webhook for the rules, such as :9443, where deploy/webhook is installed; 0 turns it off")
	flags.StringVar(&w.CertDir, "webhook-cert-dir", "",
		"folder with the webhook's tls.crt and tls.key, as cert-manager makes them; default: they are made and renewed here, in the Secret "+webhookName)
}

// on tells whether the webhook is served.
func (w *Webhook) on() bool { return w.Address != "" && w.Address != "0" }

// Validate refuses options that contradict themselves.
func (w *Webhook) Validate() error {
	if !w.on() {
		if w.CertDir != "" {
			return errors.New("--webhook-cert-dir needs --webhook-bind-address, such as :9443")
		}
		return nil
	}
	return bindAddress("webhook-bind-address", w.Address)
}

// addTo has the manager serve the webhook, on every replica.
func (w *Webhook) addTo(mgr ctrl.Manager, deps ControllerDeps, c controllers.Config) error {
	if !w.on() {
		return nil
	}
	log := deps.Log.WithName("webhook")
	// A panic ends the connection, not in a refusal: the API server goes on then.
	hook := &admission.Webhook{Handler: controllers.NewRulesWebhook(c), RecoverPanic: new(false)}
	handler, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: log, MetricsPath: webhookPath})
	if err != nil {
		return fmt.Errorf("configuring the webhook: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(webhookPath, atMost(webhookRequests, handler))
	server := &webhookServer{address: w.Address, log: log, config: serve.Config{Handler: mux, Log: log, MaxConnections: webhookConnections}}
	if w.CertDir != "" {
		pair := &serve.Pair{CertFile: filepath.Join(w.CertDir, "tls.crt"), KeyFile: filepath.Join(w.CertDir, "tls.key"), Log: log}
		if err := pair.Load(); err != nil {
			log.Error(err, "the webhook has no certificate yet; every edit of the rules is let through")
		}
		server.config.Certificate = pair.Get
		return mgr.Add(server)
	}
	keeper, err := webhookKeeper(deps, c.Namespace, log)
	if err != nil {
		return err
	}
	server.config.Certificate = keeper.Get
	return errors.Join(mgr.Add(keeper), mgr.Add(server))
}

func webhookKeeper(deps ControllerDeps, namespace string, log logr.Logger) (*webhookcert.Keeper, error) {
	core, err := corev1client.NewForConfig(deps.Cluster)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	admissions, err := admissionclient.NewForConfig(deps.Cluster)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kubernetes client: %w", err)
	}
	return webhookcert.New(webhookcert.Config{
		Secrets: core.Secrets(namespace), Webhooks: admissions.ValidatingWebhookConfigurations(),
		Secret: webhookName, Webhook: webhookConfiguration,
		// The API server calls the first; localhost is for a look through
		// kubectl port-forward.
		Names: []string{webhookName + "." + namespace + ".svc", "localhost"},
		Clock: clock.RealClock{}, Log: log,
	}), nil
}

// webhookServer is a Runnable that serves while the manager runs.
type webhookServer struct {
	address string
	log     logr.Logger
	config  serve.Config
}

var _ manager.LeaderElectionRunnable = (*webhookServer)(nil)

// NeedLeaderElection is false: every replica answers.
func (*webhookServer) NeedLeaderElection() bool { return false }

// Start serves until ctx ends. An error means that the address is taken; what
// goes wrong later ends the webhook and not the refresher.
func (s *webhookServer) Start(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("--webhook-bind-address: %w", err)
	}
	s.config.Listener = listener
	if err := serve.Run(ctx, s.config); err != nil {
		s.log.Error(err, "the webhook ended")
	}
	return nil
}

// atMost turns requests away while n are under way, which the API server takes
// for no answer.
func atMost(n int, next http.Handler) http.Handler {
	places := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
}
