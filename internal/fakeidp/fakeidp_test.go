package fakeidp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

func TestPersonSignsIn(t *testing.T) {
	for name, path := range map[string]string{"at a root": "", "below a path": "/realms/a"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, path)
			page := b.get(t, b.authorization(nil))
			for _, want := range []string{
				`id="username"`, `id="sign-in"`, `id="cancel"`, "<strong>app</strong>", "<code>ada</code>", "&lt;b&gt;bob&lt;/b&gt;",
			} {
				if !strings.Contains(page.body, want) {
					t.Errorf("the page lacks %s", want)
				}
			}
			if strings.Contains(page.header.Get("Content-Security-Policy"), "form-action") {
				t.Error("the policy would stop the redirect to the client")
			}
			page = b.fill(t, page, "<i>nobody</i>", nil)
			if page.status != http.StatusUnprocessableEntity || !strings.Contains(page.body, "&lt;i&gt;nobody&lt;/i&gt;") {
				t.Errorf("a stranger got %d %s", page.status, page.body)
			}
			back := b.fill(t, page, "ada", nil).location(t)
			query := back.Query()
			if !strings.HasPrefix(back.String(), home+"?") || query.Get("state") != "s-1" || query.Get("iss") != b.issuer {
				t.Errorf("sent back to %s", back)
			}
			tokens := b.redeem(t, query.Get("code"), nil).json(t)
			if tokens["id_token"] == nil || tokens["access_token"] == nil || tokens["refresh_token"] == nil {
				t.Errorf("tokens %v", tokens)
			}
			again := b.fill(t, page, "ada", nil)
			if again.status != http.StatusBadRequest || !strings.Contains(again.body, "start again") {
				t.Errorf("the page served twice: %d %s", again.status, again.body)
			}
		})
	}
}

func TestBrowserStaysLoggedInUntilEndSession(t *testing.T) {
	b := newBed(t, "")
	none := b.get(t, b.authorization(map[string]string{"prompt": "none"})).location(t).Query()
	if none.Get("error") != "login_required" || none.Get("state") != "s-1" {
		t.Errorf("prompt=none: %v", none)
	}
	b.fill(t, b.get(t, b.authorization(nil)), "ada", nil).location(t)
	for _, prompt := range []string{"", "none"} {
		code := b.get(t, b.authorization(map[string]string{"prompt": prompt})).location(t).Query().Get("code")
		if b.redeem(t, code, nil).status != http.StatusOK {
			t.Errorf("prompt=%s: the browser was not known", prompt)
		}
	}
	if page := b.get(t, b.authorization(map[string]string{"prompt": "login"})); page.status != http.StatusOK {
		t.Errorf("prompt=login did not ask: %d", page.status)
	}
	if page := b.get(t, b.issuer+"/end-session"); page.status != http.StatusOK || !strings.Contains(page.body, "signed out") {
		t.Errorf("%d %s", page.status, page.body)
	}
	if page := b.get(t, b.authorization(nil)); page.status != http.StatusOK {
		t.Errorf("still logged in: %d", page.status)
	}
}

func TestPersonCancels(t *testing.T) {
	b := newBed(t, "")
	back := b.fill(t, b.get(t, b.authorization(nil)), "", url.Values{"cancel": {"1"}}).location(t)
	if back.Query().Get("error") != "access_denied" || back.Query().Get("state") != "s-1" {
		t.Errorf("sent back to %s", back)
	}
}

func TestRefusedAuthorizationRequests(t *testing.T) {
	b := newBed(t, "")
	for _, row := range []struct {
		name, parameter, value string
		told                   string // the error that the client is told; empty: only the person
	}{
		{"unknown client", "client_id", "other", ""},
		{"no client", "client_id", "", ""},
		{"other redirect_uri", "redirect_uri", home + "/x", ""},
		{"relative redirect_uri", "redirect_uri", "/callback", ""},
		{"no PKCE", "code_challenge", "", "invalid_request"},
		{"plain PKCE", "code_challenge_method", "plain", "invalid_request"},
		{"PKCE without a method", "code_challenge_method", "", "invalid_request"},
		{"implicit flow", "response_type", "id_token", "unsupported_response_type"},
		{"no openid", "scope", "email", "invalid_scope"},
	} {
		t.Run(row.name, func(t *testing.T) {
			address := b.authorization(map[string]string{row.parameter: row.value})
			got := b.get(t, address)
			if row.told == "" {
				if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
					t.Errorf("got %d to %s", got.status, got.header.Get("Location"))
				}
			} else if told := got.location(t).Query().Get("error"); told != row.told {
				t.Errorf("the client was told %q", told)
			}
			if _, err := b.idp.SignIn(address, "ada"); err == nil {
				t.Error("SignIn took it")
			}
		})
	}
}

