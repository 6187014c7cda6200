package rules

import (
	"fmt"
	"regexp"
	"strings"
)

// accountDigits is how many digits an account's number has ("View AWS account
// identifiers" in the AWS Account Management guide).
const accountDigits = 12

// shortAccount says why a pattern can match nobody, or not all that it names,
// because of what it takes for an account; empty if it may.
func (p *pattern) shortAccount(kind Kind, text string) (reason string) {
	const out = "; write the 12 digits that AWS prints, as in 123456789012"
	for _, account := range accountsIn(text) {
		if len(account) != accountDigits {
			return fmt.Sprintf("names the account %s, which has not %d digits but %d, so it matches nobody%s", clip(account), accountDigits, len(account), out)
		}
	}
	anywhere := strings.Replace(shape(kind, "/"), anyAccount, fmt.Sprintf("[0-9]{%d}", accountDigits), 1)
	if !p.possible(anywhere) {
		return fmt.Sprintf("can match nobody, because an account has %d digits%s", accountDigits, out)
	}
	return ""
}

// accountsIn are the accounts that a pattern spells out: where an ARN has its
// account, alone or as the alternatives of a group.
func accountsIn(text string) []string {
	spelled := regexp.MustCompile(`:iam::(?:\((?:\?:|\?P?<\w+>)?)?([0-9]+(?:\|[0-9]+)*)\)?:`)
	if strings.HasPrefix(text, "iam::") {
		text = ":" + text // a part of an ARN may begin there
	}
	var accounts []string
	for _, found := range spelled.FindAllStringSubmatch(text, -1) {
		accounts = append(accounts, strings.Split(found[1], "|")...)
	}
	return accounts
}
