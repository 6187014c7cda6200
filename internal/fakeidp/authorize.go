package fakeidp

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cookieName is the cookie that keeps a browser logged in at the provider.
const cookieName = "fakeidp_session"

// authRequest is what a client asks for at the authorization endpoint.
type authRequest struct {
	clientID    string
	redirectURI string
	state       string
	nonce       string
	challenge   string
	scopes      []string
	prompt      []string
}

// login is one browser that is logged in at the provider.
type login struct {
	sid      string
	username string
	at       time.Time
}

// grant is what a code, an access token or a refresh token stands for.
type grant struct {
	authRequest
	login   login
	expires time.Time
	used    bool // a code that was redeemed
	family  *family
}

// family is all that came from one code; it is revoked at once.
type family struct{ revoked bool }

// oauthError is an error answer (RFC 6749, sections 4.1.2.1 and 5.2).
type oauthError struct{ code, description string }

func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if err := r.ParseForm(); err != nil {
		s.showProblem(w, "The request cannot be read.")
		return
	}
	request, problem := s.readAuthRequest(r.Form)
	if problem != "" {
		s.showProblem(w, problem)
		return
	}
	if refused := request.check(r.Form); refused != nil {
		s.redirectBack(w, r, request, url.Values{"error": {refused.code}, "error_description": {refused.description}})
		return
	}
	known, ok := s.loginOf(r)
	switch {
	case ok && !slices.Contains(request.prompt, "login"):
		s.redirectBack(w, r, request, url.Values{"code": {s.newCode(request, known)}})
	case slices.Contains(request.prompt, "none"):
		s.redirectBack(w, r, request, url.Values{"error": {"login_required"}})
	default:
		s.showSignIn(w, s.remember(request), "")
	}
}

// readAuthRequest reads a request as far as it must be right for the browser to
// be sent back at all; the problem is a sentence for the person.
func (s *Server) readAuthRequest(form url.Values) (request authRequest, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request = authRequest{
		clientID:    form.Get("client_id"),
		redirectURI: form.Get("redirect_uri"),
		state:       form.Get("state"),
		nonce:       form.Get("nonce"),
		challenge:   form.Get("code_challenge"),
		scopes:      strings.Fields(form.Get("scope")),
		prompt:      strings.Fields(form.Get("prompt")),
	}
	client, ok := s.clients[request.clientID]
	if !ok {
		return request, fmt.Sprintf("No client is called %q here.", request.clientID)
	}
	target, err := url.Parse(request.redirectURI)
	if err != nil || !target.IsAbs() || target.Fragment != "" {
		return request, "The redirect_uri is not a whole address."
	}
	if len(client.RedirectURIs) > 0 && !slices.Contains(client.RedirectURIs, request.redirectURI) {
		return request, fmt.Sprintf("The redirect_uri %s is not registered.", request.redirectURI)
	}
	return request, ""
}

// check refuses what the client gets told about.
func (request authRequest) check(form url.Values) *oauthError {
	switch {
	case form.Get("response_type") != "code":
		return &oauthError{"unsupported_response_type", "only code"}
	case !slices.Contains(request.scopes, "openid"):
		return &oauthError{"invalid_scope", "openid is missing"}
	case form.Get("code_challenge_method") != "S256":
		return &oauthError{"invalid_request", "PKCE with S256 is required"}
	case len(request.challenge) != 43: // of a SHA-256, base64url
		return &oauthError{"invalid_request", "the code_challenge is not a SHA-256"}
	}
	return nil
}

// remember keeps a request while its login page is shown and returns its id.
func (s *Server) remember(request authRequest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := secret("request")
	s.asked[id] = request
	return id
}

func (s *Server) loginOf(r *http.Request) (login, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return login{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.sessions[cookie.Value]
	if !ok {
		return login{}, false
	}
	return *known, true
}

func (s *Server) newCode(request authRequest, known login) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := secret("code")
	s.codes[code] = &grant{
		authRequest: request,
		login:       known,
		expires:     s.now().Add(codeLifetime),
		family:      &family{},
	}
	return code
}

// serveSignIn takes the form of the login page.
func (s *Server) serveSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	id, username := r.PostFormValue("request"), strings.TrimSpace(r.PostFormValue("username"))
	s.mu.Lock()
	request, ok := s.asked[id]
	_, exists := s.users[username]
	s.mu.Unlock()
	if !ok {
		s.showProblem(w, "This page was used already. Go back to the application and start again.")
		return
	}
	if r.PostForm.Has("cancel") {
		s.forget(id)
		s.redirectBack(w, r, request, url.Values{"error": {"access_denied"}})
		return
	}
	if !exists {
		s.showSignIn(w, id, fmt.Sprintf("Nobody is called %q here.", username))
		return
	}
	s.forget(id)
	known := s.startSession(w, username)
	s.redirectBack(w, r, request, url.Values{"code": {s.newCode(request, known)}})
}

func (s *Server) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, id)
}

func (s *Server) startSession(w http.ResponseWriter, username string) login {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := login{sid: secret("sid"), username: username, at: s.now()}
	value := secret("session")
	s.sessions[value] = &known
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // it is served on loopback, without TLS
		Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return known
}

// redirectBack sends the browser to the client with an answer.
func (s *Server) redirectBack(w http.ResponseWriter, r *http.Request, request authRequest, answer url.Values) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.callback(request, answer), http.StatusSeeOther) //nolint:gosec // it is registered, or the client wants none to be
}

func (s *Server) callback(request authRequest, answer url.Values) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request.state != "" {
		answer.Set("state", request.state)
	}
	if !s.behavior.NoIssParameter {
		answer.Set("iss", s.issuer)
	}
	if s.behavior.IssParameter != "" {
		answer.Set("iss", s.behavior.IssParameter)
	}
	separator := "?"
	if strings.Contains(request.redirectURI, "?") {
		separator = "&"
	}
	return request.redirectURI + separator + answer.Encode()
}

// SignIn does what a person at the login page does: it returns the address that
// the browser is then sent to, for the authorization request at address. No
// cookie stays. The error says what the login page would.
func (s *Server) SignIn(address, username string) (*url.URL, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("authorization request: %w", err)
	}
	request, problem := s.readAuthRequest(parsed.Query())
	if problem != "" {
		return nil, fmt.Errorf("authorization request: %s", problem)
	}
	if refused := request.check(parsed.Query()); refused != nil {
		return nil, fmt.Errorf("authorization request: %s: %s", refused.code, refused.description)
	}
	s.mu.Lock()
	_, exists := s.users[username]
	at := s.now()
	s.mu.Unlock()
	if !exists {
		return nil, fmt.Errorf("nobody is called %q", username)
	}
	code := s.newCode(request, login{sid: secret("sid"), username: username, at: at})
	return url.Parse(s.callback(request, url.Values{"code": {code}}))
}
