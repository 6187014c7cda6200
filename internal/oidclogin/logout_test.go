package oidclogin

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

func TestLogoutToken(t *testing.T) {
	b := found(t)
	now := b.clock.Now()
	for _, row := range []struct {
		name, typ, username, sid string
		want                     Logout
	}{
		{"session", "logout+jwt", "", "s-1", Logout{SID: "s-1"}},
		{"person", "logout+jwt", "ada", "", Logout{Subject: "u-1"}},
		{"both, without a kind", "", "ada", "s-1", Logout{Subject: "u-1", SID: "s-1"}},
		{"plain kind", "JWT", "ada", "", Logout{Subject: "u-1"}},
		{"kind in full", "application/Logout+JWT", "ada", "", Logout{Subject: "u-1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			claims := b.idp.LogoutClaims(clientID, row.username, row.sid)
			raw, err := b.idp.Sign(claims, row.typ)
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.provider.LogoutToken(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			row.want.Issuer = b.idp.Issuer()
			row.want.ID, _ = claims["jti"].(string)
			row.want.Issued, row.want.Expires = now, now.Add(2*time.Minute+Leeway)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusedLogoutTokens(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name    string
		changes map[string]any
		reason  string
	}{
		{"no events", map[string]any{"events": nil}, "event"},
		{"other event", map[string]any{"events": map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}}, "event"},
		{"event that is no object", map[string]any{"events": map[string]any{logoutEvent: true}}, "event"},
		{"events in another case", map[string]any{"events": nil, "EVENTS": map[string]any{logoutEvent: map[string]any{}}}, "event"},
		{"nonce", map[string]any{"nonce": "n"}, "nonce"},
		{"empty nonce", map[string]any{"nonce": ""}, "nonce"},
		{"no iat", map[string]any{"iat": nil}, "iat"},
		{"iat ahead", map[string]any{"iat": noon.Add(time.Hour).Unix()}, "iat"},
		{"iat long ago", map[string]any{"iat": noon.Add(-time.Hour).Unix()}, "too old"},
		{"no exp", map[string]any{"exp": nil}, "exp"},
		{"expired", map[string]any{"exp": noon.Add(-Leeway - time.Second).Unix()}, "expired"},
		{"no jti", map[string]any{"jti": nil}, "jti"},
		{"empty jti", map[string]any{"jti": ""}, "jti"},
		{"jti that is no string", map[string]any{"jti": 1}, "token"},
		{"neither sub nor sid", map[string]any{"sub": nil, "sid": nil}, "sub"},
		{"empty sub", map[string]any{"sub": ""}, "sub"},
		{"empty sid", map[string]any{"sid": ""}, "sid"},
		{"other issuer", map[string]any{"iss": "https://evil.example.com"}, "provider"},
		{"other client", map[string]any{"aud": "other"}, "audience"},
		{"several clients and no azp", map[string]any{"aud": []string{"other", clientID}}, "azp"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t)
			claims := b.idp.LogoutClaims(clientID, "ada", "s-1")
			for name, value := range row.changes {
				claims[name] = value
				if value == nil {
					delete(claims, name)
				}
			}
			raw, err := b.idp.Sign(claims, "logout+jwt")
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.provider.LogoutToken(t.Context(), raw)
			wantRefused(t, err, row.reason)
		})
	}
}

func TestForgedLogoutTokens(t *testing.T) {
	for _, row := range []struct {
		name   string
		behave func(*fakeidp.Behavior)
	}{
		{"no signature", func(b *fakeidp.Behavior) { b.Algorithm = "none" }},
		{"HS256 with the public key as secret", func(b *fakeidp.Behavior) { b.Algorithm = "HS256" }},
		{"key that is not the provider's", func(b *fakeidp.Behavior) { b.ForeignKey = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := found(t)
			b.idp.Behave(row.behave)
			raw, err := b.idp.Sign(b.idp.LogoutClaims(clientID, "ada", ""), "logout+jwt")
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.provider.LogoutToken(t.Context(), raw)
			wantRefused(t, err, "logout token")
		})
	}
	b := found(t)
	login := b.mustLogin(t)
	wrongKind, err := b.idp.Sign(b.idp.LogoutClaims(clientID, "ada", ""), "at+jwt")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"ID token": login.IDToken, "access token": wrongKind, "nothing": "", "garbage": "a.b.c",
		"endless": strings.Repeat("A", maxToken+1), "JSON": `{"payload":"e30","signatures":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.provider.LogoutToken(t.Context(), raw)
			wantRefused(t, err, "logout token")
		})
	}
}

func TestLogoutTokenIsRefusedOnceItsIDIsForgotten(t *testing.T) {
	for name, lifetime := range map[string]time.Duration{"short": 2 * time.Minute, "a year": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			b := found(t)
			claims := maps.Clone(b.idp.LogoutClaims(clientID, "ada", ""))
			claims["exp"] = b.clock.Now().Add(lifetime).Unix()
			raw, err := b.idp.Sign(claims, "logout+jwt")
			if err != nil {
				t.Fatal(err)
			}
			logout, err := b.provider.LogoutToken(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			b.clock.Move(logout.Expires.Sub(b.clock.Now()) - time.Second)
			if _, err := b.provider.LogoutToken(t.Context(), raw); err != nil {
				t.Errorf("a second before: %v", err)
			}
			b.clock.Move(time.Second)
			_, err = b.provider.LogoutToken(t.Context(), raw)
			wantRefused(t, err, "logout token")
		})
	}
}

func FuzzLogoutToken(f *testing.F) {
	b := found(f)
	for _, typ := range []string{"logout+jwt", "JWT", ""} {
		raw, err := b.idp.Sign(b.idp.LogoutClaims(clientID, "ada", "s-1"), typ)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, seed := range []string{"", ".", "..", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "eyJ0eXAiOjF9.e30.AA", "bnVsbA.bnVsbA.bnVsbA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		logout, err := b.provider.LogoutToken(t.Context(), raw)
		if err == nil && (logout.ID == "" || logout.Subject != "u-1" || logout.SID != "s-1") {
			t.Errorf("%q was obeyed as %+v", raw, logout)
		}
	})
}

func FuzzLogoutClaims(f *testing.F) {
	f.Add(`{"sub":"u-1"}`)
	f.Add(`{"sid":"s","events":{"http://schemas.openid.net/event/backchannel-logout":{}},"nonce":null}`)
	b := found(f)
	f.Fuzz(func(t *testing.T, payload string) {
		raw, err := signRaw(b, payload)
		if err != nil {
			return // no claims that can be signed
		}
		logout, err := b.provider.LogoutToken(t.Context(), raw)
		if err == nil && (logout.ID == "" || logout.Subject == "" && logout.SID == "" || logout.Issuer != b.idp.Issuer()) {
			t.Errorf("%s was obeyed as %+v", payload, logout)
		}
	})
}

// signRaw signs the claims of a correct token with those of payload over them.
func signRaw(b *bed, payload string) (string, error) {
	claims := b.idp.LogoutClaims(clientID, "", "")
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		return "", err
	}
	return b.idp.Sign(claims, "logout+jwt")
}
