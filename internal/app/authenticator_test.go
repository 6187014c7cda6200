package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const webhookCluster = "my-dev-cluster.example.com"

// TestAuthenticator lets a real API server, with its usual caches, ask the
// authenticator about tokens of an IAM user who comes and goes.
func TestAuthenticator(t *testing.T) {
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	a := startAuthenticator(t, emulator)
	mustCreateUser(t, emulator, "alice")
	token := tokens(t, emulator, "alice")
	config := a.plane.Token(token())

	if _, err := whoAmI(t, config); !apierrors.IsUnauthorized(err) {
		t.Fatalf("an unmapped user got %v, want unauthorized", err)
	}
	a.setUsers(t, "- userarn: arn:aws:iam::123456789012:user/alice\n  username: alice\n  groups: [dev]\n")
	eventually(t, "the same token is accepted once its user is mapped, in spite of the API server's cache", func() bool {
		_, err := whoAmI(t, config)
		return err == nil
	})
	user, err := whoAmI(t, config)
	if err != nil {
		t.Fatal(err)
	}
	if user.Username != "alice" || !strings.HasPrefix(user.UID, "aws-iam-authenticator:123456789012:AIDA") {
		t.Errorf("got the user %s %s", user.Username, user.UID)
	}
	if diff := cmp.Diff([]string{"dev", "system:authenticated"}, user.Groups); diff != "" {
		t.Errorf("groups: -want +got\n%s", diff)
	}
	if diff := cmp.Diff(authenticationv1.ExtraValue{"arn:aws:iam::123456789012:user/alice"}, user.Extra["arn"]); diff != "" {
		t.Errorf("extra arn: -want +got\n%s", diff)
	}

	a.setUsers(t, "[]")
	refused := func() bool {
		_, err := whoAmI(t, a.plane.Token(token())) // a new token: the API server caches what it accepted
		return apierrors.IsUnauthorized(err)
	}
	eventually(t, "a removed user's next token is refused", refused)
	a.testRoles(t, emulator)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": `aws_iam_authenticator_authenticate_latency_seconds_count{result="success"}`} {
		if got := a.get(t, path); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// testRoles lets sessions of roles in: by their role, by their permission set,
// by their account, and after an entry was added on the command line.
func (a *authenticator) testRoles(t *testing.T, emulator *fakeaws.Server) {
	t.Helper()
	session := assumer(t, emulator)
	dev, sso := session("/team/", "Dev", "alice@example.com"), session("/", "AWSReservedSSO_Admin_0123456789abcdef", "bob")
	instance, err := emulator.AddInstance(fakeaws.Instance{PrivateDNSName: "ip-10-0-0-1.ec2.internal"})
	if err != nil {
		t.Fatal(err)
	}
	node := session("/", "Node", instance.ID)
	other, added := session("/", "Other", "carol"), session("/", "Added", "dave")
	a.set(t, map[string]string{
		"mapRoles": "- rolearn: arn:aws:iam::123456789012:role/Dev\n  username: dev:{{SessionName}}\n" +
			"- rolearn: arn:aws:iam::123456789012:role/Node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]\n" +
			"- sso: {permissionSetName: Admin, accountID: \"123456789012\"}\n  username: sso:{{SessionNameRaw}}\n",
		"mapAccounts": "- \"123456789012\"\n",
	})
	a.addRole(t, "arn:aws:iam::123456789012:role/Added")
	a.mapIdentity(t, "arn:aws:iam::123456789012:role/Object", "object")
	object := session("/", "Object", "erin")
	for _, row := range []struct {
		reason, want string
		token        func() string
	}{
		{"a role, whose path no token tells", "dev:alice-example.com", dev},
		{"a permission set", "sso:bob", sso},
		{"a node", "system:node:ip-10-0-0-1.ec2.internal", node},
		{"an IAMIdentityMapping", "object", object},
		{"an account", "arn:aws:iam::123456789012:role/Other", other},
		{"an entry that authenticator add wrote", "added:dave", added},
	} {
		eventually(t, row.reason, func() bool {
			user, err := whoAmI(t, a.plane.Token(row.token()))
			return err == nil && user.Username == row.want
		})
	}
}

// addRole runs authenticator add role.
func (a *authenticator) addRole(t *testing.T, roleARN string) {
	t.Helper()
	text, err := controlplane.Kubeconfig(a.plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(answer string) (string, error) {
		var out strings.Builder
		root := app.Root(app.Authenticator())
		root.SetArgs([]string{"authenticator", "add", "role", "--kubeconfig", kubeconfig, "--rolearn", roleARN, "--username", "added:{{SessionName}}", "--groups", "dev"})
		root.SetIn(strings.NewReader(answer))
		root.SetOut(&out)
		err := root.Execute()
		return out.String(), err
	}
	if out, err := add("n\n"); err != nil || !strings.Contains(out, "Nothing was added.") {
		t.Errorf("answered no: %s %v", out, err)
	}
	if out, err := add("y\n"); err != nil || !strings.Contains(out, roleARN) || !strings.Contains(out, "role/Dev") {
		t.Errorf("answered yes: %s %v", out, err)
	}
	if _, err := add("y\n"); err == nil || !strings.Contains(err.Error(), "has an entry already") {
		t.Errorf("added twice: %v", err)
	}
}

// assumer makes roles and gives what mints tokens of their sessions.
func assumer(t *testing.T, emulator *fakeaws.Server) func(path, role, session string) func() string {
	t.Helper()
	mustCreateUser(t, emulator, "assumer")
	key, err := emulator.CreateAccessKey("assumer")
	if err != nil {
		t.Fatal(err)
	}
	config := emulated(t, emulator)
	config.Credentials = credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")
	client := sts.NewFromConfig(config)
	return func(path, role, session string) func() string {
		made, err := emulator.CreateRole(path, role, "")
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &made.ARN, RoleSessionName: &session})
		if err != nil {
			t.Fatal(err)
		}
		c := out.Credentials
		return minter(t, ekstoken.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken})
	}
}

