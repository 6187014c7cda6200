package controllers

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestStatusNamesWhoCannotBeVerified: where IAM may be listed but not asked for
// one user, whoever is gone stays, and the status says why.
func TestStatusNamesWhoCannotBeVerified(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	w.deleteUsers("tmp-foo-1")
	w.denyProofs()
	w.settle()
	w.expectMapUsers("not confirmed", in)
	if waiting := w.get("aws-auth-refresher-status").Data["waiting"]; !strings.Contains(waiting, "tmp-foo-1") || !strings.Contains(waiting, "AccessDenied") {
		t.Errorf("waiting is %q", waiting)
	}
	w.aws.ClearFaults()
	w.later()
	w.expectMapUsers("confirmed", person)
	if waiting, ok := w.get("aws-auth-refresher-status").Data["waiting"]; ok {
		t.Errorf("waiting is still %q", waiting)
	}
}

// TestStatusWarnsBeforeTheEnd: from 80 % of the limit on there is a warning,
// while all is still well.
func TestStatusWarnsBeforeTheEnd(t *testing.T) {
	w := newWorld(t)
	w.awsAuth("# " + strings.Repeat("x", awsauth.MaxBytes*81/100) + "\n")
	w.rules(fooRule)
	w.refresh()
	if c := w.condition(ConditionApplied); c.Status != metav1.ConditionTrue || c.Reason != "NearlyFull" {
		t.Errorf("condition %+v", c)
	}
	if n := w.events.count("Warning AppliedNearlyFull"); n != 1 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
}

// TestStatusKeepsWhatItKnows: trouble that ends a refresh early changes the
// conditions and nothing else.
func TestStatusKeepsWhatItKnows(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	summary := w.get("aws-auth-refresher-status").Data["summary"]
	state := w.get("aws-auth-refresher-state")
	state.BinaryData[recordKey] = []byte("garbage")
	if _, err := w.admin.Update(t.Context(), state, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.refresh()
	if got := w.get("aws-auth-refresher-status").Data["summary"]; got != summary {
		t.Errorf("summary is %q, was %q", got, summary)
	}
	digest := rules.DataDigest(w.get("aws-auth-refresher").Data)
	if c := w.condition(ConditionRulesAccepted); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, digest) {
		t.Errorf("condition %+v does not name the digest %s", c, digest)
	}
}

// TestEmptyRulesDigest: the README prints the approval for an uninstall.
func TestEmptyRulesDigest(t *testing.T) {
	if got := rules.DataDigest(nil); got != "94c680144b12aee3" {
		t.Errorf("the digest of no rules is %s now; the README says otherwise", got)
	}
}

// TestReady: a leader is ready when its first refresh has ended, a replica that
// waits for its turn at once, so that a rollout does not wait for itself.
func TestReady(t *testing.T) {
	w := newWorldWith(t)
	w.restart()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil)
	waiting, elected := make(chan struct{}), make(chan struct{})
	close(elected)
	if err := w.refresher.Ready(waiting)(req); err != nil {
		t.Errorf("a standby is not ready: %v", err)
	}
	if err := w.refresher.Ready(elected)(req); err == nil {
		t.Error("a leader is ready before its first refresh")
	}
	w.aws.Inject(fakeaws.Fault{Effect: fakeaws.Denied})
	w.refresh()
	if err := w.refresher.Ready(elected)(req); err != nil {
		t.Errorf("a leader is not ready after a refresh that went badly: %v", err)
	}
}

// TestAStatusThatCannotBeWrittenIsSaid where the status cannot say it.
func TestAStatusThatCannotBeWrittenIsSaid(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	alert := alertExpressions(t)["AWSAuthRefresherStatusNotWritten"]
	if w.series().hold(t, alert) {
		t.Error("all is well, and the alert fires")
	}
	broken := errors.New("no rights")
	w.refresher.store.configMaps = interfered{w.core.ConfigMaps(w.namespace), func(verb, name string) error {
		if verb == "update" && name == "aws-auth-refresher-status" {
			return broken
		}
		return nil
	}}
	w.createUsers("tmp-foo-2")
	for range 2 {
		w.pass(16 * time.Second)
		if _, err := w.refresher.Reconcile(t.Context(), request()); !errors.Is(err, broken) {
			t.Errorf("refresh: %v", err)
		}
	}
	if n := w.events.count("Warning StatusNotWritten: "); n != 1 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
	if !w.series().hold(t, alert) {
		t.Errorf("the alert does not fire: %v", w.series())
	}
	w.mended()
	if n := w.events.count("Normal StatusWritten: "); n != 1 || w.series().hold(t, alert) {
		t.Errorf("%d events, %v", n, w.series())
	}
}
