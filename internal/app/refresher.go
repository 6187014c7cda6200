package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Target says which ConfigMaps the refresher works with, and in which cluster.
type Target struct {
	Kubeconfig string
	Namespace  string
	Rules      string
	AWSAuth    string
}

// BindFlags adds the flags with their defaults.
func (t *Target) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&t.Kubeconfig, "kubeconfig", "",
		"kubeconfig file; default: the pod's own cluster, else $KUBECONFIG, else ~/.kube/config")
	flags.StringVar(&t.Namespace, "namespace", "kube-system", "namespace of all ConfigMaps and of the Lease")
	flags.StringVar(&t.Rules, "rules-configmap", "aws-auth-refresher",
		"ConfigMap with the rules; state, status and history are kept in NAME-state, NAME-status and NAME-history")
	flags.StringVar(&t.AWSAuth, "aws-auth-configmap", "aws-auth", "ConfigMap to keep in step")
}

// Names are the ConfigMaps' names.
func (t *Target) Names() controllers.Names { return controllers.NamesFor(t.Rules, t.AWSAuth) }

// Policy says how the refresher decides.
type Policy struct {
	AllowUnanchored    bool
	AllowShortAccounts bool
	Adopt              bool
	RemovalHold        time.Duration
	MaxRemovals        string
	UnprovenRemoval    time.Duration
}

// leastUnproven keeps a short trouble of IAM from being taken for deletions.
const leastUnproven = time.Hour

// BindFlags adds the flags with their defaults.
func (p *Policy) BindFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&p.AllowUnanchored, "allow-unanchored", false,
		"accept an arnRegex without ^ and $, which then matches any part of an ARN")
	flags.BoolVar(&p.AllowShortAccounts, "allow-short-accounts", false,
		"accept an account in an arnRegex that has not 12 digits, as in a test bed; AWS has none")
	flags.BoolVar(&p.Adopt, "adopt", false,
		"take entries of aws-auth that are exactly what the rules produce for ours; for the move from another tool")
	flags.DurationVar(&p.RemovalHold, "removal-hold", 10*time.Minute,
		"how long entries stay that too many others lose their rule with")
	flags.StringVar(&p.MaxRemovals, "max-removals", "10,50%",
		"how many entries of one account and kind may lose their rule within --removal-hold before they are held: "+
			"more than COUNT and more than PERCENT of them")
	flags.DurationVar(&p.UnprovenRemoval, "unproven-removal", 0,
		"after which absence from every listing an entry is taken out although IAM could not be asked whether its "+
			"principal is deleted; an hour at least; 0: never")
}

// Options say how rules are read.
func (p *Policy) Options() rules.Options {
	return rules.Options{AllowUnanchored: p.AllowUnanchored, AllowShortAccounts: p.AllowShortAccounts}
}

// Settings are the breaker's settings.
func (p *Policy) Settings() (removal.Settings, error) {
	s := removal.Settings{Hold: p.RemovalHold, UnprovenAfter: p.UnprovenRemoval}
	count, percent, ok := strings.Cut(p.MaxRemovals, ",")
	var countErr, percentErr error
	s.MaxCount, countErr = strconv.Atoi(strings.TrimSpace(count))
	s.MaxPercent, percentErr = strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(percent), "%"))
	switch {
	case !ok || countErr != nil || percentErr != nil || s.MaxCount < 0 || s.MaxPercent < 0 || s.MaxPercent > 100:
		return s, fmt.Errorf("--max-removals is %q; write a count and a percentage from 0 to 100, as in 10,50%%", p.MaxRemovals)
	case p.RemovalHold < 0:
		return s, fmt.Errorf("--removal-hold is %s; it must not be negative", p.RemovalHold)
	case p.UnprovenRemoval != 0 && p.UnprovenRemoval < leastUnproven:
		return s, fmt.Errorf("--unproven-removal is %s; write at least %s, or 0 for never", p.UnprovenRemoval, leastUnproven)
	}
	return s, nil
}
