package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// interfered runs a hook before each call, which may fail it.
type interfered struct {
	corev1client.ConfigMapInterface
	before func(verb, name string) error
}

func (i interfered) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error) {
	if err := i.before("get", name); err != nil {
		return nil, err
	}
	return i.ConfigMapInterface.Get(ctx, name, o)
}

func (i interfered) Create(ctx context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error) {
	if err := i.before("create", cm.Name); err != nil {
		return nil, err
	}
	return i.ConfigMapInterface.Create(ctx, cm, o)
}

func (i interfered) Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	if err := i.before("update", cm.Name); err != nil {
		return nil, err
	}
	return i.ConfigMapInterface.Update(ctx, cm, o)
}

func (i interfered) Apply(ctx context.Context, cm *applycorev1.ConfigMapApplyConfiguration, o metav1.ApplyOptions) (*corev1.ConfigMap, error) {
	if err := i.before("apply", *cm.Name); err != nil {
		return nil, err
	}
	return i.ConfigMapInterface.Apply(ctx, cm, o)
}

// interfere restarts the refresher with a hook that runs before its first call
// of this kind about aws-auth.
func (w *world) interfere(verb string, hook func()) {
	done := false
	w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(v, n string) error {
		if v == verb && n == "aws-auth" && !done {
			done = true
			hook()
		}
		return nil
	}}
	w.restart()
}

// TestTroubleWithIAMRemovesNobody: a listing that fails or lies is evidence of
// nothing, for as long as it goes on.
func TestTroubleWithIAMRemovesNobody(t *testing.T) {
	cases := map[string]struct {
		reason string
		fault  fakeaws.Fault
	}{
		"Denied":                 {"a listing that is refused", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Denied}},
		"Failing":                {"a listing that fails", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Failing}},
		"Throttled":              {"a listing that is throttled for minutes", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Throttled}},
		"Dropped":                {"connections that break", fakeaws.Fault{Effect: fakeaws.Dropped}},
		"Empty":                  {"an empty listing, while GetUser knows everybody", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.EmptyListing}},
		"TruncatedWithoutMarker": {"a listing without its rest", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.TruncatedWithoutMarker}},
		"RepeatedMarker":         {"a listing that goes in circles", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.RepeatedMarker}},
		"OtherAccount":           {"a listing of another account", fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.OtherAccount}},
		"NoIdentity":             {"an account that nobody can name", fakeaws.Fault{Action: "GetCallerIdentity", Effect: fakeaws.Denied}},
		"OtherIdentity":          {"credentials of another account", fakeaws.Fault{Effect: fakeaws.OtherAccount}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
			want := person + entry("tmp-foo-1", "foo", "system:masters") + entry("tmp-foo-2", "foo", "system:masters")
			w.expectMapUsers("both are in", want)

			w.aws.Inject(tc.fault)
			w.config.Lister = w.lister() // nothing cached
			w.restart()
			for range 10 {
				w.later()
			}
			w.expectMapUsers(tc.reason, want)

			w.deleteUsers("tmp-foo-1")
			for range 10 {
				w.later()
			}
			if tc.fault.Effect != fakeaws.EmptyListing {
				w.expectMapUsers("who is gone stays while nobody can tell: "+tc.reason, want)
			}

			w.aws.ClearFaults()
			w.config.Lister = w.lister()
			w.restart()
			w.settle()
			w.expectMapUsers("afterwards who is gone leaves", person+entry("tmp-foo-2", "foo", "system:masters"))
		})
	}
}

// TestTroubleIsReportedOnceAndSteadily: a failing listing is a condition and
// one event, and does not keep writing the status.
func TestTroubleIsReportedOnceAndSteadily(t *testing.T) {
	w := newWorld(t)
	w.rules(fooRule)
	w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Throttled})
	w.refresh()
	before := w.writes()
	for range 5 {
		w.later()
	}
	if n := w.writes() - before; n != 0 {
		t.Errorf("%d writes while nothing changed", n)
	}
	if c := w.condition(ConditionPrincipalsListed); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "Throttling") {
		t.Errorf("condition %+v does not name the trouble", c)
	}
	if c := w.condition(ConditionDegraded); c.Status != metav1.ConditionTrue {
		t.Errorf("condition %+v, want Degraded", c)
	}
	if n := w.events.count("PrincipalsListedFailed"); n != 1 {
		t.Errorf("%d events, want 1: %q", n, w.events.notes)
	}
	w.aws.ClearFaults()
	w.later()
	if c := w.condition(ConditionDegraded); c.Status != metav1.ConditionFalse {
		t.Errorf("condition %+v after the trouble", c)
	}
}

// TestStateOfAWSAuth: whatever is found under the name aws-auth.
func TestStateOfAWSAuth(t *testing.T) {
	ours := entry("tmp-foo-1", "foo", "system:masters")
	cases := map[string]struct {
		reason string
		before func(w *world)
		want   string
	}{
		"Missing":     {"a missing aws-auth is made", func(*world) {}, ours},
		"WithoutData": {"one without data gets its key", func(w *world) { w.apply("aws-auth", nil) }, ours},
		"Empty":       {"one with an empty list is filled", func(w *world) { w.awsAuth("[]\n") }, ours},
		"SyntaxError": {"what EKS cannot read is not touched", func(w *world) { w.awsAuth("- userarn: [") }, "- userarn: ["},
		"DeletedBetween": {"deleted between read and write: not made again in its old shape", func(w *world) {
			w.awsAuth(person)
			w.interfere("apply", func() { w.delete("aws-auth") })
		}, ""},
		"MadeAgainBetween": {"deleted and made again between read and write: the new one counts", func(w *world) {
			w.awsAuth(person)
			w.interfere("apply", func() { w.delete("aws-auth"); w.awsAuth("# new\n") })
		}, "# new\n" + ours},
		"EditedBetween": {"edited between read and write: the edit counts", func(w *world) {
			w.awsAuth(person)
			w.interfere("apply", func() { w.awsAuth(person + "# edited\n") })
		}, person + ours + "# edited\n"},
		"CreatedBetween": {"created by somebody else meanwhile: theirs counts", func(w *world) {
			w.interfere("create", func() { w.awsAuth(person) })
		}, person + ours},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.rules(fooRule)
			w.createUsers("tmp-foo-1")
			tc.before(w)
			w.refresh()
			cm, err := w.admin.Get(t.Context(), "aws-auth", metav1.GetOptions{})
			if err != nil && (tc.want != "" || !apierrors.IsNotFound(err)) {
				t.Fatal(err)
			}
			if cm.Data["mapUsers"] != tc.want {
				t.Errorf("%s\n got %q\nwant %q", tc.reason, cm.Data["mapUsers"], tc.want)
			}
		})
	}
}

