package app_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
)

var bed *controlplane.ControlPlane

const rule = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-.*$\n  username: foo\n  groups: [system:masters]\n"

// TestController runs the controller as it is installed: the manifests of
// deploy/, with the rights of its ServiceAccount and no others, leader-elected,
// against a real API server that crashes once.
func TestController(t *testing.T) {
	install(t, bed, manifests(t, "common.yaml"))
	core := coreClient(t, bed)
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	aws := emulated(t, emulator)
	rights, err := bed.User("system:serviceaccount:kube-system:aws-auth-refresher",
		"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	probes, metrics := freeAddress(t), freeAddress(t)
	options := app.ControllerOptions{
		Target:          app.Target{Namespace: "kube-system", Rules: "aws-auth-refresher", AWSAuth: "aws-auth"},
		Policy:          app.Policy{RemovalHold: time.Minute, MaxRemovals: "10,50%"},
		RefreshInterval: time.Second, LeaderElect: true, MetricsAddress: metrics, ProbeAddress: probes, History: 10,
	}
	logs := &logLines{}
	if testing.Verbose() {
		logs.t = t
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- app.RunController(ctx, options, app.ControllerDeps{Cluster: rights, AWS: aws, Log: logs.logger()})
	}()

	create(t, core, "aws-auth-refresher", map[string]string{"mapUsers": rule})
	mustCreateUser(t, emulator, "tmp-foo-1")
	eventually(t, "the user is in aws-auth", func() bool { return strings.Contains(mapUsers(t, core), "user/tmp-foo-1\n") })
	eventually(t, "it is ready", func() bool { return get("http://"+probes+"/readyz") == http.StatusOK })
	eventually(t, "the status says so", func() bool {
		cm, err := core.ConfigMaps("kube-system").Get(t.Context(), "aws-auth-refresher-status", metav1.GetOptions{})
		return err == nil && strings.HasPrefix(cm.Data["summary"], "1 users and 0 roles of ours")
	})
	eventually(t, "an event says so", func() bool { return added(t, core, "") })
	if text := body("http://" + metrics + "/metrics"); !strings.Contains(text, `aws_auth_refresher_entries{kind="user",owner="ours"} 1`) {
		t.Errorf("the metrics do not count the entry")
	}

	if err := bed.KillAPIServer(); err != nil {
		t.Fatal(err)
	}
	mustCreateUser(t, emulator, "tmp-foo-2")
	eventually(t, "the Lease is lost", func() bool { return logs.has("leading no longer") })
	expectOnlyWhatAStandbyKnows(t, probes, metrics)
	if err := bed.StartAPIServer(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on after the API server was away", func() bool { return strings.Contains(mapUsers(t, core), "user/tmp-foo-2\n") })

	expectHistory(t, core, emulator)
	eventually(t, "the second user's event names the second user", func() bool { return added(t, core, "tmp-foo-2") })

	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(45 * time.Second):
		t.Error("does not stop")
	}
	lease, err := leaseHolder(t)
	if err != nil || lease != "" {
		t.Errorf("the Lease is held by %q (%v) after a graceful stop", lease, err)
	}
	logs.hasNot(t, "address already in use", "leader election lost")
}

// expectOnlyWhatAStandbyKnows: who has lost the Lease answers as before, and says
// no more of aws-auth and IAM than when a refresh succeeded last.
func expectOnlyWhatAStandbyKnows(t *testing.T, probes, metrics string) {
	t.Helper()
	if code := get("http://" + probes + "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz answers %d", code)
	}
	text := body("http://" + metrics + "/metrics")
	for _, part := range []string{"aws_auth_refresher_leader 0\n", "aws_auth_refresher_last_success_timestamp_seconds 1"} {
		if !strings.Contains(text, part) {
			t.Errorf("the metrics of a former leader lack %q", part)
		}
	}
	for _, state := range []string{"condition", "entries", "held_removals", "left_out", "principals", "account_listed", "rule_matches", "aws_auth_bytes"} {
		if strings.Contains(text, "\naws_auth_refresher_"+state) {
			t.Errorf("a former leader still tells %s", state)
		}
	}
}

// added tells whether an event on the rules names whom was added.
func added(t *testing.T, core corev1client.CoreV1Interface, name string) bool {
	t.Helper()
	events, err := core.Events("kube-system").List(t.Context(), metav1.ListOptions{})
	return err == nil && slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
		return e.Reason == "EntriesAdded" && e.InvolvedObject.Name == "aws-auth-refresher" && strings.Contains(e.Message, name)
	})
}

// expectHistory: with its rights the controller can make the history, and add to
// it.
func expectHistory(t *testing.T, core corev1client.CoreV1Interface, emulator *fakeaws.Server) {
	t.Helper()
	eventually(t, "aws-auth as it was before is kept", func() bool {
		_, err := core.ConfigMaps("kube-system").Get(t.Context(), "aws-auth-refresher-history", metav1.GetOptions{})
		return err == nil
	})
	mustCreateUser(t, emulator, "tmp-foo-3")
	eventually(t, "and so it is the next time", func() bool {
		versions, err := (&controllers.Operator{
			ConfigMaps: core.ConfigMaps("kube-system"), Names: controllers.NamesFor("aws-auth-refresher", "aws-auth"), Clock: clock.RealClock{},
		}).Versions(t.Context())
		return err == nil && len(versions) == 3 && strings.Contains(versions[1].Data["mapUsers"], "user/tmp-foo-2\n")
	})
}

func emulated(t *testing.T, emulator *fakeaws.Server) aws.Config {
	t.Helper()
	server := httptest.NewServer(emulator)
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), HTTPClient: principals.WholeBodies(awshttp.NewBuildableClient()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
	}
}

// logLines keeps what the controller logs.
type logLines struct {
	t     *testing.T // nil: keep quiet
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logLines) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines.WriteString(args + "\n")
		if l.t != nil {
			l.t.Log(prefix, args)
		}
	}, funcr.Options{})
}

func (l *logLines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.lines.String(), part)
}

// hasNot: there was no such complaint.
func (l *logLines) hasNot(t *testing.T, complaints ...string) {
	t.Helper()
	for _, complaint := range complaints {
		if l.has(complaint) {
			t.Errorf("it complains: %s", complaint)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func create(t testing.TB, core corev1client.CoreV1Interface, name string, data map[string]string) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	if _, err := core.ConfigMaps("kube-system").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func mustCreateUser(t *testing.T, emulator *fakeaws.Server, name string) {
	t.Helper()
	if _, err := emulator.CreateUser("/", name); err != nil {
		t.Fatal(err)
	}
}

func mapUsers(t *testing.T, core corev1client.CoreV1Interface) string {
	t.Helper()
	cm, err := core.ConfigMaps("kube-system").Get(t.Context(), "aws-auth", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return cm.Data["mapUsers"]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 90*time.Second, true,
		func(context.Context) (bool, error) { return ok(), nil })
	if err != nil {
		t.Fatalf("still not: %s", what)
	}
}

func get(url string) int {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func body(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

func leaseHolder(t *testing.T) (string, error) {
	t.Helper()
	var lease unstructured.Unstructured
	lease.SetAPIVersion("coordination.k8s.io/v1")
	lease.SetKind("Lease")
	err := clusterClient(t, bed).Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "aws-auth-refresher"}, &lease)
	holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
	return holder, err
}
