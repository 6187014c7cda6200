package fakeidp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// refreshToken is good once, unless Behavior says otherwise.
type refreshToken struct {
	grant *grant
	used  bool
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	if err := r.ParseForm(); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	s.mu.Lock()
	answer, refused := s.answerToken(r)
	s.mu.Unlock()
	if refused == nil {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	status := http.StatusBadRequest
	if refused.code == "invalid_client" {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	}
	writeJSON(w, status, map[string]any{"error": refused.code, "error_description": refused.description})
}

func (s *Server) answerToken(r *http.Request) (map[string]any, *oauthError) {
	if code := s.behavior.TokenError; code != "" {
		return nil, &oauthError{code, "scripted"}
	}
	client, refused := s.authenticate(r)
	if refused != nil {
		return nil, refused
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		return s.redeemCode(client, r.PostForm)
	case "refresh_token":
		return s.redeemRefreshToken(client, r.PostForm.Get("refresh_token"))
	}
	return nil, &oauthError{"unsupported_grant_type", ""}
}

// authenticate finds the client by RFC 6749, section 2.3.1: Basic with form
// encoding inside, or the body; a public client only names itself.
func (s *Server) authenticate(r *http.Request) (Client, *oauthError) {
	method := "client_secret_basic"
	id, password, basic := r.BasicAuth()
	if basic {
		var err error
		if id, err = url.QueryUnescape(id); err == nil {
			password, err = url.QueryUnescape(password)
		}
		if err != nil || r.PostForm.Has("client_secret") {
			return Client{}, &oauthError{"invalid_request", "the client proves itself in no way or in two"}
		}
	} else {
		id, password, method = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), "client_secret_post"
	}
	client, ok := s.clients[id]
	switch {
	case !ok:
		return Client{}, &oauthError{"invalid_client", "unknown"}
	case client.AuthMethod != "" && client.AuthMethod != method:
		return Client{}, &oauthError{"invalid_client", "must use " + client.AuthMethod}
	case subtle.ConstantTimeCompare([]byte(client.Secret), []byte(password)) != 1:
		return Client{}, &oauthError{"invalid_client", "wrong secret"}
	}
	return client, nil
}

func (s *Server) redeemCode(client Client, form url.Values) (map[string]any, *oauthError) {
	code, ok := s.codes[form.Get("code")]
	if !ok || code.clientID != client.ID {
		return nil, &oauthError{"invalid_grant", "unknown code"}
	}
	if code.used {
		code.family.revoked = true
		return nil, &oauthError{"invalid_grant", "the code was used before"}
	}
	code.used = true
	challenge := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case s.now().After(code.expires):
		return nil, &oauthError{"invalid_grant", "the code has expired"}
	case code.redirectURI != form.Get("redirect_uri"):
		return nil, &oauthError{"invalid_grant", "another redirect_uri"}
	case base64.RawURLEncoding.EncodeToString(challenge[:]) != code.challenge:
		return nil, &oauthError{"invalid_grant", "another code_verifier"}
	}
	return s.answer(code, "")
}

func (s *Server) redeemRefreshToken(client Client, token string) (map[string]any, *oauthError) {
	known, ok := s.refresh[token]
	if !ok || known.grant.clientID != client.ID || known.grant.family.revoked {
		return nil, &oauthError{"invalid_grant", "unknown refresh token"}
	}
	if known.used {
		known.grant.family.revoked = true
		return nil, &oauthError{"invalid_grant", "the refresh token was used before"}
	}
	known.used = !s.behavior.KeepRefreshToken
	return s.answer(known.grant, token)
}

// answer issues what a grant entitles to; presented is the refresh token that
// it was asked for with, empty at first.
func (s *Server) answer(g *grant, presented string) (map[string]any, *oauthError) {
	user, ok := s.users[g.login.username]
	if !ok {
		return nil, &oauthError{"invalid_grant", "the user is gone"}
	}
	refreshed := presented != ""
	access := secret("access")
	s.access[access] = &grant{
		authRequest: g.authRequest, login: g.login, family: g.family, expires: s.now().Add(s.lifetime),
	}
	out := map[string]any{
		"access_token": access,
		"token_type":   "Bearer",
		"expires_in":   int(s.lifetime.Seconds()),
		"scope":        strings.Join(g.scopes, " "),
	}
	if !s.behavior.NoIDToken && (!refreshed || !s.behavior.NoIDTokenOnRefresh) {
		typ := s.behavior.Type
		if typ == "" {
			typ = "JWT"
		}
		idToken, err := s.sign(s.idClaims(g, user, access, refreshed), typ)
		if err != nil {
			return nil, &oauthError{"server_error", err.Error()}
		}
		out["id_token"] = idToken
	}
	if slices.Contains(g.scopes, "offline_access") && (!refreshed || !s.behavior.KeepRefreshToken) {
		next := secret("refresh")
		s.refresh[next] = &refreshToken{grant: g}
		out["refresh_token"] = next
	}
	return out, nil
}

func (s *Server) idClaims(g *grant, user User, access string, refreshed bool) map[string]any {
	hash := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss":       s.issuer,
		"sub":       user.subject(),
		"aud":       g.clientID,
		"exp":       s.now().Add(s.lifetime).Unix(),
		"iat":       s.now().Unix(),
		"auth_time": g.login.at.Unix(),
		"sid":       g.login.sid,
		"at_hash":   base64.RawURLEncoding.EncodeToString(hash[:16]),
	}
	if g.nonce != "" && (!refreshed || s.behavior.NonceOnRefresh) {
		claims["nonce"] = g.nonce
	}
	return replace(claims, profile(g, user), user.Claims, s.behavior.Claims)
}

// profile is what the granted scopes tell about a user.
func profile(g *grant, user User) map[string]any {
	claims := map[string]any{}
	if user.Email != "" && slices.Contains(g.scopes, "email") {
		claims["email"], claims["email_verified"] = user.Email, true
	}
	if user.Name != "" && slices.Contains(g.scopes, "profile") {
		claims["name"] = user.Name
	}
	if len(user.Groups) > 0 {
		claims["groups"] = user.Groups
	}
	return claims
}

func (s *Server) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	known := s.access[token]
	var answer map[string]any
	if ok && known != nil && !known.family.revoked && s.now().Before(known.expires) {
		user := s.users[known.login.username]
		answer = replace(map[string]any{"sub": user.subject()}, profile(known, user), user.UserInfo)
	}
	s.mu.Unlock()
	if answer == nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "unknown access token", http.StatusUnauthorized)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}
