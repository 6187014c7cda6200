package demo_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// TestUserKubeconfig uses the kubeconfig of an IAM user as kubectl does, and runs
// its exec entry by hand.
func TestUserKubeconfig(t *testing.T) {
	t.Parallel() // it waits most of the time
	p := start(t, "--no-scenario")
	p.says("It is up")
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(p.dir, "user.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	entry := cfg.ExecProvider
	if entry == nil || !filepath.IsAbs(entry.Command) {
		t.Fatalf("the exec entry is %v, want one with an absolute path", entry)
	}
	if diff := cmp.Diff([]string{"token", "--cluster-name", "demo"}, entry.Args); diff != "" {
		t.Errorf("arguments: -want +got\n%s", diff)
	}
	entry.Env = append(entry.Env, clientcmdapi.ExecEnvVar{Name: programEnv, Value: "1"})

	byHand := rest.AnonymousClientConfig(cfg)
	byHand.ExecProvider = nil
	byHand.BearerToken = runEntry(t, entry)
	for reason, config := range map[string]*rest.Config{
		"as kubectl does it": cfg, "the token of the entry's command": byHand,
	} {
		user := whoAmI(t, config)
		if diff := cmp.Diff([]string{"developers", "system:authenticated"}, user.Groups); user.Username != "vault:guest" || diff != "" {
			t.Errorf("%s: the user is %s; groups -want +got\n%s", reason, user.Username, diff)
		}
	}
	core, err := corev1client.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("developers may list ConfigMaps in default: %v", err)
	}
	if _, err := core.ConfigMaps("kube-system").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("developers must not look into kube-system: got %v", err)
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.leavesNothing()
}

// runEntry runs an exec entry among a user's other AWS settings, which must not
// matter, and returns the token that it prints.
func runEntry(t *testing.T, entry *clientcmdapi.ExecConfig) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), entry.Command, entry.Args...)
	cmd.Env = []string{`KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"` + entry.APIVersion + `","spec":{"interactive":false}}`,
		"AWS_ACCESS_KEY_ID=AKIAOTHER", "AWS_SECRET_ACCESS_KEY=x", "AWS_SESSION_TOKEN=stale", "AWS_PROFILE=work", "AWS_REGION=eu-west-1", "DEFAULT_ROLE=arn:aws:iam::111122223333:role/other",
	}
	for _, v := range entry.Env {
		cmd.Env = append(slices.DeleteFunc(cmd.Env, func(s string) bool { return strings.HasPrefix(s, v.Name+"=") }), v.Name+"="+v.Value)
	}
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var credential clientauthenticationv1.ExecCredential
	if err := json.Unmarshal(out, &credential); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if credential.Kind != "ExecCredential" || credential.APIVersion != "client.authentication.k8s.io/v1" ||
		credential.Status == nil || credential.Status.ExpirationTimestamp == nil {
		t.Fatalf("it printed %s", out)
	}
	return credential.Status.Token
}

func whoAmI(t *testing.T, config *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	client, err := authenticationclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var user authenticationv1.UserInfo
	poll(t, "the API server accepts the token", func() bool {
		review, err := client.SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsUnauthorized(err) {
			t.Fatal(err)
		}
		if err == nil {
			user = review.Status.UserInfo
		}
		return err == nil
	})
	return user
}
