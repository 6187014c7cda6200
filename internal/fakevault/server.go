// Package fakevault emulates the part of a Vault server that gives people IAM
// users for their OIDC login: the JWT auth method, the AWS secrets engine, and
// the tokens and leases between them. It is one http.Handler written from
// Vault's public HTTP API, so that tests, the demo and Vault's own client can
// use it in place of Vault.
//
// IAM users are really made and deleted, through the IAM API at the configured
// endpoint, with the calls that Vault makes in its order and under the names
// that Vault gives.
//
// What it leaves out: capabilities (a policy is a list of paths), everything but
// IAM users in the AWS engine, and storage: it forgets all when it ends. Roles and
// policies are configuration, not written through the API.
package fakevault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// Config says what a Server offers.
type Config struct {
	// IAM is where users are made. Required.
	IAM *iam.Client
	// Issuer is the OIDC issuer whose tokens the JWT auth method takes: its
	// discovery document is fetched at each login. Required.
	Issuer string
	// AuthMount and AWSMount are the mounts. Default jwt and aws.
	AuthMount, AWSMount string
	// Namespace must stand in X-Vault-Namespace, if it is not empty.
	Namespace string
	// AuthRoles are the roles of the JWT auth method.
	AuthRoles map[string]AuthRole
	// AWSRoles are the roles of the AWS secrets engine.
	AWSRoles map[string]AWSRole
	// Policies are the paths that each policy allows, such as aws/creds/dev; a
	// final * stands for anything. Every token has the policy default, too, which
	// allows to look up, renew and revoke oneself.
	Policies map[string][]string
	// HTTPClient fetches the issuer's keys. Default: one that gives up after five
	// seconds.
	HTTPClient *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// AuthRole is a role of the JWT auth method ("Create/Update role" in the HTTP
// API of Vault's JWT/OIDC auth method).
type AuthRole struct {
	// BoundAudiences holds at least one of the token's audiences. Empty: only
	// tokens without an audience are taken, as in Vault.
	BoundAudiences []string
	// BoundClaims are claims and the value that they must have.
	BoundClaims map[string]string
	// UserClaim names the person. Default sub.
	UserClaim string
	// Policies are those of the token.
	Policies []string
	// TokenTTL is how long the token lasts, and how long a renewal without a wish
	// makes it last. Default 768h.
	TokenTTL time.Duration
	// TokenMaxTTL is how long it lasts at most. Default 768h.
	TokenMaxTTL time.Duration
	// Batch makes tokens that cannot be renewed.
	Batch bool
}

// AWSRole is a role of the AWS secrets engine with credential_type iam_user.
type AWSRole struct {
	// UserPath is the path of its users. Default "/".
	UserPath string
	// PolicyARNs are the managed policies attached to each user.
	PolicyARNs []string
	// Groups are the IAM groups that each user is put into; they must exist.
	Groups []string
	// Tags are the tags of each user.
	Tags map[string]string
	// LeaseTTL is how long a user lasts. Default 768h.
	LeaseTTL time.Duration
}

// systemTTL is the default of default_lease_ttl and max_lease_ttl.
const systemTTL = 768 * time.Hour

// maxBody bounds a request.
const maxBody = 1 << 20

// Server is an emulated Vault. It is safe for concurrent use.
type Server struct {
	cfg Config

	ending sync.Mutex // held while users are deleted, one call after another

	mu     sync.Mutex // guards what follows; never held while IAM is called
	tokens map[string]*token
	leases map[string]*lease
}

// New returns a Server without tokens.
func New(cfg Config) *Server {
	if cfg.AuthMount == "" {
		cfg.AuthMount = "jwt"
	}
	if cfg.AWSMount == "" {
		cfg.AWSMount = "aws"
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 5 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{cfg: cfg, tokens: map[string]*token{}, leases: map[string]*lease{}}
}

// refusal is an error as Vault answers it.
type refusal struct {
	status  int
	reasons []string
}

func (r *refusal) Error() string { return strings.Join(r.reasons, "; ") }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, []string{fmt.Sprintf(format, args...)}}
}

func errForbidden() error {
	return &refusal{http.StatusForbidden, []string{"1 error occurred:\n\t* permission denied\n\n"}}
}

func errBadToken() error {
	return &refusal{http.StatusForbidden, []string{"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}}
}

// call is one request, and who sent it.
type call struct {
	context.Context //nolint:containedctx // a call lives as long as its request
	path            string
	body            map[string]any
	caller          *token
}

func (c *call) text(name string) string {
	v, _ := c.body[name].(string)
	return v
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.serve(w, r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	switch refused, known := errors.AsType[*refusal](err); {
	case known:
		status, answer = refused.status, map[string]any{"errors": refused.reasons}
	case err != nil:
		status, answer = http.StatusInternalServerError, map[string]any{"errors": []string{"1 error occurred:\n\t* " + err.Error() + "\n\n"}}
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) //nolint:errchkjson // the client may be gone
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return nil, &refusal{http.StatusNotFound, []string{}}
	}
	if path == "sys/health" {
		return map[string]any{"initialized": true, "sealed": false, "standby": false}, nil
	}
	if err := s.Expire(r.Context()); err != nil {
		return nil, err
	}
	if strings.Trim(r.Header.Get("X-Vault-Namespace"), "/") != s.cfg.Namespace {
		return nil, refuse(http.StatusNotFound, "no handler for route %q. route entry not found.", path)
	}
	c := &call{Context: r.Context(), path: path}
	if r.Method != http.MethodGet && r.Body != nil {
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&c.body)
		if err != nil && r.ContentLength != 0 {
			return nil, refuse(http.StatusBadRequest, "failed to parse JSON input: %v", err)
		}
	}
	do, public := s.route(r.Method, path)
	if do == nil {
		return nil, refuse(http.StatusNotFound, "no handler for route %q. route entry not found.", path)
	}
	if !public {
		var err error
		if c.caller, err = s.authenticate(r.Header.Get("X-Vault-Token"), path); err != nil {
			return nil, err
		}
	}
	return do(c)
}

// route chooses what answers a path. Vault takes PUT for POST everywhere.
func (s *Server) route(method, path string) (do func(*call) (any, error), public bool) {
	if method == http.MethodPut {
		method = http.MethodPost
	}
	switch method + " " + path {
	case "POST auth/" + s.cfg.AuthMount + "/login":
		return s.logIn, true
	case "GET auth/token/lookup-self":
		return s.lookUp, false
	case "POST auth/token/renew-self":
		return s.renew, false
	case "POST auth/token/revoke-self":
		return s.revokeSelf, false
	case "POST sys/leases/revoke":
		return s.revokeLease, false
	}
	if strings.HasPrefix(path, s.cfg.AWSMount+"/creds/") && method == http.MethodGet {
		return s.issue, false
	}
	return nil, false
}
