package app

import (
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/loginproxy"
)

// issuerKind says who can have an account at an issuer.
type issuerKind int

const (
	ownIssuer    issuerKind = iota // as far as is known, whom its administrators let
	brokerIssuer                   // mostly strangers too, who sign up themselves
	worldIssuer                    // anybody
	tenantIssuer                   // anybody, and anybody can be an administrator there
)

// kindOfIssuer knows issuers that many companies share. Entra's endpoints for more
// than one tenant are common, organizations and consumers, and the last has a
// number, too.
func kindOfIssuer(issuer string) issuerKind {
	u, err := url.Parse(issuer)
	if err != nil {
		return ownIssuer
	}
	host := strings.ToLower(u.Hostname())
	tenant, _, _ := strings.Cut(strings.Trim(strings.ToLower(u.Path), "/"), "/")
	switch host {
	case "login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net", "login.windows.net":
		switch tenant {
		case "common", "organizations":
			return tenantIssuer
		case "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad":
			return worldIssuer
		}
		return ownIssuer
	case "accounts.google.com", "gitlab.com", "github.com", "appleid.apple.com", "account.apple.com", "www.facebook.com", "www.linkedin.com",
		"slack.com", "id.twitch.tv", "login.yahoo.com", "api.login.yahoo.com", "login.salesforce.com", "www.paypal.com", "login.live.com",
		"discord.com", "access.line.me", "kauth.kakao.com", "token.actions.githubusercontent.com":
		return worldIssuer
	case "securetoken.google.com":
		return brokerIssuer
	}
	if strings.HasSuffix(host, ".auth0.com") || strings.HasPrefix(host, "cognito-idp.") || strings.HasSuffix(host, ".b2clogin.com") || strings.HasSuffix(host, ".ciamlogin.com") {
		return brokerIssuer
	}
	return ownIssuer
}

// publicDomains are of mail that anybody can have.
func publicDomains() []string {
	return []string{
		"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com", "icloud.com", "me.com", "mac.com",
		"aol.com", "gmx.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "mail.com", "proton.me", "protonmail.com", "pm.me", "tutanota.com",
		"yandex.com", "yandex.ru", "mail.ru", "qq.com", "163.com", "126.com", "zoho.com", "fastmail.com", "hey.com", "orange.fr", "free.fr",
	}
}

// sameForAll are claims that everybody's login at the issuer has with one value.
func sameForAll() []string { return []string{"iss", "aud", "azp", "email_verified"} }

// selfMade are claims that people mostly write themselves, or that may be given to
// somebody else (OpenID Connect Core 1.0, section 5.7).
func selfMade() []string {
	return []string{
		"preferred_username", "name", "given_name", "family_name", "middle_name", "nickname", "unique_name", "profile", "picture", "website",
		"gender", "birthdate", "zoneinfo", "locale", "address", "phone_number",
	}
}

// checkDoor says who gets in whom nobody has named.
func (s *loginProxySettings) checkDoor(f *findings) {
	policy := s.policy()
	if s.OIDCIssuer == "" || s.RolePolicy != "" && policy == nil {
		return // said elsewhere
	}
	s.checkClaims(f, policy)
	s.checkUnverified(f, policy)
	open := policy == nil || policy.Everyone() || slices.ContainsFunc(sameForAll(), policy.Names)
	public := slices.IndexFunc(s.EmailDomains, func(d string) bool { return slices.Contains(publicDomains(), strings.ToLower(d)) })
	const (
		because = "gets in, as far as the roles' trust policies or Vault let them, because neither --email-domain nor --role-policy names your people; "
		wayOut  = "give --email-domain with the domain of your addresses, or a --role-policy"
	)
	switch kind := kindOfIssuer(s.OIDCIssuer); {
	case !open:
	case public >= 0:
		f.note("--email-domain %s lets in anybody, because anybody can have an address there; name your people with --role-policy, or give a domain of your own", s.EmailDomains[public])
	case len(s.EmailDomains) > 0:
	case kind == tenantIssuer:
		f.note("anybody in the world who has an account at %s %swrite your tenant's ID into --oidc-issuer, or %s", s.OIDCIssuer, because, wayOut)
	case kind == worldIssuer:
		f.note("anybody in the world who has an account at %s %s%s", s.OIDCIssuer, because, wayOut)
	case kind == brokerIssuer:
		f.note("everybody who has an account at %s, where people can often sign up themselves, %s%s", s.OIDCIssuer, because, wayOut)
	case policy == nil:
		f.note("everybody who has an account at %s %s%s", s.OIDCIssuer, because, wayOut)
	}
}

// checkClaims looks for claims that tell nobody apart.
func (s *loginProxySettings) checkClaims(f *findings, policy *loginproxy.Policy) {
	if policy == nil {
		return
	}
	for _, claim := range sameForAll() {
		if policy.Names(claim) {
			f.note("--role-policy decides by the claim %s, which is the same in every login, so that the rule is for everyone; decide by sub or groups", claim)
		}
	}
	for _, claim := range selfMade() {
		if policy.Names(claim) {
			f.note("--role-policy decides by the claim %s, which people can set themselves at many providers; decide by sub or groups", claim)
		}
	}
}

// checkUnverified says what an address that nobody has verified opens.
func (s *loginProxySettings) checkUnverified(f *findings, policy *loginproxy.Policy) {
	const wayOut = "leave it out unless the provider verifies addresses without saying so"
	switch {
	case !s.IgnoreEmailVerification:
	case kindOfIssuer(s.OIDCIssuer) == tenantIssuer:
		f.note("--ignore-email-verification believes every address at %s, and anybody can make a tenant of their own there and name any address in it; write your tenant's ID into --oidc-issuer, or leave the flag out", s.OIDCIssuer)
	case policy != nil && policy.Names("email"):
		f.note("--ignore-email-verification lets whoever can name somebody else's address at the provider take their roles, because --role-policy decides by the claim email; decide by sub or groups, or %s", wayOut)
	case len(s.EmailDomains) > 0:
		f.note("--ignore-email-verification lets in whoever can name an address of --email-domain at the provider; %s", wayOut)
	default:
		f.note("--ignore-email-verification lets whoever can name somebody else's address at the provider pass for them, because the cluster knows people by their address; %s", wayOut)
	}
}

// policy is that of --role-policy, or nil; what is wrong with the file is found
// where it is used.
func (s *loginProxySettings) policy() *loginproxy.Policy {
	text, err := os.ReadFile(s.RolePolicy)
	if err != nil {
		return nil
	}
	policy, err := loginproxy.ParsePolicy(text)
	if err != nil {
		return nil
	}
	return policy
}