func TestTokenEndpoint(t *testing.T) {
	b := newBed(t, "")
	for _, row := range []struct {
		name    string
		changes map[string]string
		want    string
	}{
		{"right", nil, ""},
		{"other verifier", map[string]string{"code_verifier": verifier + "x"}, "invalid_grant"},
		{"no verifier", map[string]string{"code_verifier": ""}, "invalid_grant"},
		{"other redirect_uri", map[string]string{"redirect_uri": goodbye}, "invalid_grant"},
		{"unknown code", map[string]string{"code": "x"}, "invalid_grant"},
		{"wrong secret", map[string]string{"client_secret": "x"}, "invalid_client"},
		{"no secret", map[string]string{"client_secret": ""}, "invalid_client"},
		{"unknown client", map[string]string{"client_id": "x"}, "invalid_client"},
		{"somebody else's code", map[string]string{"client_id": "public", "client_secret": ""}, "invalid_grant"},
		{"other grant", map[string]string{"grant_type": "password"}, "unsupported_grant_type"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := b.redeem(t, b.signIn(t, nil), row.changes)
			if row.want == "" && got.status == http.StatusOK {
				return
			}
			if told := got.json(t)["error"]; told != row.want {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	code := b.signIn(t, map[string]string{"client_id": "public"})
	got := b.redeem(t, code, map[string]string{"client_id": "public", "client_secret": ""})
	if got.status != http.StatusOK {
		t.Errorf("public client: %s", got.body)
	}
}

func TestWhatServedIsUsedUp(t *testing.T) {
	b := newBed(t, "")
	code := b.signIn(t, nil)
	first := b.redeem(t, code, nil).json(t)
	second := b.refresh(t, first["refresh_token"]).json(t)
	if again := b.refresh(t, first["refresh_token"]).json(t); again["error"] != "invalid_grant" {
		t.Errorf("an old refresh token got %v", again)
	}
	if after := b.refresh(t, second["refresh_token"]).json(t); after["error"] != "invalid_grant" {
		t.Errorf("the family outlived reuse: %v", after)
	}
	code = b.signIn(t, nil)
	first = b.redeem(t, code, nil).json(t)
	if again := b.redeem(t, code, nil).json(t); again["error"] != "invalid_grant" {
		t.Errorf("a used code got %v", again)
	}
	if after := b.refresh(t, first["refresh_token"]).json(t); after["error"] != "invalid_grant" {
		t.Errorf("tokens outlived the reuse of their code: %v", after)
	}
}

func TestUserInfo(t *testing.T) {
	b := newBed(t, "")
	tokens := b.redeem(t, b.signIn(t, nil), nil).json(t)
	ask := func(token string) answer {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.issuer+"/userinfo", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		return b.do(t, request)
	}
	want := map[string]any{
		"sub": "u-1", "email": "ada@example.com", "email_verified": true, "name": "Ada", "groups": []any{"ops"},
	}
	access, _ := tokens["access_token"].(string)
	if diff := cmp.Diff(want, ask(access).json(t)); diff != "" {
		t.Error(diff)
	}
	if got := ask("x"); got.status != http.StatusUnauthorized {
		t.Errorf("a stranger got %d", got.status)
	}
	if err := b.idp.Logout(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if got := ask(access); got.status != http.StatusUnauthorized {
		t.Errorf("after logout: %d", got.status)
	}
}

// A library that knows nothing of this provider takes it for a real one.
func TestAnotherImplementationIsContent(t *testing.T) {
	b := newBed(t, "/realms/a")
	provider, err := oidc.NewProvider(t.Context(), b.issuer)
	if err != nil {
		t.Fatal(err)
	}
	check := provider.Verifier(&oidc.Config{ClientID: "app"})
	for _, algorithm := range []string{"ES256", "RS256"} {
		if err := b.idp.RotateKey(algorithm); err != nil {
			t.Fatal(err)
		}
		tokens := b.redeem(t, b.signIn(t, nil), nil).json(t)
		raw, _ := tokens["id_token"].(string)
		token, err := check.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		access, _ := tokens["access_token"].(string)
		if err := token.VerifyAccessToken(access); err != nil || token.Nonce != "n-1" || token.Subject != "u-1" {
			t.Errorf("%+v %v", token, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, config := range map[string]fakeidp.Config{
		"client without ID":  {Clients: []fakeidp.Client{{}}},
		"user without name":  {Users: []fakeidp.User{{}}},
		"unknown algorithms": {Algorithm: "HS256"},
	} {
		if _, err := fakeidp.New(config); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
