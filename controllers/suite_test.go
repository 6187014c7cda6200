package controllers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

var bed *controlplane.ControlPlane

func TestMain(m *testing.M) {
	os.Exit(controlplane.Main(m, controlplane.Config{Audit: true}, &bed))
}

// world is one namespace of the real API server, one emulated AWS account and
// one refresher, with a clock that stands still until it is told to move.
type world struct {
	testing.TB
	clock      *clocktesting.FakePassiveClock
	aws        *fakeaws.Server
	awsURL     string
	namespace  string
	admin      corev1client.ConfigMapInterface // what people use
	core       corev1client.CoreV1Interface
	config     Config
	refresher  *AWSAuthReconciler
	events     *eventLog
	recreating sync.Mutex    // held while a writer deletes aws-auth and makes it again
	skew       time.Duration // how far AWS's clock is ahead of the refresher's
}

const accountID = "123456789012"

var namespaces struct {
	sync.Mutex
	n int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldIn(t, accountID)
}

// newWorldWith has a person in aws-auth, fooRule, and these users let in by it.
func newWorldWith(t *testing.T, users ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers(users...)
	w.refresh()
	return w
}

func newWorldIn(t testing.TB, accountID string) *world {
	t.Helper()
	core, err := corev1client.NewForConfig(bed.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	namespaces.Lock()
	namespaces.n++
	namespace := fmt.Sprintf("world-%d", namespaces.n)
	namespaces.Unlock()
	if _, err := core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, clock: clocktesting.NewFakePassiveClock(time.Now()), namespace: namespace, core: core,
		admin: core.ConfigMaps(namespace), events: &eventLog{}}
	w.aws = fakeaws.New(fakeaws.Config{AccountID: accountID, AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	if _, err := w.aws.CreateUser("/", "alice"); err != nil { // of person
		t.Fatal(err)
	}
	server := httptest.NewServer(dated{w})
	t.Cleanup(server.Close)
	w.awsURL = server.URL
	w.config = Config{
		ConfigMaps: core.ConfigMaps(namespace), Namespace: namespace, Names: NamesFor("aws-auth-refresher", "aws-auth"),
		Lister: w.lister(), Events: w.events, History: 10, Metrics: NewMetrics(prometheus.NewRegistry(), 0), Clock: w.clock,
		Removal: removal.Settings{Hold: 10 * time.Minute, MaxCount: 10, MaxPercent: 50},
	}
	w.restart()
	return w
}

// dated answers with the time of the world, which AWS's clock shows.
type dated struct{ *world }

func (d dated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.aws.ServeHTTP(datedAnswer{w, d.clock.Now().Add(d.skew)}, r)
}

type datedAnswer struct {
	http.ResponseWriter
	at time.Time
}

func (d datedAnswer) WriteHeader(status int) {
	d.Header().Set("Date", d.at.UTC().Format(http.TimeFormat))
	d.ResponseWriter.WriteHeader(status)
}

func (w *world) lister() *principals.Lister {
	return w.listerAs("AKIAADMIN", "secret", "")
}

// sdk signs by the true time, whatever the world's is.
func (w *world) sdk(key, secret string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(w.awsURL), RetryMaxAttempts: 1,
		HTTPClient:  principals.WholeBodies(awshttp.NewBuildableClient()),
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), DisableClockSkewCorrection: true,
	}
}

// listerAs is a Lister with a key of an account; empty: whosever it is.
func (w *world) listerAs(key, secret, account string) *principals.Lister {
	c := w.sdk(key, secret)
	cfg := principals.Config{
		IAM: iam.NewFromConfig(c), STS: sts.NewFromConfig(c), Credentials: c.Credentials, Now: w.clock.Now, AccountID: account,
	}
	if account != "" {
		cfg.Partition = "aws"
	}
	return principals.New(cfg)
}

// restart is what a new process begins with: nothing remembered.
func (w *world) restart() { w.refresher = NewReconciler(w.config) }

