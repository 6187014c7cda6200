// Package app puts the commands together: it reads flags and files, builds
// what a command needs, and runs it. It is the only package that knows all
// others; what they do is theirs.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker: -ldflags "-X …/internal/app.version=v1.2.3".
var version = "dev" // a variable, because the linker can set nothing else

// Streams are what a command reads and writes; default: the process's own.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// ExitError ends the process with Code. Message, if there is one, goes to
// standard error.
type ExitError struct {
	Code    int
	Message string
}

func (e *ExitError) Error() string { return e.Message }

// Main runs the command line args with the given commands until it is done or
// the process is told to stop, and returns the exit code: 0; 1 for an error,
// which stands on standard error; what an ExitError says.
func Main(args []string, commands ...*cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := Root(commands...)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Message != "" {
			fmt.Fprintln(root.ErrOrStderr(), exit.Message)
		}
		return exit.Code
	default:
		fmt.Fprintln(root.ErrOrStderr(), "Error:", err)
		return 1
	}
}

// Commands are all commands but those that need the emulators.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		Controller(),
		Plan(),
		Authenticator(),
		Token(),
		LoginProxy(),
		Lint(),
		Migrate(),
		Explain(),
		History(),
		Rollback(),
		Resume(),
		Status(),
		Version(),
	}
}

// Root is the command without arguments.
func Root(commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "aws-auth-refresher",
		Short: "Lets temporary IAM users and roles into Amazon EKS, and out again",
		Long: `aws-auth-refresher keeps the ConfigMap kube-system/aws-auth of an Amazon EKS
cluster in step with the IAM users and roles that exist right now, by rules
written in one ConfigMap.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(commands...)
	return root
}

// Version is the command that prints the version.
func Version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "aws-auth-refresher", version)
			return err
		},
	}
}
