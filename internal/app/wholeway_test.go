package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestTheWholeWay lets the refresher and the authenticator work on one cluster,
// both with their shipped rights and the API server with its usual caches: an
// IAM user that a rule selects gets in with a token that was refused before, and
// is out when the user is deleted or the rule is gone.
func TestTheWholeWay(t *testing.T) {
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	a := startAuthenticator(t, emulator)
	mustCreateUser(t, emulator, "tmp-foo-early")
	mustCreateUser(t, emulator, "tmp-foo-stays")
	early, stays := tokens(t, emulator, "tmp-foo-early"), tokens(t, emulator, "tmp-foo-stays")
	token := early()

	if _, err := whoAmI(t, a.plane.Token(token)); !apierrors.IsUnauthorized(err) {
		t.Fatalf("before there is a rule the user got %v, want unauthorized", err)
	}
	startRefresher(t, a, emulator)
	create(t, a.core, "aws-auth-refresher", map[string]string{"mapUsers": rule})
	eventually(t, "the token that was refused is accepted once the refresher has added its user", func() bool {
		user, err := whoAmI(t, a.plane.Token(token))
		return err == nil && user.Username == "foo" && strings.HasPrefix(user.UID, "aws-iam-authenticator:123456789012:AIDA")
	})

	if err := emulator.DeleteUser("tmp-foo-early"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deleted user's next token is refused", func() bool {
		_, err := whoAmI(t, a.plane.Token(early()))
		return apierrors.IsUnauthorized(err)
	})
	eventually(t, "the deleted user's entry is gone", func() bool {
		return !strings.Contains(mapUsers(t, a.core), "tmp-foo-early")
	})

	if _, err := whoAmI(t, a.plane.Token(stays())); err != nil {
		t.Fatalf("the user that stays got %v", err)
	}
	rules := a.core.ConfigMaps("kube-system")
	edit := []byte(`{"data":{"mapUsers":"[]"}}`)
	if _, err := rules.Patch(t.Context(), "aws-auth-refresher", types.MergePatchType, edit, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a living user without a rule is refused with the next token", func() bool {
		_, err := whoAmI(t, a.plane.Token(stays()))
		return apierrors.IsUnauthorized(err)
	})
}

// startRefresher runs the controller with the rights of deploy/ until the test
// ends.
func startRefresher(t *testing.T, a *authenticator, emulator *fakeaws.Server) {
	t.Helper()
	install(t, a.plane, manifests(t, "common.yaml"))
	rights, err := a.plane.User("system:serviceaccount:kube-system:aws-auth-refresher",
		"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	options := app.ControllerOptions{
		Target:          app.Target{Namespace: "kube-system", Rules: "aws-auth-refresher", AWSAuth: "aws-auth"},
		Policy:          app.Policy{RemovalHold: time.Minute, MaxRemovals: "10,50%"},
		RefreshInterval: time.Second, LeaderElect: true, MetricsAddress: "0", ProbeAddress: "0",
	}
	logs := &logLines{}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	deps := app.ControllerDeps{Cluster: rights, AWS: emulated(t, emulator), Log: logs.logger()}
	go func() { ended <- app.RunController(ctx, options, deps) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the controller stopped with %v", err)
		}
	})
}
