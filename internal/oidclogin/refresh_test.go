package oidclogin

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

func TestRefresh(t *testing.T) {
	for name, behave := range map[string]func(*fakeidp.Behavior){
		"rotating":       func(*fakeidp.Behavior) {},
		"not rotating":   func(b *fakeidp.Behavior) { b.KeepRefreshToken = true },
		"nonce repeated": func(b *fakeidp.Behavior) { b.NonceOnRefresh = true },
		"no sid":         func(b *fakeidp.Behavior) { b.Claims = map[string]any{"sid": nil} },
		"no at_hash":     func(b *fakeidp.Behavior) { b.Claims = map[string]any{"at_hash": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			b := found(t)
			first := b.mustLogin(t)
			b.idp.Behave(behave)
			login := first
			for range 3 {
				b.idpClock.Move(50 * time.Minute)
				b.clock.Move(50 * time.Minute)
				before := login
				var err error
				if login, err = b.provider.Refresh(t.Context(), before); err != nil {
					t.Fatal(err)
				}
				switch {
				case login.Subject != first.Subject || login.SID != first.SID || login.Email != first.Email:
					t.Errorf("became somebody else: %+v", login)
				case !login.Expires.Equal(before.Expires.Add(50*time.Minute)) || login.IDToken == before.IDToken:
					t.Errorf("not renewed: %+v", login)
				case (login.RefreshToken == before.RefreshToken) != (name == "not rotating"):
					t.Errorf("refresh token %q after %q", login.RefreshToken, before.RefreshToken)
				case login.Claims["nonce"] != first.Claims["nonce"]:
					t.Error("the nonce was forgotten")
				}
			}
		})
	}
}

func TestRefusedRefresh(t *testing.T) {
	claims := func(name string, value any) func(*bed) {
		return func(b *bed) {
			b.idp.Behave(func(x *fakeidp.Behavior) { x.Claims = map[string]any{name: value} })
		}
	}
	for _, row := range []struct {
		name   string
		change func(*bed)
		reason string
	}{
		{"no ID token", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.NoIDTokenOnRefresh = true }) }, "no ID token"},
		{"other person", claims("sub", "u-2"), "another person"},
		{"no person", claims("sub", nil), "sub"},
		{"other issuer", claims("iss", "https://evil.example.com"), "issue"},
		{"other client", claims("aud", "other"), "audience"},
		{"other nonce", claims("nonce", "other"), "nonce"},
		{"email of another domain", claims("email", "ada@evil.com"), "domains"},
		{"email not verified any more", claims("email_verified", false), "email_verified"},
		{"no signature", func(b *bed) { b.idp.Behave(func(x *fakeidp.Behavior) { x.Algorithm = "none" }) }, "ID token"},
		{"logged out at the provider", func(b *bed) { _ = b.idp.Logout(t.Context(), "ada") }, "invalid_grant"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t, corp)
			login := b.mustLogin(t)
			row.change(b)
			_, err := b.provider.Refresh(t.Context(), login)
			wantRefused(t, err, row.reason)
		})
	}
}

func TestRefreshTokenServesOnce(t *testing.T) {
	b := found(t)
	old := b.mustLogin(t)
	next, err := b.provider.Refresh(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.provider.Refresh(t.Context(), old)
	wantRefused(t, err, "used before")
	_, err = b.provider.Refresh(t.Context(), next)
	wantRefused(t, err, "invalid_grant")
}

func TestRefreshOfWhatIsNotOurs(t *testing.T) {
	b := found(t)
	login := b.mustLogin(t)
	for name, change := range map[string]func(*Login){
		"no refresh token": func(l *Login) { l.RefreshToken = "" },
		"other issuer":     func(l *Login) { l.Issuer = "https://evil.example.com" },
		"no subject":       func(l *Login) { l.Subject = "" },
	} {
		t.Run(name, func(t *testing.T) {
			bent := login
			change(&bent)
			_, err := b.provider.Refresh(t.Context(), bent)
			wantRefused(t, err, "")
		})
	}
	if calls := b.idp.Calls(); calls[fakeidp.Token] != 1 {
		t.Errorf("the provider was asked: %v", calls)
	}
}

// A provider that fails after it has issued a new refresh token must not cost
// the session.
func TestRefreshKeepsTheNewTokenOfAProviderInTrouble(t *testing.T) {
	b := found(t)
	old := b.mustLogin(t)
	b.idp.SetUser(fakeidp.User{Username: "ada", Subject: "u-1", Email: "ada@corp.com", Claims: map[string]any{"email": nil}})
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.UserInfo: 503} })
	kept, err := b.provider.Refresh(t.Context(), old)
	wantUnavailable(t, err)
	if kept.RefreshToken == old.RefreshToken || kept.IDToken != old.IDToken || kept.Subject != old.Subject {
		t.Errorf("got %+v", kept)
	}
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Fail = nil })
	if _, err := b.provider.Refresh(t.Context(), kept); err != nil {
		t.Error(err)
	}
}

func TestTroubleAtTheTokenEndpoint(t *testing.T) {
	for name, behave := range map[string]func(*fakeidp.Behavior){
		"down":                    func(b *fakeidp.Behavior) { b.Down = true },
		"bad gateway":             func(b *fakeidp.Behavior) { b.Fail = map[string]int{fakeidp.Token: 502} },
		"too many requests":       func(b *fakeidp.Behavior) { b.Fail = map[string]int{fakeidp.Token: 429} },
		"a page that is no OAuth": func(b *fakeidp.Behavior) { b.Fail = map[string]int{fakeidp.Token: 403} },
		"OK, but no JSON":         func(b *fakeidp.Behavior) { b.Fail = map[string]int{fakeidp.Token: 200} },
		"redirect":                func(b *fakeidp.Behavior) { b.Fail = map[string]int{fakeidp.Token: 307} },
		"says so itself":          func(b *fakeidp.Behavior) { b.TokenError = "temporarily_unavailable" },
		"in trouble, it says":     func(b *fakeidp.Behavior) { b.TokenError = "server_error" },
	} {
		t.Run(name, func(t *testing.T) {
			b := found(t)
			login := b.mustLogin(t)
			attempt, callback := b.begin(t, "ada")
			b.idp.Behave(behave)
			_, err := b.provider.Exchange(t.Context(), attempt, callback)
			wantUnavailable(t, err)
			kept, err := b.provider.Refresh(t.Context(), login)
			wantUnavailable(t, err)
			if kept.RefreshToken != login.RefreshToken {
				t.Error("the refresh token was lost")
			}
			if calls := b.idp.Calls(); calls[fakeidp.Token] != 3 {
				t.Errorf("a code or refresh token was tried more than once: %v", calls)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		b := found(t)
		attempt, callback := b.begin(t, "ada")
		_, err := b.provider.Exchange(canceled(t), attempt, callback)
		wantUnavailable(t, err)
	})
}
