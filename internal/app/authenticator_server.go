package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/tokenreview"
)

// AuthenticatorOptions configure the server of token reviews.
type AuthenticatorOptions struct {
	authnconfig.File
	// Path is the configuration file, whose mappings the backend MountedFile
	// reads. Default: none.
	Path string
	// STSRegions are regions whose STS is accepted beside those that the
	// program knows.
	STSRegions []string
	// WipeUnparsable empties a key of aws-auth that cannot be parsed any more.
	// Default: its last good content stays.
	WipeUnparsable bool
}

// AuthenticatorDeps is the world that the server of token reviews works in.
type AuthenticatorDeps struct {
	// Cluster holds aws-auth; needed by the backends EKSConfigMap and
	// CRD only, nil without them.
	Cluster *rest.Config
	// FindCluster is asked for it whenever a file of backend modes names such a
	// backend and Cluster is nil. Default: there is none.
	FindCluster func() (*rest.Config, error)
	// Transport reaches STS. Default: ekstoken.NewTransport().
	Transport http.RoundTripper
	// AWS tells the server's own region and the credentials that look up
	// instances. Without a region there is no {{EC2PrivateDNSName}}.
	AWS aws.Config
	Log logr.Logger
}

func authenticatorServer() *cobra.Command {
	var flags authnFlags
	var o AuthenticatorOptions
	var logging Logging
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Answer the token reviews of an API server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			var deps AuthenticatorDeps
			logging.translate(cmd.Flags())
			if deps.Log, err = logging.Logger(); err != nil {
				return err
			}
			klog.SetLogger(deps.Log)
			if o.File, err = flags.resolve(cmd.Flags()); err != nil {
				return err
			}
			o.Path = flags.path
			if o.needsCluster() {
				if deps.Cluster, err = authenticatorCluster(o.Server); err != nil {
					return err
				}
			}
			deps.FindCluster = func() (*rest.Config, error) { return authenticatorCluster(o.Server) }
			if deps.AWS, err = ownAWSConfig(cmd.Context(), "", deps.Log); err != nil {
				return err
			}
			return RunAuthenticator(cmd.Context(), o, deps)
		},
	}
	flags.bindCluster(cmd.Flags())
	flags.bindFiles(cmd.Flags())
	logging.bindAuthenticatorFlags(cmd.Flags())
	s := &flags.values.Server
	cmd.Flags().BoolVar(&s.KubeconfigPregenerated, "kubeconfig-pregenerated", false, "leave the webhook kubeconfig and a certificate that is there alone, because init has written them")
	cmd.Flags().StringVar(&s.Kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster that the backends EKSConfigMap and CRD read; default: the pod's own cluster")
	cmd.Flags().StringVar(&s.Master, "master", "", "`URL` of the API server of that cluster, instead of the one in the kubeconfig")
	cmd.Flags().StringSliceVar(&s.BackendMode, "backend-mode", s.BackendMode, "where mappings come from, in order: MountedFile (the configuration file), EKSConfigMap (kube-system/aws-auth), CRD (IAMIdentityMappings), DynamicFile")
	cmd.Flags().IntVar(&s.QPS, "ec2-describeInstances-qps", s.QPS, "calls a second that look up {{EC2PrivateDNSName}}")
	cmd.Flags().IntVar(&s.Burst, "ec2-describeInstances-burst", s.Burst, "such calls at once")
	cmd.Flags().StringSliceVar(&o.STSRegions, "sts-region", nil, "further `regions` whose STS tokens may come from")
	cmd.Flags().BoolVar(&o.WipeUnparsable, "wipe-unparsable", false, "let nobody in by a key of aws-auth that cannot be parsed any more, as EKS does, instead of by its last good content")
	return cmd
}

func (o *AuthenticatorOptions) needsCluster() bool {
	return slices.Contains(o.Server.BackendMode, authnconfig.EKSConfigMap) || slices.Contains(o.Server.BackendMode, authnconfig.CRD)
}

// RunAuthenticator serves token reviews until ctx ends. The error says that it
// could not begin.
func RunAuthenticator(ctx context.Context, o AuthenticatorOptions, deps AuthenticatorDeps) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	backends := newBackends(o, deps, registry)
	metrics := tokenreview.NewMetrics(registry)
	if deps.Transport == nil {
		deps.Transport = ekstoken.NewTransport()
	}
	verifier, err := ekstoken.NewVerifier(ekstoken.VerifierConfig{
		ClusterID: o.ClusterID, Partition: o.Server.Partition, Region: deps.AWS.Region, STSRegions: o.STSRegions,
		Transport: metrics.CountSTS(deps.Transport),
	})
	if err != nil {
		return err
	}
	certificates := authenticatorCertificates(o.Server, deps.Log)
	if err := writeAuthenticatorFiles(certificates, o.Server); err != nil {
		return err
	}
	address := net.JoinHostPort(o.Server.Address, strconv.Itoa(o.Server.Port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	review := tokenreview.New(tokenreview.Config{
		Verifier: verifier, Mapper: backends, Metrics: metrics, Log: deps.Log, ScrubbedAccounts: o.Server.ScrubbedAccounts,
	})
	if err := backends.Start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	deps.Log.Info("serving token reviews", "address", address, "clusterID", o.ClusterID, "backends", o.Server.BackendMode)
	return serve.Run(ctx, serve.Config{
		Listener: listener, Handler: authenticatorMux(review, backends.Ready, registry), Certificate: certificates.Get, Log: deps.Log,
	})
}

func authenticatorMux(review http.Handler, ready func() error, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/authenticate", review)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}