// authenticator is a running server and the API server that asks it.
type authenticator struct {
	plane *controlplane.ControlPlane
	core  corev1client.CoreV1Interface
	files authnconfig.Server
}

// startAuthenticator starts both as people do: the files first, then the API
// server, then the authenticator, with the shipped rights.
func startAuthenticator(t *testing.T, emulator *fakeaws.Server) *authenticator {
	t.Helper()
	dir := t.TempDir()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	file := authnconfig.Default()
	file.ClusterID = webhookCluster
	file.Server.StateDir, file.Server.GenerateKubeconfig = dir, filepath.Join(dir, "webhook.yaml")
	file.Server.Port, _ = strconv.Atoi(port)
	file.Server.BackendMode = []string{authnconfig.MountedFile, authnconfig.CRD, authnconfig.EKSConfigMap}
	root := app.Root(app.Authenticator())
	root.SetArgs([]string{"authenticator", "init", "-i", webhookCluster, "--port", port, "--state-dir", dir, "--generate-kubeconfig", file.Server.GenerateKubeconfig})
	root.SetOut(t.Output())
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	plane, err := controlplane.Start(t.Context(), controlplane.Config{APIServerArgs: map[string][]string{
		"authentication-token-webhook-config-file": {file.Server.GenerateKubeconfig},
		"authentication-token-webhook-version":     {"v1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	core := coreClient(t, plane)
	a := &authenticator{plane: plane, core: core, files: file.Server}

	rights := installAuthenticator(t, plane)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	deps := app.AuthenticatorDeps{
		Cluster: rights, Transport: emulatedSTS(t, emulator), AWS: emulated(t, emulator),
		Log: funcr.New(func(_, args string) { fmt.Fprintln(t.Output(), args) }, funcr.Options{}),
	}
	file.Server.KubeconfigPregenerated = true
	go func() { ended <- app.RunAuthenticator(ctx, app.AuthenticatorOptions{File: file}, deps) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(45 * time.Second):
			t.Error("the authenticator does not stop")
		}
	})
	eventually(t, "the authenticator is ready", func() bool { return a.get(t, "/readyz") == "ok" })
	return a
}

// emulatedSTS asks the emulator instead of every STS, and keeps the host.
func emulatedSTS(t *testing.T, emulator *fakeaws.Server) http.RoundTripper {
	t.Helper()
	server := httptest.NewServer(emulator)
	t.Cleanup(server.Close)
	transport := ekstoken.NewTransport()
	transport.ForceAttemptHTTP2 = false
	transport.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	return transport
}

func (a *authenticator) setUsers(t *testing.T, users string) {
	t.Helper()
	a.set(t, map[string]string{"mapUsers": users})
}

// set replaces aws-auth.
func (a *authenticator) set(t *testing.T, data map[string]string) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: data}
	maps := a.core.ConfigMaps("kube-system")
	_, err := maps.Update(t.Context(), cm, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(t.Context(), cm, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// get reads a page of the server, with the certificate of the kubeconfig.
func (a *authenticator) get(t *testing.T, path string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(a.files.GenerateKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	cluster := config.Clusters["aws-iam-authenticator"]
	roots.AppendCertsFromPEM(cluster.CertificateAuthorityData)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(cluster.Server, "/authenticate")+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	var text strings.Builder
	if err := response.Write(&text); err != nil {
		return err.Error()
	}
	_, page, _ := strings.Cut(text.String(), "\r\n\r\n")
	return page
}

// tokens mints tokens of an IAM user with one access key.
func tokens(t *testing.T, emulator *fakeaws.Server, user string) func() string {
	t.Helper()
	key, err := emulator.CreateAccessKey(user)
	if err != nil {
		t.Fatal(err)
	}
	return minter(t, ekstoken.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret})
}

func minter(t *testing.T, credentials ekstoken.Credentials) func() string {
	t.Helper()
	return func() string {
		token, err := ekstoken.Mint(ekstoken.MintConfig{ClusterID: webhookCluster, Region: "eu-west-1", Credentials: credentials})
		if err != nil {
			t.Fatal(err)
		}
		return token.Value
	}
}

func whoAmI(t *testing.T, config *rest.Config) (authenticationv1.UserInfo, error) {
	t.Helper()
	client, err := authenticationclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return review.Status.UserInfo, nil
}