// TestDeletedAWSAuthWaitsForItsCreator: whoever deletes aws-auth to create it
// anew goes first; if nobody does, our entries come back after a minute.
func TestDeletedAWSAuthWaitsForItsCreator(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.delete("aws-auth")
	for range 3 {
		w.later()
		if _, err := w.admin.Get(t.Context(), "aws-auth", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Fatalf("it is back, without what its creator put in: %v", err)
		}
	}
	if c := w.condition(ConditionApplied); c.Reason != "Missing" {
		t.Errorf("condition %+v, want Missing", c)
	}
	w.awsAuth(person)
	w.later()
	w.expectMapUsers("its creator was first, and ours are back", person+entry("tmp-foo-1", "foo", "system:masters"))

	w.delete("aws-auth")
	for range 6 {
		w.later()
	}
	w.expectMapUsers("nobody came, so ours alone", entry("tmp-foo-1", "foo", "system:masters"))
}

// TestOriginalOutlivesAFailedWrite: what stood in aws-auth before our first
// entry comes back, also if the write that was to bring it back failed at first.
func TestOriginalOutlivesAFailedWrite(t *testing.T) {
	w := newWorld(t)
	w.awsAuth("[]")
	w.rules(fooRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.expectMapUsers("let in", entry("tmp-foo-1", "foo", "system:masters"))
	w.rules("")
	w.interfere("apply", func() {
		cm := w.get("aws-auth")
		cm.Data["mapAccounts"] = "[]"
		w.apply("aws-auth", cm.Data)
	})
	w.refresh()
	w.expectMapUsers("as before", "[]")
	w.later()
	writes := w.writes()
	w.settle()
	if n := w.writes() - writes; n != 0 {
		t.Errorf("%d writes when nothing changes", n)
	}
}

// TestForeignSyntaxErrorGoesBack: when the text is readable again, everything
// goes on, and what was ours is still known to be.
func TestForeignSyntaxErrorGoesBack(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	good := w.mapUsers()
	w.awsAuth(good + "oops: [\n")
	w.deleteUsers("tmp-foo-1")
	for range 8 {
		w.later()
	}
	w.expectMapUsers("not touched while unreadable", good+"oops: [\n")
	if c := w.condition(ConditionApplied); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "mapUsers") {
		t.Errorf("condition %+v does not name the key", c)
	}
	w.awsAuth(good)
	w.settle()
	w.expectMapUsers("what is gone leaves after all", person)
}

// TestFullAWSAuth: a ConfigMap holds 1 MiB; what does not fit is named, what
// stands there stays.
func TestFullAWSAuth(t *testing.T) {
	w := newWorld(t)
	filler := person + "# " + strings.Repeat("x", awsauth.MaxBytes-len(person)-len("mapUsers")-130) + "\n"
	w.awsAuth(filler)
	w.rules(fooRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	if n := strings.Count(w.mapUsers(), "tmp-foo-"); n != 1 {
		t.Errorf("%d entries fitted, want 1", n)
	}
	if c := w.condition(ConditionApplied); c.Reason != "Full" {
		t.Errorf("condition %+v, want Full", c)
	}
	if left := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(left, "tmp-foo-2") {
		t.Errorf("who was left out is not named: %q", left)
	}
}

// TestKilledAnywhere: a process that dies before any one of its calls leaves
// nothing that the next one cannot finish, whichever change was under way.
func TestKilledAnywhere(t *testing.T) {
	killed := errors.New("killed")
	for call := 1; call < 12; call++ {
		w := newWorld(t)
		w.awsAuth(person)
		w.rules(fooRule)
		w.createUsers("tmp-foo-1", "tmp-foo-2")
		dying := func(change func()) {
			left := call
			w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(string, string) error {
				if left--; left <= 0 {
					return killed
				}
				return nil
			}}
			w.restart()
			change()
			for range 3 {
				w.pass(16 * time.Second)
				_, _ = w.refresher.Reconcile(t.Context(), request()) // dies on the way
			}
			w.config.ConfigMaps = w.core.ConfigMaps(w.namespace)
			w.restart()
			w.settle()
		}
		dying(func() {})
		one, two := entry("tmp-foo-1", "foo", "system:masters"), entry("tmp-foo-2", "foo", "system:masters")
		w.expectMapUsers("both came in", person+one+two)
		dying(func() { w.deleteUsers("tmp-foo-1") })
		w.expectMapUsers("one went", person+two)
		dying(func() { w.rules(strings.Replace(fooRule, "username: foo", "username: bar", 1)) })
		w.expectMapUsers("the other changed", person+entry("tmp-foo-2", "bar", "system:masters"))
		dying(func() { w.rules("") })
		w.expectMapUsers("all of ours went, and nothing else", person)
	}
}
