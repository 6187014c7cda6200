package controlplane

import (
	"context"
	"fmt"
	"os"
)

// Runner is what TestMain is given: *testing.M. It runs the tests of a package
// and returns their exit code.
type Runner interface {
	Run() int
}

// Main gives a test package one control plane for all its tests: it starts it,
// points shared at it, runs the tests, stops it, and returns the exit code. A
// control plane that does not start fails the package, with the reason.
//
//	var bed *controlplane.ControlPlane
//
//	func TestMain(m *testing.M) {
//		os.Exit(controlplane.Main(m, controlplane.Config{}, &bed))
//	}
//
// Tests keep apart by unique names of their objects.
func Main(tests Runner, cfg Config, shared **ControlPlane) (code int) {
	c, err := Start(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		return 1
	}
	defer func() {
		if err := c.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "controlplane: stopping:", err)
			code = max(code, 1)
		}
	}()
	*shared = c
	return tests.Run()
}
