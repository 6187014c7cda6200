// Command eks-auth is what people and their kubectl need on their own machines
// to get into Amazon EKS clusters. It is a program of its own because kubectl
// starts it for every command: it is small and starts at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/execplugin"
)

var version = "dev" // set by the linker: -ldflags "-X main.version=v1.2.3"

const usage = `eks-auth gets you into Amazon EKS clusters.

Usage:
  eks-auth token      print a token for a cluster (a credential plugin for kubectl)
  eks-auth version    print the version
  eks-auth help       print this

eks-auth COMMAND --help tells about a command's flags.
`

type command func(ctx context.Context, args []string) error

func main() {
	os.Exit(run(os.Args[1:], map[string]command{
		"token":   token,
		"version": printing("eks-auth " + version + "\n"),
		"help":    printing(usage),
		"--help":  printing(usage),
		"-h":      printing(usage),
	}))
}

func run(args []string, commands map[string]command) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 1
	}
	chosen, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "Error: unknown command %q; eks-auth help lists all\n", args[0])
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := chosen(ctx, args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	return 0
}

func token(ctx context.Context, args []string) error {
	var options execplugin.Options
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	options.BindFlags(flags, os.Args[0])
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		_, err = fmt.Fprintf(os.Stdout, "%s\n\nUsage:\n  eks-auth token [flags]\n\nFlags:\n%s", execplugin.About, flags.FlagUsages())
		return err
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("token takes no argument %q", flags.Arg(0))
	}
	return execplugin.Token(ctx, execplugin.Config{Options: options, In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

func printing(text string) command {
	return func(context.Context, []string) error {
		_, err := os.Stdout.WriteString(text)
		return err
	}
}
