package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// startName is what the command is called in images of eks-auth-proxy.
const startName = "start"

const aboutLoginProxy = `Let people log in with OIDC before they reach a dashboard that runs in EKS, and hand
their requests on with a token of the EKS cluster that is their own.

Each login assumes an IAM role with the person's ID token, and the token is made
from the role's temporary credentials. It is meant to stand behind a proxy that
ends TLS, or serves HTTPS itself with --tls-cert-file.

Every flag can also be given as environment variable, in upper case and with the
prefix EKS_AUTH_: --cookie-secret is EKS_AUTH_COOKIE_SECRET. In the variable of a
list the values are separated by commas. Variables in the file .env of the working
directory count, too; the environment wins over the file, and a flag over both.`

const exampleLoginProxy = `  aws-auth-refresher login-proxy \
    --cookie-secret "$(openssl rand -base64 32)" \
    --cluster-name my-cluster --region eu-west-1 \
    --iam-role arn:aws:iam::123456789012:role/my-role \
    --client-id my-client-id --client-secret my-client-secret \
    --oidc-issuer https://accounts.google.com \
    --email-domain example.com --role-policy policy.yaml \
    --proxy-host headlamp.headlamp.svc:80`

// Arguments are the arguments of the command line that began with name. A
// program that is called start is the login proxy, as in images of
// eks-auth-proxy, whose command is ./start.
func Arguments(name string, args []string) []string {
	if filepath.Base(name) == startName {
		return append([]string{"login-proxy"}, args...)
	}
	return args
}

// LoginProxy is the command that puts a login in front of a dashboard.
func LoginProxy() *cobra.Command {
	var o LoginProxyOptions
	var check bool
	cmd := &cobra.Command{
		Use:     "login-proxy",
		Aliases: []string{"./" + startName},
		Short:   "Put an OIDC login in front of a dashboard, and an EKS token behind it",
		Long:    aboutLoginProxy,
		Example: exampleLoginProxy,
		Version: version,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%q belongs to no flag: a list takes its flag once for each value (--iam-role A --iam-role B), and a switch takes its value after = (--debug=false)", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			unknown, err := o.fill(cmd.Flags())
			if err != nil {
				return err
			}
			if check {
				return checkLoginProxy(cmd.Context(), cmd.OutOrStdout(), o, unknown)
			}
			return startLoginProxy(cmd.Context(), o, unknown)
		},
	}
	groups := o.groups()
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	cmd.Flags().BoolVar(&check, "check-config", false, "say what is wrong with the options, or without effect, and exit")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if flag, ok := loginProxyAliases()[name]; ok {
			name = flag
		}
		return pflag.NormalizedName(name)
	})
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	cmd.SetVersionTemplate("{{.Version}}\n")
	cmd.SetUsageFunc(func(cmd *cobra.Command) error { return loginProxyUsage(cmd, groups) })
	return cmd
}

// fill takes from .env and the environment what no flag said.
func (o *LoginProxyOptions) fill(flags *pflag.FlagSet) (unknown []string, err error) {
	if err := loadDotEnv(); err != nil {
		return nil, err
	}
	return fillFromEnv(flags, os.Environ())
}

// loginProxyUsage writes the flags in groups.
func loginProxyUsage(cmd *cobra.Command, groups []flagGroup) error {
	const width = 100
	grouped := map[string]bool{}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s [flags]\n\nExample:\n%s\n", cmd.CommandPath(), cmd.Example)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.flags.FlagUsagesWrapped(width))
		g.flags.VisitAll(func(f *pflag.Flag) { grouped[f.Name] = true })
	}
	others := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !grouped[f.Name] {
			others.AddFlag(f)
		}
	})
	fmt.Fprintf(&b, "\nOptions:\n%s", others.FlagUsagesWrapped(width))
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// findings checks everything that can be checked without the network.
func (o LoginProxyOptions) findings(unknown []string) (*loginProxySettings, *findings) {
	s, f := o.settings()
	for _, variable := range unknown {
		f.note("%s is without effect, because there is no flag of that name; see --help", variable)
	}
	return s, f
}

// checkLoginProxy prints what is to be said about the options.
func checkLoginProxy(ctx context.Context, w io.Writer, o LoginProxyOptions, unknown []string) error {
	s, f := o.findings(unknown)
	if len(f.problems) == 0 {
		s.tryBuild(ctx, f)
	}
	for _, text := range f.problems {
		fmt.Fprintln(w, "problem:", text)
	}
	for _, text := range f.notes {
		fmt.Fprintln(w, "note:", text)
	}
	if len(f.problems) > 0 {
		return &ExitError{Code: 1}
	}
	_, err := fmt.Fprintln(w, "The login proxy can start with these options.")
	return err
}

// tryBuild finds out what else is wrong, in files that are named and in the AWS
// configuration.
func (s *loginProxySettings) tryBuild(ctx context.Context, f *findings) {
	log, err := s.logger()
	if err != nil {
		f.problem("%v", err)
	}
	account, err := ownAWSConfig(ctx, s.Region, log)
	if err != nil {
		f.problem("%v", err)
		return
	}
	parts, err := s.build(LoginProxyDeps{AWS: account})
	if err != nil {
		f.problem("%v", err)
		return
	}
	_ = parts.close()
}

func (o *LoginProxyOptions) logger() (logr.Logger, error) {
	logging := Logging{Level: "info", Format: o.LogFormat}
	if o.Debug {
		logging.Level = "debug"
	}
	return logging.Logger()
}

// err is all problems, each on a line of its own.
func (f *findings) err() error {
	switch len(f.problems) {
	case 0:
		return nil
	case 1:
		return errors.New(f.problems[0])
	default:
		return fmt.Errorf("the login proxy cannot start with these options:\n- %s", strings.Join(f.problems, "\n- "))
	}
}
