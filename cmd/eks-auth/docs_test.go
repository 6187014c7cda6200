package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	clientcmd "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/execplugin"
)

const page = "../../docs/tokens.md"

// TestDocumentedKubeconfigs: every example is a kubeconfig, or a part of one,
// that kubectl reads, and starts eks-auth with flags that it has.
func TestDocumentedKubeconfigs(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		var config clientcmd.Config
		if err := yaml.UnmarshalStrict(block[1], &config); err != nil {
			t.Errorf("%v\n%s", err, block[1])
			continue
		}
		for _, context := range config.Contexts {
			if !slices.ContainsFunc(config.Clusters, func(c clientcmd.NamedCluster) bool { return c.Name == context.Context.Cluster }) {
				t.Errorf("context %s has no cluster", context.Name)
			}
			if !slices.ContainsFunc(config.AuthInfos, func(a clientcmd.NamedAuthInfo) bool { return a.Name == context.Context.AuthInfo }) {
				t.Errorf("context %s has no user", context.Name)
			}
		}
		for _, user := range config.AuthInfos {
			users = append(users, user.Name)
			checkExec(t, user)
		}
	}
	want := []string{"prod", "prod", "staging", "prod-admin", "prod-sso", "prod-env"}
	if diff := cmp.Diff(want, users); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

func checkExec(t *testing.T, user clientcmd.NamedAuthInfo) {
	t.Helper()
	exec := user.AuthInfo.Exec
	if exec == nil || exec.Command != "eks-auth" || len(exec.Args) == 0 || exec.Args[0] != "token" {
		t.Fatalf("user %s does not start eks-auth token", user.Name)
	}
	if exec.APIVersion != "client.authentication.k8s.io/v1" || exec.InteractiveMode == "" {
		t.Errorf("user %s: kubectl wants an interactiveMode with v1", user.Name)
	}
	var options execplugin.Options
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	options.BindFlags(flags, "eks-auth")
	if err := flags.Parse(exec.Args[1:]); err != nil || flags.NArg() > 0 || options.ClusterID == "" {
		t.Errorf("user %s: args %v: %v", user.Name, exec.Args, err)
	}
}

// TestDocumentedFlags: the page lists all flags and no others.
func TestDocumentedFlags(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`--.*?`) \\|").FindAllStringSubmatch(string(text), -1) {
		got = append(got, strings.ReplaceAll(row[1], "`", ""))
	}
	var options execplugin.Options
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	options.BindFlags(flags, "eks-auth")
	flags.VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if f.Shorthand != "" {
			name += ", -" + f.Shorthand
		}
		want = append(want, name)
	})
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags in %s (-want +got):\n%s", page, diff)
	}
}
