package app

import (
	"slices"
	"testing"
)

// TestRoleSources: IAM was not asked about people whose credentials were had with
// the proxy's own, so that they do not count where IAM decides.
func TestRoleSources(t *testing.T) {
	for mode, want := range map[string][]string{
		modeWebIdentity: {"web-identity"}, modeAssumeRole: {"assume-role", "web-identity"},
	} {
		o := good()
		o.STSMode = mode
		s, _ := o.settings()
		if got := s.roleSources(); !slices.Equal(got, want) {
			t.Errorf("%s: credentials of %q count, want %q", mode, got, want)
		}
	}
}

// TestVaultSources: a user that another Vault, or another role of it, has issued is
// not the one that would be issued now.
func TestVaultSources(t *testing.T) {
	base := VaultOptions{Addr: "https://vault", AuthMount: "jwt", AuthRole: "people", AWSMount: "aws", AWSRole: "dashboard", Name: "users"}
	for reason, row := range map[string]struct {
		same   bool
		change func(*VaultOptions)
	}{
		"another name on the page": {true, func(v *VaultOptions) { v.Name = "people" }},
		"another CA file":          {true, func(v *VaultOptions) { v.CAFile = "ca.crt" }},
		"another Vault":            {false, func(v *VaultOptions) { v.Addr = "https://other" }},
		"another namespace":        {false, func(v *VaultOptions) { v.Namespace = "eu" }},
		"another way to log in":    {false, func(v *VaultOptions) { v.AuthMount = "oidc" }},
		"another role of Vault's":  {false, func(v *VaultOptions) { v.AuthRole = "all" }},
		"another secrets engine":   {false, func(v *VaultOptions) { v.AWSMount = "aws-eu" }},
		"another role in AWS":      {false, func(v *VaultOptions) { v.AWSRole = "admin" }},
	} {
		v := base
		row.change(&v)
		if got := v.source() == base.source(); got != row.same {
			t.Errorf("%s: the same source %t, want %t", reason, got, row.same)
		}
	}
}
