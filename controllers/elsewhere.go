package controllers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// elsewhere are the rules that match nobody because their arnRegex names an
// account that is not listed, with that account.
type elsewhere struct {
	accounts map[ruleKey]string
	digests  map[string]bool // their RuleDigests
	listed   []string
}

type ruleKey struct {
	kind  rules.Kind
	index int
}

// newElsewhere looks for such rules. The accounts are those that are listed;
// one without a number may be any.
func newElsewhere(set *rules.Set, counts []rules.RuleCount, accounts []string) elsewhere {
	e := elsewhere{accounts: map[ruleKey]string{}, digests: map[string]bool{}, listed: accounts}
	if len(accounts) == 0 || slices.Contains(accounts, "") {
		return e
	}
	for _, c := range counts {
		account := set.Account(c.Kind, c.Rule)
		if c.Matched == 0 && c.TooOld == 0 && account != "" && !slices.Contains(accounts, account) {
			e.accounts[ruleKey{c.Kind, c.Rule}] = account
			e.digests[set.Digest(c.Kind, c.Rule)] = true
		}
	}
	return e
}

// Elsewhere says that a rule cannot match anybody, because its arnRegex names an
// account that is not listed; empty if that is not so.
func (o *Outcome) Elsewhere(c rules.RuleCount) string {
	account, ok := o.elsewhere.accounts[ruleKey{c.Kind, c.Rule}]
	if !ok {
		return ""
	}
	return fmt.Sprintf("it is about the account %s, which is not listed; listed is %s", account, strings.Join(o.elsewhere.listed, ", "))
}
