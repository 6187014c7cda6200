package fakeidp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// logoutEvent names the event of a logout token (OpenID Connect Back-Channel
// Logout 1.0, section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutClaims returns the claims of a correct logout token for a client; sid
// or username may be empty, not both.
func (s *Server) LogoutClaims(clientID, username, sid string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := map[string]any{
		"iss":    s.issuer,
		"aud":    clientID,
		"iat":    s.now().Unix(),
		"exp":    s.now().Add(2 * time.Minute).Unix(),
		"jti":    secret("jti"),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	if username != "" {
		user := s.users[username]
		user.Username = username
		claims["sub"] = user.subject()
	}
	if sid != "" {
		claims["sid"] = sid
	}
	return claims
}

// Logout ends all that a user has at the provider, refresh tokens included, and
// sends a logout token to every client that takes them. The error joins what
// the clients answered amiss.
func (s *Server) Logout(ctx context.Context, username string) error {
	s.end(func(l login) bool { return l.username == username })
	return s.notify(ctx, username, "")
}

// end forgets the logins that match and revokes what came from them.
func (s *Server) end(matches func(login) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cookie, known := range s.sessions {
		if matches(*known) {
			delete(s.sessions, cookie)
		}
	}
	for _, code := range s.codes {
		if matches(code.login) {
			code.used, code.family.revoked = true, true
		}
	}
}

func (s *Server) notify(ctx context.Context, username, sid string) error {
	s.mu.Lock()
	var clients []Client
	for _, client := range s.clients {
		if client.BackchannelLogoutURI != "" {
			clients = append(clients, client)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, client := range clients {
		token, err := s.Sign(s.LogoutClaims(client.ID, username, sid), "logout+jwt")
		if err == nil {
			err = s.post(ctx, client.BackchannelLogoutURI, token)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("logging %s out of %s: %w", username, client.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) post(ctx context.Context, address, token string) error {
	body := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the client answered %s: %s", response.Status, said)
	}
	return nil
}

// serveEndSession logs the browser out, and all clients of that login, and goes
// back to the client if it asked for that (RP-Initiated Logout 1.0, section 2).
func (s *Server) serveEndSession(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.showProblem(w, "The request cannot be read.")
		return
	}
	known, loggedIn := s.loginOf(r)
	clientID := r.Form.Get("client_id")
	if hint := r.Form.Get("id_token_hint"); hint != "" {
		claims, err := s.readHint(hint)
		if err != nil {
			s.showProblem(w, "The id_token_hint is not from here.")
			return
		}
		if clientID == "" && len(claims.Audience) > 0 {
			clientID = claims.Audience[0]
		}
		if !loggedIn {
			known, loggedIn = login{sid: claims.SID, username: claims.username(s)}, true
		}
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // it is served on loopback, without TLS
		Name: cookieName, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1,
	})
	if loggedIn {
		s.end(func(l login) bool { return l.sid == known.sid })
		// A client that cannot be told must not keep the person logged in here.
		_ = s.notify(r.Context(), known.username, known.sid)
	}
	target := r.Form.Get("post_logout_redirect_uri")
	if target == "" {
		s.showSignedOut(w)
		return
	}
	s.mu.Lock()
	client, ok := s.clients[clientID]
	s.mu.Unlock()
	if !ok || len(client.PostLogoutRedirectURIs) > 0 && !slices.Contains(client.PostLogoutRedirectURIs, target) {
		s.showProblem(w, "You are signed out. The address to go back to is not registered.")
		return
	}
	if state := r.Form.Get("state"); state != "" {
		target += "?" + url.Values{"state": {state}}.Encode()
	}
	http.Redirect(w, r, target, http.StatusSeeOther) //nolint:gosec // it is registered, or the client wants none to be
}

// hint is what is looked at of an ID token that comes back.
type hint struct {
	jwt.Claims

	SID string `json:"sid"`
}

func (h hint) username(s *Server) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, user := range s.users {
		if user.subject() == h.Subject {
			return name
		}
	}
	return ""
}

// readHint takes every token that was signed here, also an expired one.
func (s *Server) readHint(raw string) (hint, error) {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return hint{}, err
	}
	s.mu.Lock()
	set := s.ring.public()
	s.mu.Unlock()
	var claims hint
	if err := token.Claims(set, &claims); err != nil {
		return hint{}, err
	}
	return claims, nil
}
