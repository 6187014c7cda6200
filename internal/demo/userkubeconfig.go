package demo

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const userKubeconfigName = "user.kubeconfig"

// writeUserKubeconfig makes the kubeconfig of an IAM user and returns its path.
func (w *world) writeUserKubeconfig(b bearer) (path string, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	text, err := userKubeconfig(w.cluster.admin, program, b)
	path = filepath.Join(w.dir, userKubeconfigName)
	if err == nil {
		err = writePrivate(path, text)
	}
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", userKubeconfigName, err)
	}
	return path, nil
}

// userKubeconfig has kubectl run program to get tokens with the bearer's key,
// whatever AWS configuration is around.
func userKubeconfig(server *rest.Config, program string, b bearer) ([]byte, error) {
	const name = "demo"
	return clientcmd.Write(clientcmdapi.Config{
		CurrentContext: name,
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: b.name}},
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: server.Host, CertificateAuthorityData: server.CAData}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{b.name: {Exec: &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1",
			Command:    program,
			Args:       []string{"token", "--cluster-name", clusterID},
			Env: []clientcmdapi.ExecEnvVar{
				{Name: "AWS_ACCESS_KEY_ID", Value: b.key.AccessKeyID},
				{Name: "AWS_SECRET_ACCESS_KEY", Value: b.key.SecretAccessKey},
				{Name: "AWS_SESSION_TOKEN", Value: ""},
				{Name: "AWS_REGION", Value: region},
				{Name: "DEFAULT_ROLE", Value: ""},
			},
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}}},
	})
}
