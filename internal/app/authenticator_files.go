package app

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/serve"
)

func authenticatorInit() *cobra.Command {
	var flags authnFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write the server's certificate, key and webhook kubeconfig beforehand",
		Long: `Write the server's certificate, key and webhook kubeconfig beforehand, so that the
API server can be started before the authenticator. A certificate that is there
is kept, unless it was made here and has expired or is not for the hostname; the
key stays. Start the server with --kubeconfig-pregenerated then.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := flags.resolve(cmd.Flags())
			if err != nil {
				return err
			}
			log := funcr.New(func(_, line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }, funcr.Options{})
			file.Server.KubeconfigPregenerated = false // this is what does it
			certificates := authenticatorCertificates(file.Server, log)
			if err := writeAuthenticatorFiles(certificates, file.Server); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "certificate: %s\nkey:         %s\nkubeconfig:  %s\n\nStart the API server with\n  --authentication-token-webhook-config-file=%s\n",
				certificates.CertPath(), certificates.KeyPath(), file.Server.GenerateKubeconfig, file.Server.GenerateKubeconfig)
			return err
		},
	}
	flags.bindCluster(cmd.Flags())
	flags.bindFiles(cmd.Flags())
	return cmd
}

func authenticatorCertificates(s authnconfig.Server, log logr.Logger) *serve.Certificates {
	return &serve.Certificates{
		Dir: s.StateDir, Names: []string{s.Hostname}, Also: []string{s.Address}, // the API server calls the hostname
		Keep: s.KubeconfigPregenerated, Log: log,
	}
}

// writeAuthenticatorFiles makes the certificate if there is none that fits and,
// unless that was done beforehand, writes the webhook kubeconfig.
func writeAuthenticatorFiles(certificates *serve.Certificates, s authnconfig.Server) error {
	if _, err := certificates.Ensure(); err != nil {
		return err
	}
	if s.KubeconfigPregenerated {
		return nil
	}
	text, err := webhookKubeconfig(s, certificates.PEM())
	if err != nil {
		return fmt.Errorf("making the webhook kubeconfig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.GenerateKubeconfig), 0o755); err != nil { //nolint:gosec // the API server may run as somebody else
		return fmt.Errorf("writing the webhook kubeconfig: %w", err)
	}
	if err := serve.WriteFile(s.GenerateKubeconfig, text, 0o644); err != nil {
		return fmt.Errorf("writing the webhook kubeconfig: %w", err)
	}
	return nil
}

// webhookKubeconfig is what the API server reads: it holds no secret.
func webhookKubeconfig(s authnconfig.Server, certificate []byte) ([]byte, error) {
	server := url.URL{Scheme: "https", Host: net.JoinHostPort(s.Hostname, strconv.Itoa(s.Port)), Path: "/authenticate"}
	config := clientcmdapi.Config{
		CurrentContext: "webhook",
		Clusters:       map[string]*clientcmdapi.Cluster{"aws-iam-authenticator": {Server: server.String(), CertificateAuthorityData: certificate}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"apiserver": {}},
		Contexts:       map[string]*clientcmdapi.Context{"webhook": {Cluster: "aws-iam-authenticator", AuthInfo: "apiserver"}},
	}
	return clientcmd.Write(config)
}

// authenticatorCluster is how to reach the cluster that holds aws-auth.
func authenticatorCluster(s authnconfig.Server) (*rest.Config, error) {
	return authenticatorClusterOf(s, "")
}

func authenticatorClusterOf(s authnconfig.Server, context string) (*rest.Config, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = s.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context, ClusterInfo: clientcmdapi.Cluster{Server: s.Master}}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to read aws-auth from: %w; run in a pod or give --kubeconfig", err)
	}
	return present(c), nil
}
