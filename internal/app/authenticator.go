package app

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

// clusterIDEnv names the cluster for the authenticator and its clients.
const clusterIDEnv = "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"

// Authenticator is the command that holds the server of token reviews and its
// tools.
func Authenticator() *cobra.Command {
	var features map[string]string
	cmd := &cobra.Command{
		Use:   "authenticator",
		Short: "Authenticate IAM identities to a self-managed Kubernetes API server",
		Long: `Authenticate IAM identities to a self-managed Kubernetes API server.

The server answers the token reviews of the API server's webhook: a token that an
IAM identity made is verified with AWS STS and mapped to a Kubernetes user.`,
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { return checkGates(features) },
	}
	cmd.PersistentFlags().StringToStringVar(&features, "feature-gates", nil, "those of aws-iam-authenticator, as `name=true`; they are always on")
	cmd.AddCommand(authenticatorServer(), authenticatorInit(), authenticatorVerify(), authenticatorAdd())
	return cmd
}

// authnFlags are the flags that say the same as the configuration file. A flag
// that is given wins over the file.
type authnFlags struct {
	path   string
	values authnconfig.File
}

// overlays copy what a flag says over what the file says.
func overlays() map[string]func(to, from *authnconfig.File) {
	type file = authnconfig.File
	return map[string]func(to, from *file){
		"cluster-id":                  func(to, from *file) { to.ClusterID = from.ClusterID },
		"partition":                   func(to, from *file) { to.Server.Partition = from.Server.Partition },
		"address":                     func(to, from *file) { to.Server.Address = from.Server.Address },
		"hostname":                    func(to, from *file) { to.Server.Hostname = from.Server.Hostname },
		"port":                        func(to, from *file) { to.Server.Port = from.Server.Port },
		"state-dir":                   func(to, from *file) { to.Server.StateDir = from.Server.StateDir },
		"generate-kubeconfig":         func(to, from *file) { to.Server.GenerateKubeconfig = from.Server.GenerateKubeconfig },
		"kubeconfig-pregenerated":     func(to, from *file) { to.Server.KubeconfigPregenerated = from.Server.KubeconfigPregenerated },
		"kubeconfig":                  func(to, from *file) { to.Server.Kubeconfig = from.Server.Kubeconfig },
		"master":                      func(to, from *file) { to.Server.Master = from.Server.Master },
		"ec2-describeInstances-qps":   func(to, from *file) { to.Server.QPS = from.Server.QPS },
		"ec2-describeInstances-burst": func(to, from *file) { to.Server.Burst = from.Server.Burst },
		"backend-mode":                func(to, from *file) { to.Server.BackendMode = from.Server.BackendMode },
	}
}

// bindCluster adds the flags that all authenticator commands with a cluster have.
func (a *authnFlags) bindCluster(flags *pflag.FlagSet) {
	a.values = authnconfig.Default()
	flags.StringVarP(&a.path, "config", "c", "", "configuration `file`")
	flags.StringVarP(&a.values.ClusterID, "cluster-id", "i", "", "the cluster's `ID`, which tokens must be made for; default: $"+clusterIDEnv)
	flags.StringVar(&a.values.Server.Partition, "partition", "aws", "the AWS partition that tokens must come from")
}

// bindFiles adds the flags that shape the certificate and the webhook kubeconfig.
func (a *authnFlags) bindFiles(flags *pflag.FlagSet) {
	s := &a.values.Server
	flags.StringVar(&s.Address, "address", s.Address, "IP `address` to listen at")
	flags.StringVar(&s.Hostname, "hostname", s.Hostname, "how the API server calls the server")
	flags.IntVar(&s.Port, "port", s.Port, "port to listen at")
	flags.StringVar(&s.StateDir, "state-dir", s.StateDir, "`directory` of cert.pem and key.pem, which are made when they are missing")
	flags.StringVar(&s.GenerateKubeconfig, "generate-kubeconfig", s.GenerateKubeconfig,
		"where to write the kubeconfig `file` for the API server's --authentication-token-webhook-config-file")
}

// resolve reads the file and puts the flags that were given over it.
func (a *authnFlags) resolve(flags *pflag.FlagSet) (authnconfig.File, error) {
	file := authnconfig.Default()
	if a.path != "" {
		text, err := os.ReadFile(a.path)
		if err != nil {
			return file, fmt.Errorf("--config: %w", err)
		}
		if err := authnconfig.Decode(text, &file); err != nil {
			return file, fmt.Errorf("%s: %w", a.path, err)
		}
	}
	if id := os.Getenv(clusterIDEnv); id != "" {
		file.ClusterID = id
	}
	all := overlays()
	flags.Visit(func(f *pflag.Flag) {
		if overlay, ok := all[f.Name]; ok {
			overlay(&file, &a.values)
		}
	})
	err := file.Normalize()
	return file, err
}
