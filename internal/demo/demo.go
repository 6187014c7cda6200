// Package demo is the command demo: a small EKS on this machine, with a real
// kube-apiserver and etcd, an emulated AWS, the controller and the authenticator,
// in which IAM users come and go and are seen to get into aws-auth and out of it,
// and their tokens to be accepted and refused.
//
// It promises to say of each step whether it held, to write nothing but the files
// it names, and to leave no process behind. In a cluster that it was given it
// touches nothing that it did not make.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
)

// Options configure the command demo.
type Options struct {
	// EmulatorAddress is where AWS is emulated, HOST:PORT on the loopback
	// interface.
	EmulatorAddress string
	// AnyPort takes another port where that one is taken.
	AnyPort bool
	// LoginProxyAddress is where people log in to the dashboard, HOST:PORT on the
	// loopback interface, AnyLoginProxyPort as AnyPort.
	LoginProxyAddress string
	AnyLoginProxyPort bool
	RefreshInterval   time.Duration
	// Once ends after the scenario; NoScenario leaves it out.
	Once, NoScenario bool
	// Kubeconfig names a cluster to use; "" starts one.
	Kubeconfig string
	// Dir is the folder for what the demo writes: kubeconfig, user.kubeconfig,
	// env, controller.log, authenticator.
	Dir string
	// Verbose also logs to standard error.
	Verbose bool
}

// BindFlags adds the flags with their defaults.
func (o *Options) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.EmulatorAddress, "emulator-address", "127.0.0.1:4566",
		"where to emulate AWS; if the default is taken a free port is chosen")
	flags.StringVar(&o.LoginProxyAddress, "login-proxy-address", "127.0.0.1:3001",
		"where to log in to the dashboard; if the default is taken a free port is chosen")
	flags.DurationVar(&o.RefreshInterval, "refresh-interval", time.Second, "time between two listings of IAM, jittered")
	flags.BoolVar(&o.Once, "once", false, "run the scenario and end: exit code 0 if every step passed, else 1")
	flags.BoolVar(&o.NoScenario, "no-scenario", false, "only serve; create and delete IAM users yourself")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "",
		"use the cluster of this kubeconfig file (kind, minikube) instead of starting one")
	flags.StringVar(&o.Dir, "dir", ".demo", "folder for what it writes")
	flags.BoolVarP(&o.Verbose, "verbose", "v", false, "show the controller's log here, too")
}

// check refuses what cannot work, with the way out.
func (o *Options) check() error {
	if err := checkAddress("emulator-address", o.EmulatorAddress); err != nil {
		return err
	}
	if err := checkAddress("login-proxy-address", o.LoginProxyAddress); err != nil {
		return err
	}
	switch {
	case o.RefreshInterval < time.Second:
		return fmt.Errorf("--refresh-interval is %s; it must be at least 1s", o.RefreshInterval)
	case o.Once && o.NoScenario:
		return errors.New("--once runs the scenario and --no-scenario leaves it out; give one of them")
	case o.Dir == "":
		return errors.New("--dir is empty; name a folder")
	}
	return nil
}

func checkAddress(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--%s is %q; write HOST:PORT, as in 127.0.0.1:4566", flag, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("--%s is %q; the port must be a number up to 65535, 0 for any free one", flag, address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--%s is %q; the demo is not made for the open network: use localhost, 127.0.0.1 or [::1]", flag, address)
	}
	return nil
}

// Command is the command demo.
func Command() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it all at work: a small EKS on this machine",
		Long: `demo starts a real kube-apiserver and etcd, an emulated AWS (IAM, STS, EKS
and SQS), the controller and the authenticator, then creates and deletes IAM users
as Vault does and shows how each gets into kube-system/aws-auth and out of it, and
that its own token opens the API server as long as it is in. The controller is
started again on the way, to hear IAM's events and to fill access entries. The
login proxy stands in front of a small dashboard, with an OpenID provider and a
Vault to log in by. Afterwards it stays up for you to try things, until Ctrl-C.

It writes kubeconfig (yours), user.kubeconfig (an IAM user's), env (to be sourced,
for kubectl, the AWS CLI and Vault), controller.log and authenticator (what the API
server reads to ask it) to the folder .demo.`,
		Example: `  aws-auth-refresher demo --once
  aws-auth-refresher demo --no-scenario --refresh-interval 15s
  aws-auth-refresher demo --kubeconfig ~/.kube/kind`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.AnyPort = !cmd.Flags().Changed("emulator-address")
			o.AnyLoginProxyPort = !cmd.Flags().Changed("login-proxy-address")
			if err := o.check(); err != nil {
				return err
			}
			return Run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.BindFlags(cmd.Flags())
	return cmd
}

// Run runs the demo until ctx ends, or with Once until the scenario has ended.
// What happens goes to out, with Verbose the controller's log to logs. The error
// says which step failed and why; it is an app.ExitError of code 130 if ctx ended
// before the scenario did.
func Run(ctx context.Context, o Options, out, logs io.Writer) error {
	d := &demo{Options: o, screen: newScreen(out, os.Getenv), logs: logs}
	err := d.run(ctx)
	switch endErr := d.end(); {
	case ctx.Err() != nil && err != nil:
		return &app.ExitError{Code: 130, Message: "demo: interrupted"}
	case err != nil && endErr != nil:
		return fmt.Errorf("%w; and cleaning up: %w", err, endErr)
	case endErr != nil:
		return fmt.Errorf("cleaning up: %w", endErr)
	default:
		return err
	}
}
