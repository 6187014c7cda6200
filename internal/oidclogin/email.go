package oidclogin

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEmail is the longest address that mail can be sent to (RFC 5321, section
// 4.5.3.1.3, less the angle brackets).
const maxEmail = 254

// readDomains checks domains that a person wrote and returns them folded.
func readDomains(domains []string) ([]string, error) {
	var out []string
	for _, domain := range domains {
		folded := foldASCII(domain)
		if !isDomain(folded) {
			return nil, fmt.Errorf("the email domain %q is not a domain: write it like example.com", domain)
		}
		out = append(out, folded)
	}
	return out, nil
}

// isDomain takes labels of letters, digits and hyphens with dots in between.
// What is not ASCII has to be written as mail servers do, with xn--.
func isDomain(folded string) bool {
	for label := range strings.SplitSeq(folded, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				return false
			}
		}
	}
	return true
}

// foldASCII lowers A to Z and nothing else: with all of Unicode, the Kelvin sign
// would make a k.
func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// splitEmail returns the domain of an address, folded. It refuses everything
// that mail software may read in more than one way: more than one @, quotes,
// comments, lists, spaces, control and other invisible characters.
func splitEmail(email string) (domain string, ok bool) {
	local, domain, found := strings.Cut(email, "@")
	if !found || local == "" || len(email) > maxEmail || !utf8.ValidString(email) {
		return "", false
	}
	for _, r := range local {
		if !unicode.IsPrint(r) || r == ' ' || strings.ContainsRune(`"(),:;<>@[\]`, r) {
			return "", false
		}
	}
	domain = foldASCII(domain)
	return domain, isDomain(domain)
}

// inDomains tells whether an address is of one of the domains, which are folded;
// no domains let every address in.
func inDomains(email string, domains []string) bool {
	domain, ok := splitEmail(email)
	return ok && (len(domains) == 0 || slices.Contains(domains, domain))
}

// emailOf applies the rules to claims and returns the address; it is empty if
// there is none and none is needed.
func (p *Provider) emailOf(claims map[string]any) (string, error) {
	claim, present := claims["email"]
	if !present || claim == "" || claim == nil {
		if p.needsEmail() {
			return "", refuse(sayNoEmail, "no email claim")
		}
		return "", nil
	}
	email, ok := claim.(string)
	if !ok {
		return "", refuse(sayNoEmail, "the email claim is no string")
	}
	if _, ok := splitEmail(email); !ok {
		return "", refuse(sayNoEmail, "the email claim %.300q is not one plain address", email)
	}
	verified, present := claims["email_verified"]
	if verified != true && verified != "true" && !p.config.IgnoreEmailVerification {
		if !present {
			return "", refuse(sayVerify, "the provider does not say whether %q is verified (no email_verified claim)", email)
		}
		return "", refuse(sayVerify, "email_verified of %q is %.50v", email, verified)
	}
	if !inDomains(email, p.config.EmailDomains) {
		return "", refuse(sayDomain, "%q is of none of the email domains", email)
	}
	return email, nil
}

func (p *Provider) needsEmail() bool {
	return p.config.RequireEmail || len(p.config.EmailDomains) > 0
}

// lacksEmail tells whether userinfo has to be asked.
func (p *Provider) lacksEmail(claims map[string]any) bool {
	claim, present := claims["email"]
	return p.needsEmail() && (!present || claim == "" || claim == nil)
}
