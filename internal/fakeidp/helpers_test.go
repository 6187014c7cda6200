package fakeidp_test

import (
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

const (
	home     = "https://app.example.com/callback"
	goodbye  = "https://app.example.com/bye"
	verifier = "0123456789012345678901234567890123456789012"
)

// bed is a provider on a real port, and a browser that stops at the first page
// that is not the provider's.
type bed struct {
	idp     *fakeidp.Server
	issuer  string
	browser *http.Client
}

func newBed(t *testing.T, path string, clients ...fakeidp.Client) bed {
	t.Helper()
	idp, err := fakeidp.New(fakeidp.Config{
		Clients: append([]fakeidp.Client{{
			ID: "app", Secret: "secret", RedirectURIs: []string{home}, PostLogoutRedirectURIs: []string{goodbye},
		}, {ID: "public"}}, clients...),
		Users: []fakeidp.User{
			{Username: "ada", Subject: "u-1", Email: "ada@example.com", Name: "Ada", Groups: []string{"ops"}},
			{Username: "<b>bob</b>"},
		},
		Algorithm: "ES256",
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(idp)
	t.Cleanup(server.Close)
	idp.SetIssuer(server.URL + path)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return bed{idp: idp, issuer: server.URL + path, browser: &http.Client{
		Jar:           jar,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// authorization is a correct authorization request with changes; an empty value
// takes a parameter out.
func (b bed) authorization(changes map[string]string) string {
	query := url.Values{
		"client_id": {"app"}, "redirect_uri": {home}, "response_type": {"code"}, "state": {"s-1"}, "nonce": {"n-1"},
		"scope": {"openid email profile offline_access"}, "code_challenge_method": {"S256"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)},
	}
	for name, value := range changes {
		query.Set(name, value)
		if value == "" {
			query.Del(name)
		}
	}
	return b.issuer + "/authorize?" + query.Encode()
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) location(t *testing.T) *url.URL {
	t.Helper()
	location, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther {
		t.Fatalf("no redirect: %d %s %v", a.status, a.body, err)
	}
	return location
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return out
}

func (b bed) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := b.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func (b bed) get(t *testing.T, address string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return b.do(t, request)
}

func (b bed) post(t *testing.T, path string, form url.Values) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(t, request)
}

var (
	actionOf  = regexp.MustCompile(`action="([^"]+)"`)
	requestOf = regexp.MustCompile(`name="request" value="([^"]+)"`)
)

// fill sends the form of a login page.
func (b bed) fill(t *testing.T, page answer, username string, more url.Values) answer {
	t.Helper()
	action, request := actionOf.FindStringSubmatch(page.body), requestOf.FindStringSubmatch(page.body)
	if action == nil || request == nil {
		t.Fatalf("no form: %d %s", page.status, page.body)
	}
	form := url.Values{"username": {username}, "request": {html.UnescapeString(request[1])}}
	maps.Copy(form, more)
	base, err := url.Parse(b.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return b.post(t, base.Scheme+"://"+base.Host+action[1], form)
}

// signIn returns a code for ada.
func (b bed) signIn(t *testing.T, changes map[string]string) string {
	t.Helper()
	back, err := b.idp.SignIn(b.authorization(changes), "ada")
	if err != nil {
		t.Fatal(err)
	}
	return back.Query().Get("code")
}

// redeem sends a code to the token endpoint as client app.
func (b bed) redeem(t *testing.T, code string, changes map[string]string) answer {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {home}, "code_verifier": {verifier},
		"client_id": {"app"}, "client_secret": {"secret"},
	}
	for name, value := range changes {
		form.Set(name, value)
	}
	return b.post(t, b.issuer+"/token", form)
}

func (b bed) refresh(t *testing.T, token any) answer {
	t.Helper()
	text, ok := token.(string)
	if !ok {
		t.Fatal("there is no refresh token")
	}
	return b.redeem(t, "", map[string]string{"grant_type": "refresh_token", "refresh_token": text})
}
