package app_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

func TestMain(m *testing.M) {
	testscript.Main(withControlPlane{m}, map[string]func(){
		"aws-auth-refresher": func() {
			os.Exit(app.Main(os.Args[1:], app.Commands()...))
		},
		"start": func() { os.Exit(app.Main(app.Arguments(os.Args[0], os.Args[1:]), app.LoginProxy())) },
	})
}

// withControlPlane starts the control plane for the tests only, not for the
// commands that scripts run in processes of their own.
type withControlPlane struct{ tests *testing.M }

func (w withControlPlane) Run() int {
	return controlplane.Main(w.tests, controlplane.Config{}, &bed)
}

// TestScripts runs the command line as a user would; each script reads like a
// page of a manual.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != ""})
}
