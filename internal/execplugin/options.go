// Package execplugin is the kubectl credential plugin: it prints a token for
// an EKS cluster in the form that kubectl asks for.
//
// It leaves what a token is to package ekstoken and finding credentials to the
// AWS SDK. kubectl starts it for every command, so it promises to do no more
// than the answer needs: with a cached token, or with keys in the environment,
// nothing of the SDK runs.
package execplugin

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

// Options say which token is wanted. They are those of `aws-iam-authenticator
// token` and of `aws eks get-token`.
type Options struct {
	// ClusterID is the cluster's name, or whatever its server calls it.
	// Default: $KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID; required.
	ClusterID string
	// Region is whose STS the token names. Default: what the AWS configuration
	// says, the default region of RoleARN's partition, the instance's own if
	// the credentials are its role's, us-east-1.
	Region string
	// RoleARN is a role to assume first. Default: $DEFAULT_ROLE; none.
	RoleARN string
	// ExternalID goes with the call that assumes RoleARN.
	ExternalID string
	// SessionName names the session of RoleARN. Default: made up by the SDK.
	SessionName string
	// ForwardSessionName takes the session name of the present credentials, if
	// they are a session's. It excludes SessionName.
	ForwardSessionName bool
	// Profile is the profile of the AWS configuration to use; it goes before
	// keys in the environment. Default: as the SDK does.
	Profile string
	// TokenOnly prints the token alone. Default false; true for a program
	// named heptio-authenticator-aws, whose users expect that.
	TokenOnly bool
	// Cache keeps tokens on disk until they expire.
	Cache bool
}

const (
	clusterEnv = "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"
	roleEnv    = "DEFAULT_ROLE"
)

// BindFlags adds the flags that fill o. Program is how the process was started
// (os.Args[0]). The names that aws-iam-authenticator gives to two of the flags
// work, too, so that kubeconfigs need no more than another command.
func (o *Options) BindFlags(flags *pflag.FlagSet, program string) {
	heptio := strings.TrimSuffix(filepath.Base(program), ".exe") == "heptio-authenticator-aws"
	flags.StringVarP(&o.ClusterID, "cluster-name", "i", "", "the cluster's name or id (default $"+clusterEnv+")")
	flags.StringVar(&o.Region, "region", "", "the region whose STS the token is for (default: as configured for AWS)")
	flags.StringVarP(&o.RoleARN, "role-arn", "r", "", "a role to assume first (default $"+roleEnv+")")
	flags.StringVarP(&o.ExternalID, "external-id", "e", "", "the external id that the role asks for")
	flags.StringVarP(&o.SessionName, "session-name", "s", "", "the name of the role's session")
	flags.BoolVar(&o.ForwardSessionName, "forward-session-name", false, "name the role's session as the present one, if there is one")
	flags.StringVar(&o.Profile, "profile", "", "the AWS profile to use")
	flags.BoolVar(&o.TokenOnly, "token-only", heptio, "print the token alone, not what kubectl reads")
	flags.BoolVar(&o.Cache, "cache", false, "keep the token on disk until it expires")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "cluster-id":
			name = "cluster-name"
		case "role":
			name = "role-arn"
		}
		return pflag.NormalizedName(name)
	})
}

// complete returns the options with what the environment adds, or says what is
// wrong with them.
func (o Options) complete() (Options, error) {
	o.ClusterID = cmp.Or(o.ClusterID, os.Getenv(clusterEnv))
	o.RoleARN = cmp.Or(o.RoleARN, os.Getenv(roleEnv))
	if o.ClusterID == "" {
		return Options{}, errors.New("the cluster is missing: name it with --cluster-name or " + clusterEnv)
	}
	if o.SessionName != "" && o.ForwardSessionName {
		return Options{}, errors.New("--session-name and --forward-session-name exclude each other")
	}
	if o.RoleARN != "" {
		role, err := arn.Parse(o.RoleARN)
		if err != nil {
			return Options{}, fmt.Errorf("--role-arn: %w", err)
		}
		if role.Type != arn.TypeRole {
			return Options{}, fmt.Errorf("--role-arn: %s is not a role", o.RoleARN)
		}
	}
	return o, nil
}

// About tells people what the command does.
const About = `Token prints a token for an EKS cluster: a request to AWS STS that only the owner
of the present AWS credentials can have signed. kubectl starts it as a credential
plugin; the kubeconfig names it in users[].user.exec.

Credentials come from where every AWS tool finds them: the environment, profiles,
SSO sessions, web identities, containers, the instance's role.`
