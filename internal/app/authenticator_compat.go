package app

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// verbosityEnv is the level of the log for aws-iam-authenticator.
const verbosityEnv = "AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY"

// gates are the feature gates of aws-iam-authenticator, with what is to be said
// to those who turn them off: all that they allow is always there.
func gates() map[string]string {
	const always = "what alpha features allow is always there"
	return map[string]string{
		"AllAlpha": always, "AllBeta": always,
		"ConfiguredInitDirectories": "init always writes to the configured directories",
		"IAMIdentityMappingCRD":     "the backend CRD is asked only if --backend-mode names it",
		"SSORoleMatch":              "entries with sso always match; take them out of the mappings to let nobody in by them",
	}
}

// checkGates accepts the feature gates that say what is so.
func checkGates(given map[string]string) error {
	known := gates()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		reason, ok := known[name]
		on, err := strconv.ParseBool(given[name])
		switch {
		case !ok:
			return fmt.Errorf("--feature-gates: there is no feature gate %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case err != nil:
			return fmt.Errorf("--feature-gates: %s is %q; use true or false", name, given[name])
		case !on:
			return fmt.Errorf("--feature-gates: %s cannot be turned off: %s", name, reason)
		}
	}
	return nil
}

// bindAuthenticatorFlags adds the flags as aws-iam-authenticator spells them,
// beside our own spelling.
func (l *Logging) bindAuthenticatorFlags(flags *pflag.FlagSet) {
	l.BindFlags(flags)
	flags.VarP(flags.Lookup("log-level").Value, "log-verbosity", "v", "the same as --log-level; default: $"+verbosityEnv)
	flags.ShorthandLookup("v").DefValue = ""
}

// translate puts our words in the place of aws-iam-authenticator's. A level
// from the environment counts where no flag gives one.
func (l *Logging) translate(flags *pflag.FlagSet) {
	if !flags.Changed("log-level") && !flags.Changed("log-verbosity") {
		l.Level = cmp.Or(os.Getenv(verbosityEnv), l.Level)
	}
	switch l.Level {
	case "trace":
		l.Level = "debug"
	case "warn", "warning", "fatal", "panic":
		l.Level = "error"
	}
	if l.Format == "text" {
		l.Format = "console"
	}
}
