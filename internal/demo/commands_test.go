package demo_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/demo"
)

// TestPrintedCommands: every command of kubectl and of ours that messages, alerts
// and pages print is one that the program takes: subcommand, flags, verbs, and the
// names of what is ours. It stands here because no other package knows all
// commands. Commands of messages are carried out in the tests of controllers.
func TestPrintedCommands(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	t.Chdir("../..")
	printed := slices.Concat(commandsOfPages(t), commandsOfAlerts(t), commandsOfMessages(t))
	found := map[string]int{}
	ours := objectsOfManifests(t)
	for _, p := range printed {
		found[p.words[0]]++
		var err error
		switch p.words[0] {
		case "kubectl":
			err = checkKubectl(p.words[1:], ours)
		case "eks-auth":
			if err = checkOurs(append([]string{"token"}, p.words[2:]...), p.whole); !slices.Contains([]string{"token", "version", "help"}, p.words[1]) {
				err = errors.New("eks-auth has the commands token, version and help")
			}
		default:
			err = checkOurs(p.words[1:], p.whole)
		}
		if err != nil {
			t.Errorf("%s: %s\n\t%v", p.where, strings.Join(p.words, " "), err)
		}
	}
	for program, least := range map[string]int{"kubectl": 50, "aws-auth-refresher": 50, "eks-auth": 2} {
		if found[program] < least {
			t.Errorf("%d commands of %s were found, and there are more than %d: the search is broken", found[program], program, least)
		}
	}
	t.Run("Kubectl", func(t *testing.T) { askKubectl(t, printed) })
}

// checkOurs wants a subcommand, and flags that it has; whole: its arguments, too.
func checkOurs(words []string, whole bool) error {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "…" })
	if filledIn := slices.Index(words, "--"+something); filledIn >= 0 {
		words = words[:filledIn]
	}
	root := app.Root(append(app.Commands(), demo.Command())...)
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if len(rest) > 0 && rest[len(rest)-1] == "--help" {
		rest = rest[:len(rest)-1]
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	switch args := cmd.Flags().Args(); {
	case cmd.HasSubCommands() && len(args) > 0 && args[0] != something:
		return errors.New(cmd.CommandPath() + " has no command " + args[0])
	case whole && !cmd.Runnable():
		return errors.New(cmd.CommandPath() + " does nothing by itself")
	case whole:
		return cmd.ValidateArgs(args)
	}
	return nil
}

// askKubectl has kubectl read each command. It cannot reach a cluster, so whatever
// it says but for what it does not understand is as it should be.
func askKubectl(t *testing.T, printed []printedCommand) {
	t.Helper()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("SKIPPED: there is no kubectl here, so nobody but this test has read its commands")
	}
	nowhere := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(nowhere, []byte("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\n"+
		"contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\nusers: [{name: u}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, p := range printed {
		line := strings.Join(p.words, " ")
		if p.words[0] != "kubectl" || asked[line] {
			continue
		}
		asked[line] = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, kubectl, p.words[1:]...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+nowhere, "EDITOR=true", "KUBE_EDITOR=true")
		out, _ := cmd.CombinedOutput()
		cancel()
		for _, complaint := range []string{"unknown flag", "unknown shorthand", "unknown command", "flag needs an argument", "Usage:", "See 'kubectl"} {
			if strings.Contains(string(out), complaint) {
				t.Errorf("%s: %s\n\t%s", p.where, line, out)
				break
			}
		}
	}
}
