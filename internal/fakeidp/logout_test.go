package fakeidp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

// client takes logout tokens and answers with a status.
type client struct {
	mu     sync.Mutex
	status int
	tokens []string
}

func (c *client) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, r.PostFormValue("logout_token"))
	w.WriteHeader(c.status)
}

func (c *client) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens
}

func newClient(t *testing.T, id string, status int) (*client, fakeidp.Client) {
	t.Helper()
	c := &client{status: status}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, fakeidp.Client{ID: id, BackchannelLogoutURI: server.URL + "/logout"}
}

func TestLogoutTellsTheClients(t *testing.T) {
	willing, one := newClient(t, "willing", http.StatusOK)
	_, two := newClient(t, "unwilling", http.StatusBadRequest)
	b := newBed(t, "", one, two)
	err := b.idp.Logout(t.Context(), "ada")
	if err == nil || !strings.Contains(err.Error(), "unwilling") || strings.Contains(err.Error(), "out of willing") {
		t.Errorf("got %v", err)
	}
	tokens := willing.got()
	if len(tokens) != 1 {
		t.Fatalf("%d tokens", len(tokens))
	}
	provider, err := oidc.NewProvider(t.Context(), b.issuer)
	if err != nil {
		t.Fatal(err)
	}
	token, err := provider.Verifier(&oidc.Config{ClientID: "willing"}).VerifyLogout(t.Context(), tokens[0])
	if err != nil || token.Subject != "u-1" || token.SessionID != "" {
		t.Errorf("%+v %v", token, err)
	}
}

func TestEndSession(t *testing.T) {
	other, registered := newClient(t, "other", http.StatusOK)
	b := newBed(t, "", registered)
	tokens := b.redeem(t, b.signIn(t, nil), nil).json(t)
	hint, _ := tokens["id_token"].(string)
	end := func(query url.Values) answer { return b.get(t, b.issuer+"/end-session?"+query.Encode()) }

	if got := end(url.Values{"id_token_hint": {hint + "x"}}); got.status != http.StatusBadRequest {
		t.Errorf("a forged hint: %d", got.status)
	}
	if len(other.got()) != 0 {
		t.Error("a forged hint logged somebody out")
	}
	back := end(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye}, "state": {"s-2"}}).location(t)
	if back.String() != goodbye+"?state=s-2" {
		t.Errorf("sent back to %s", back)
	}
	if len(other.got()) != 1 {
		t.Error("the other client was not told")
	}
	if got := b.refresh(t, tokens["refresh_token"]).json(t); got["error"] != "invalid_grant" {
		t.Errorf("the refresh token outlived the session: %v", got)
	}
	for name, query := range map[string]url.Values{
		"unknown address":  {"client_id": {"app"}, "post_logout_redirect_uri": {"https://evil.example.com"}},
		"nobody's address": {"post_logout_redirect_uri": {goodbye}},
	} {
		if got := end(query); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
			t.Errorf("%s: %d to %s", name, got.status, got.header.Get("Location"))
		}
	}
}
