package oidclogin

import "slices"

// Admits tells whether a login that was verified before, perhaps under another
// Config, would be let in under this one: same issuer and client, and an email
// address that the rules take. It asks nobody and looks at no time: the same
// login gets the same answer as long as the Config is the same. The error is
// *Refused.
func (p *Provider) Admits(l Login) error {
	switch {
	case l.Issuer != p.config.Issuer || l.Subject == "":
		return refuse(sayEnded, "the login is of another issuer, %.200q", l.Issuer)
	case l.Claims["sub"] != l.Subject:
		return refuse(sayEnded, "the claims are of another person, %.200v", l.Claims["sub"])
	case !slices.Contains(audienceOf(l.Claims), p.config.ClientID):
		return refuse(sayEnded, "the login is of another client, %.200v", l.Claims["aud"])
	}
	if azp, present := l.Claims["azp"]; present && azp != p.config.ClientID {
		return refuse(sayEnded, "the login is of another client, %.200v", azp)
	}
	email, err := p.emailOf(l.Claims)
	if err == nil && email != l.Email {
		return refuse(sayEnded, "the login has another email address than its claims")
	}
	return err
}

// audienceOf is the claim aud, which is one name or a list of them.
func audienceOf(claims map[string]any) []string {
	switch aud := claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		var all []string
		for _, one := range aud {
			if name, ok := one.(string); ok {
				all = append(all, name)
			}
		}
		return all
	}
	return nil
}
