package app

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const envPrefix = "EKS_AUTH_"

// envName is the variable that says the same as a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fillFromEnv sets the flags that were not given from their variables. An empty
// variable counts as none, and so does one whose flag was given, whether with
// the value or with a file. It returns the variables that mean nothing.
func fillFromEnv(flags *pflag.FlagSet, environ []string) (unknown []string, err error) {
	given := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" {
			given[name] = value
		}
	}
	names, said := flagsByVariable(flags), givenFlags(flags)
	setBy := map[string]string{}
	for _, variable := range slices.Sorted(maps.Keys(given)) {
		value, flag := given[variable], flags.Lookup(names[variable])
		switch {
		case flag == nil && ofServiceLink(variable, value):
		case flag == nil:
			unknown = append(unknown, variable)
		case said(flag.Name):
		case setBy[flag.Name] != "":
			return nil, fmt.Errorf("%s and %s mean the same; set one of them", setBy[flag.Name], variable)
		case strings.HasPrefix(value, "tcp://"):
			return nil, fmt.Errorf("%s is %s, which Kubernetes sets for a Service of that name; set enableServiceLinks: false in the pod, or give --%s", variable, value, flag.Name)
		default:
			setBy[flag.Name] = variable
			if err := setFromEnv(flag, variable, value); err != nil {
				return nil, err
			}
		}
	}
	return unknown, nil
}

func flagsByVariable(flags *pflag.FlagSet) map[string]string {
	names := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { names[envName(f.Name)] = f.Name })
	for alias, flag := range loginProxyAliases() {
		names[envName(alias)] = flag
	}
	for _, flag := range []string{"help", "version", "check-config"} {
		delete(names, envName(flag))
	}
	return names
}

// ofServiceLink tells the variables that Kubernetes sets in each pod for
// Services that are called eks-auth-….
func ofServiceLink(variable, value string) bool {
	return strings.HasPrefix(value, "tcp://") ||
		regexp.MustCompile(`(_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT_[0-9]+_(TCP|UDP)(_[A-Z]+)?)$`).MatchString(variable)
}

// setFromEnv sets a flag.
func setFromEnv(flag *pflag.Flag, variable, value string) error {
	flag.Changed = true
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.Replace(splitList(flag.Name, value))
	}
	if err := flag.Value.Set(value); err != nil {
		return fmt.Errorf("%s is %q; write %s", variable, value, wants(flag))
	}
	return nil
}

// splitList splits the variable of a list: roles at commas before an ARN,
// because a name may hold a comma, secrets and paths never, everything else at
// commas and spaces.
func splitList(flag, value string) []string {
	switch flag {
	case "iam-role":
		return splitARNs(value)
	case "cookie-secret-previous", "cookie-secret-previous-file":
		return []string{value}
	default:
		return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
	}
}

func splitARNs(value string) []string {
	var list []string
	for part := range strings.SplitSeq(value, ",") {
		trimmed := strings.TrimSpace(part)
		if len(list) > 0 && !strings.HasPrefix(trimmed, "arn:") {
			list[len(list)-1] += "," + part
		} else if trimmed != "" {
			list = append(list, trimmed)
		}
	}
	return list
}

// readSecret takes a secret from where it was given, and where from twice
// refuses it. Space around a file's content is not part of it.
func readSecret(flag, value, path string) (string, error) {
	switch {
	case path == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("--%s and --%s-file both give it; leave one of them out", flag, flag)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--%s-file: %w", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("--%s-file: %s is empty", flag, path)
	}
	return secret, nil
}
