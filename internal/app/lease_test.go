package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestControllerSaysThatItCannotBeElected, instead of trying for ever: its rights
// are in another namespace.
func TestControllerSaysThatItCannotBeElected(t *testing.T) {
	stranger, err := bed.User("stranger", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	options := app.ControllerOptions{
		Target:          app.Target{Namespace: "default", Rules: "aws-auth-refresher", AWSAuth: "aws-auth"},
		Policy:          app.Policy{RemovalHold: time.Minute, MaxRemovals: "10,50%"},
		RefreshInterval: time.Second, LeaderElect: true, MetricsAddress: "0", ProbeAddress: "0",
	}
	account := emulated(t, fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"}))
	err = app.RunController(t.Context(), options, app.ControllerDeps{Cluster: stranger, AWS: account, Log: logr.Discard()})
	want := `--namespace is "default", where the Lease aws-auth-refresher may not be used; name the namespace that the rights are in`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
