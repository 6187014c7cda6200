package oidclogin

import (
	"maps"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

// TestAdmits: a login that was verified before is held against the rules of now.
func TestAdmits(t *testing.T) {
	for _, row := range []struct {
		reason string
		config func(*Config)
		login  func(*Login)
		want   string // part of the reason of a refusal; "": let in
	}{
		{"nothing has changed", nil, nil, ""},
		{"the same domain", func(c *Config) { c.EmailDomains = []string{"CORP.com"} }, nil, ""},
		{"another domain", func(c *Config) { c.EmailDomains = []string{"corp.org"} }, nil, "none of the email domains"},
		{"another client", func(c *Config) { c.ClientID = "other" }, nil, "another client"},
		{"another issuer", func(c *Config) { c.Issuer = "https://id.example.org" }, nil, "another issuer"},
		{"several audiences", nil, func(l *Login) { l.Claims["aud"], l.Claims["azp"] = []any{"x", clientID}, clientID }, ""},
		{"issued to another party", nil, func(l *Login) { l.Claims["azp"] = "other" }, "another client"},
		{"no audience", nil, func(l *Login) { delete(l.Claims, "aud") }, "another client"},
		{"no claims", nil, func(l *Login) { l.Claims = nil }, "another person"},
		{"no subject", nil, func(l *Login) { l.Subject = "" }, "issuer"},
		{"another person's claims", nil, func(l *Login) { l.Claims["sub"] = "u-2" }, "another person"},
		{"an address that is not verified", nil, func(l *Login) { l.Claims["email_verified"] = false }, "email_verified"},
		{"one, and that was not asked for", func(c *Config) { c.IgnoreEmailVerification = true }, func(l *Login) { delete(l.Claims, "email_verified") }, ""},
		{"no address", nil, func(l *Login) { delete(l.Claims, "email"); l.Email = "" }, "no email"},
		{"another address than in the claims", nil, func(l *Login) { l.Email = "eve@corp.com" }, "another email address"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			login := found(t).mustLogin(t)
			login.Claims = maps.Clone(login.Claims)
			if row.login != nil {
				row.login(&login)
			}
			now := newBed(t, func(c *Config, _ *fakeidp.Config) {
				if row.config != nil {
					row.config(c)
				}
			})
			err := now.provider.Admits(login)
			if row.want != "" {
				wantRefused(t, err, row.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
