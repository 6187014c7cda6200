// Package fakeidp is a scriptable OpenID provider with a login page for people,
// as one http.Handler written from the public specifications, so that tests, a
// browser and the demo can log in with it as with a real one.
//
// It serves discovery (OpenID Connect Discovery 1.0), the code flow with PKCE
// S256, which it enforces (RFC 7636), the iss parameter (RFC 9207), refresh
// tokens with rotation and reuse detection, userinfo, end_session (OpenID
// Connect RP-Initiated Logout 1.0) and sends back-channel logout tokens (OpenID
// Connect Back-Channel Logout 1.0). Behavior makes it do what a provider must
// not do, or be down.
//
// What it leaves out: passwords (whoever knows a user name is that user),
// consent, the implicit and hybrid flows, dynamic registration. Nothing is
// stored. It is safe for concurrent use and not hardened for the open network:
// serve it on a loopback address.
package fakeidp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The endpoints, as Calls and Behavior.Fail name them.
const (
	Discovery  = "discovery"
	JWKS       = "jwks"
	Authorize  = "authorize"
	SignInForm = "sign-in"
	Token      = "token"
	UserInfo   = "userinfo"
	EndSession = "end-session"
)

// codeLifetime is how long a code may be redeemed.
const codeLifetime = time.Minute

// maxBody bounds the body of a request.
const maxBody = 1 << 16

// Config says what a new Server starts with.
type Config struct {
	// Issuer is the address that it is served at, without a slash at the end;
	// it may have a path. It can be set later, see Server.SetIssuer.
	Issuer string
	// Name stands on the login page. Default "Example Identity".
	Name string
	// Clients may log people in, Users are the people.
	Clients []Client
	Users   []User
	// Algorithm signs: RS256 or ES256. Default RS256.
	Algorithm string
	// Lifetime is how long ID and access tokens are good. Default 1h.
	Lifetime time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// HTTPClient sends logout tokens. Default: one with a timeout of 10s.
	HTTPClient *http.Client
}

// Client is a relying party.
type Client struct {
	ID string
	// Secret is empty for a public client.
	Secret string
	// AuthMethod is the only way that the client may prove itself at the token
	// endpoint: client_secret_basic or client_secret_post. Default: either.
	AuthMethod string
	// RedirectURIs and PostLogoutRedirectURIs are compared whole. An empty list
	// lets every address through.
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	// BackchannelLogoutURI takes logout tokens. Default: none are sent.
	BackchannelLogoutURI string
}

// User is a person with an account.
type User struct {
	// Username is what is typed on the login page.
	Username string
	// Subject is the sub claim. Default: Username.
	Subject string
	// Email, with email_verified true, Name and Groups are claims. Empty: left out.
	Email  string
	Name   string
	Groups []string
	// Claims replace claims of the ID token, UserInfo those of the userinfo
	// answer; the value nil takes the claim out.
	Claims   map[string]any
	UserInfo map[string]any
}

func (u User) subject() string {
	if u.Subject == "" {
		return u.Username
	}
	return u.Subject
}

// Server is the provider: an http.Handler and the state behind it.
type Server struct {
	name     string
	lifetime time.Duration
	now      func() time.Time
	client   *http.Client

	mu       sync.Mutex // guards everything below
	issuer   string
	clients  map[string]Client
	users    map[string]User
	behavior Behavior
	ring     keyring
	asked    map[string]authRequest // login pages that are shown, by their id
	codes    map[string]*grant
	sessions map[string]*login // by cookie
	access   map[string]*grant
	refresh  map[string]*refreshToken
	calls    map[string]int
}

// New returns a provider. The error speaks of Config.
func New(config Config) (*Server, error) {
	s := &Server{
		name:     config.Name,
		lifetime: config.Lifetime,
		now:      config.Now,
		client:   config.HTTPClient,
		issuer:   strings.TrimSuffix(config.Issuer, "/"),
		clients:  map[string]Client{},
		users:    map[string]User{},
		asked:    map[string]authRequest{},
		codes:    map[string]*grant{},
		sessions: map[string]*login{},
		access:   map[string]*grant{},
		refresh:  map[string]*refreshToken{},
		calls:    map[string]int{},
	}
	if s.name == "" {
		s.name = "Example Identity"
	}
	if s.lifetime == 0 {
		s.lifetime = time.Hour
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.client == nil {
		s.client = &http.Client{Timeout: 10 * time.Second}
	}
	for _, client := range config.Clients {
		if client.ID == "" {
			return nil, errors.New("a client has no ID")
		}
		s.clients[client.ID] = client
	}
	for _, user := range config.Users {
		if user.Username == "" {
			return nil, errors.New("a user has no name")
		}
		s.users[user.Username] = user
	}
	if err := s.RotateKey(config.Algorithm); err != nil {
		return nil, err
	}
	return s, nil
}

// Issuer returns the address that tokens name as their issuer; empty if unset.
func (s *Server) Issuer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issuer
}

// SetIssuer says where the server is served: what httptest knows only later.
func (s *Server) SetIssuer(issuer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issuer = strings.TrimSuffix(issuer, "/")
}

// SetClient adds a client, or replaces the one of the same ID.
func (s *Server) SetClient(client Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[client.ID] = client
}

// SetUser adds a user, or replaces the one of the same name; what was logged in
// stays logged in and gets the new claims at its next refresh.
func (s *Server) SetUser(user User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[user.Username] = user
}

// Calls says how many requests each endpoint has had.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, handle := s.route(r)
	if handle == nil {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if status := s.disturb(r, name); status != 0 {
		http.Error(w, "scripted trouble", status)
		return
	}
	handle(w, r)
}

// route finds who answers a request, by its path below the issuer's.
func (s *Server) route(r *http.Request) (string, http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issuer == "" {
		s.issuer = "http://" + r.Host
	}
	path := r.URL.Path
	if issuer, err := url.Parse(s.issuer); err == nil {
		path = strings.TrimPrefix(path, issuer.Path)
	}
	switch path {
	case "/.well-known/openid-configuration":
		return Discovery, s.serveDiscovery
	case "/keys":
		return JWKS, s.serveKeys
	case "/authorize":
		return Authorize, s.serveAuthorize
	case "/sign-in":
		return SignInForm, s.serveSignIn
	case "/token":
		return Token, s.serveToken
	case "/userinfo":
		return UserInfo, s.serveUserInfo
	case "/end-session":
		return EndSession, s.serveEndSession
	}
	return "", nil
}

// secret returns a new unguessable value; what says what for, to tell them apart.
func secret(what string) string {
	return fmt.Sprintf("%s-%s", what, rand.Text())
}