// pass moves the clock.
func (w *world) pass(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

// refresh runs one refresh that must end well.
func (w *world) refresh() ctrl.Result {
	w.Helper()
	res, err := w.refresher.Reconcile(w.Context(), request())
	if err != nil {
		w.Fatalf("refresh: %v", err)
	}
	return res
}

// later lets the next interval come and refreshes.
func (w *world) later() {
	w.Helper()
	w.pass(16 * time.Second)
	w.refresh()
}

// settle refreshes until what is gone may have been taken out: two listings,
// and a question to IAM.
func (w *world) settle() {
	w.Helper()
	for range 3 {
		w.later()
	}
}

func (w *world) get(name string) *corev1.ConfigMap {
	w.Helper()
	cm, err := w.admin.Get(w.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.Fatalf("get %s: %v", name, err)
	}
	return cm
}

// mapUsers is the text that stands in aws-auth.
func (w *world) mapUsers() string { w.Helper(); return w.get("aws-auth").Data["mapUsers"] }

// apply creates or replaces a ConfigMap with this data.
func (w *world) apply(name string, data map[string]string) *corev1.ConfigMap {
	w.Helper()
	cm, err := w.admin.Get(w.Context(), name, metav1.GetOptions{})
	if err == nil {
		cm.Data = data
		cm, err = w.admin.Update(w.Context(), cm, metav1.UpdateOptions{FieldManager: "kubectl-edit"})
	} else {
		cm = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
		cm, err = w.admin.Create(w.Context(), cm, metav1.CreateOptions{FieldManager: "kubectl-create"})
	}
	if err != nil {
		w.Fatalf("apply %s: %v", name, err)
	}
	return cm
}

func (w *world) rules(mapUsers string) {
	w.Helper()
	w.apply("aws-auth-refresher", map[string]string{"mapUsers": mapUsers})
}

// approved applies rules together with the approval of what they take out, which
// the command of the condition gives, too.
func (w *world) approved(mapUsers string) {
	w.Helper()
	data := map[string]string{"mapUsers": mapUsers}
	cm := w.apply("aws-auth-refresher", data)
	w.annotate(cm, ApproveAnnotation, nextApproval(w, data))
}

// nextApproval is an approval of rules that was not used yet.
func nextApproval(w *world, data map[string]string) string {
	w.Helper()
	_, record, err := (store{w.admin, w.config.Names}).readRecord(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return approval{Approval: record.Approval, spent: record.Spent, digest: rules.DataDigest(data)}.next()
}

func (w *world) annotate(cm *corev1.ConfigMap, key, value string) {
	w.Helper()
	metav1.SetMetaDataAnnotation(&cm.ObjectMeta, key, value)
	if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{FieldManager: "kubectl-annotate"}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) awsAuth(mapUsers string) *corev1.ConfigMap {
	w.Helper()
	return w.apply("aws-auth", map[string]string{"mapUsers": mapUsers})
}

func (w *world) delete(name string) {
	w.Helper()
	if err := w.admin.Delete(w.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) createUsers(names ...string) {
	w.Helper()
	for _, name := range names {
		if _, err := w.aws.CreateUser("/", name); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) deleteUsers(names ...string) {
	w.Helper()
	for _, name := range names {
		if err := w.aws.DeleteUser(name); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) condition(kind string) metav1.Condition {
	w.Helper()
	var conditions []metav1.Condition
	if err := yaml.Unmarshal([]byte(w.get("aws-auth-refresher-status").Data["conditions"]), &conditions); err != nil {
		w.Fatal(err)
	}
	for _, c := range conditions {
		if c.Type == kind {
			return c
		}
	}
	w.Fatalf("the status has no condition %s", kind)
	return metav1.Condition{}
}

func (w *world) expectMapUsers(reason, want string) {
	w.Helper()
	if got := w.mapUsers(); got != want {
		w.Errorf("%s\n got %q\nwant %q", reason, got, want)
	}
}

// writes counts what was written in this world so far, our own and others'.
func (w *world) writes() int {
	w.Helper()
	all, err := bed.Writes(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	n := 0
	for _, x := range all {
		if x.Namespace == w.namespace {
			n++
		}
	}
	return n
}

// eventLog collects events instead of sending them.
type eventLog struct {
	sync.Mutex
	notes []string
}

// Eventf has the parameters of events.EventRecorder.
//
//nolint:revive // the interface is not ours
func (l *eventLog) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	l.Lock()
	defer l.Unlock()
	l.notes = append(l.notes, kind+" "+reason+": "+fmt.Sprintf(note, args...))
}

func (l *eventLog) count(part string) int {
	l.Lock()
	defer l.Unlock()
	n := 0
	for _, note := range l.notes {
		if strings.Contains(note, part) {
			n++
		}
	}
	return n
}

// entry is what the refresher writes for a user.
func entry(name, username string, groups ...string) string {
	text := "- userarn: arn:aws:iam::" + accountID + ":user/" + name + "\n  username: " + username + "\n  groups:\n"
	for _, g := range groups {
		text += "  - " + g + "\n"
	}
	return text
}

const (
	fooRule = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-.*$\n  username: foo\n  groups: [system:masters]\n"
	barRule = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-bar-.*$\n  username: bar\n  groups: [developers]\n"
	person  = "# people\n- userarn: arn:aws:iam::123456789012:user/alice # boss\n  username: alice\n  groups: [dev]\n"
)
