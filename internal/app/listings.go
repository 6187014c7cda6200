package app

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// listings are the files that say who exists: one of a kind for each account.
type listings struct{ userFiles, roleFiles, detailFiles []string }

// BindFlags adds the flags for the two short listings.
func (l *listings) BindFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&l.userFiles, "users", nil, "what \"aws iam list-users\" prints, a file; once for each account")
	flags.StringArrayVar(&l.roleFiles, "roles", nil, "what \"aws iam list-roles\" prints, a file; once for each account")
}

// files are the names of all.
func (l *listings) files() []string { return slices.Concat(l.userFiles, l.roleFiles, l.detailFiles) }

// errNoFile is why a kind of an account is not listed, where files list others.
var errNoFile = errors.New("no file lists them")

// read adds what the files list to d.
func (l *listings) read(in *inputs, d *controllers.PlanData) error {
	seen := map[string]string{} // where a principal is listed, by folded ARN
	for _, name := range l.detailFiles {
		found, kinds, err := in.details("--details", name)
		if err != nil {
			return err
		}
		if err := add(d, seen, "--details "+name, found); err != nil {
			return err
		}
		d.Listed = append(d.Listed, kinds...)
	}
	for _, listing := range []struct {
		flag  string
		files []string
		kind  rules.Kind
	}{{"--users", l.userFiles, rules.User}, {"--roles", l.roleFiles, rules.Role}} {
		for _, name := range listing.files {
			found, err := in.principals(listing.flag, name, listing.kind)
			if err != nil {
				return err
			}
			if err := add(d, seen, listing.flag+" "+name, found); err != nil {
				return err
			}
			d.Listed = append(d.Listed, listing.kind)
		}
	}
	freeze(d)
	return nil
}

// add refuses a principal that another file lists, too.
func add(d *controllers.PlanData, seen map[string]string, from string, found []rules.Principal) error {
	for _, p := range found {
		if before, twice := seen[arn.Fold(p.ARN)]; twice {
			return fmt.Errorf("%s and %s both list %s; drop one of them", before, from, p.ARN)
		}
		seen[arn.Fold(p.ARN)] = from
	}
	d.Principals = append(d.Principals, found...)
	return nil
}

// freeze notes what no file lists. With a single account an empty listing is
// one of it; with several, nothing tells which one it is of.
func freeze(d *controllers.PlanData) {
	slices.Sort(d.Listed)
	d.Listed = slices.Compact(d.Listed)
	there := map[string]map[rules.Kind]bool{}
	for _, p := range d.Principals {
		if there[p.AccountID] == nil {
			there[p.AccountID] = map[rules.Kind]bool{}
		}
		there[p.AccountID][p.Kind] = true
	}
	d.Accounts = slices.Sorted(maps.Keys(there))
	if len(d.Accounts) < 2 {
		return
	}
	for _, account := range d.Accounts {
		lacking := controllers.Unlisted{AccountID: account, Err: errNoFile}
		for _, kind := range d.Listed {
			if !there[account][kind] {
				lacking.Kinds = append(lacking.Kinds, kind)
			}
		}
		if len(lacking.Kinds) > 0 {
			d.Unlisted = append(d.Unlisted, lacking)
		}
	}
}

// noteUnlisted says what a result does without.
func noteUnlisted(w io.Writer, all []controllers.Unlisted) {
	for _, u := range all {
		why := "could not be listed: " + strings.TrimSuffix(strings.Join(strings.Fields(u.Err.Error()), " "), ".")
		if errors.Is(u.Err, errNoFile) {
			why = "are in no file"
		}
		_, _ = fmt.Fprintf(w, "note: the %s %s; nothing is concluded from who is missing there, and the rest goes on\n", unlistedName(u), why)
	}
}

// unlistedName is as in "users and roles of account 123456789012".
func unlistedName(u controllers.Unlisted) string {
	var kinds []string
	for _, kind := range u.Kinds {
		kinds = append(kinds, string(kind)+"s")
	}
	whose := "account " + u.AccountID
	if u.AccountID == "" {
		whose = "our own account"
	}
	return strings.Join(kinds, " and ") + " of " + whose
}

// frozenSuffix ends a summary.
func frozenSuffix(all []controllers.Unlisted) string {
	if len(all) == 0 {
		return ""
	}
	var parts []string
	for _, u := range all {
		parts = append(parts, unlistedName(u))
	}
	return "; frozen, because they were not listed: " + strings.Join(parts, ", ")
}
