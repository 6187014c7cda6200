package app_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aws-auth-refresher": func() {
			os.Exit(app.Main(os.Args[1:], app.Controller(), app.Plan(), app.Version()))
		},
	})
}

// TestScripts runs the command line as a user would; each script reads like a
// page of a manual.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != ""})
}
