// Package fakeaws emulates the AWS services that a cluster's access depends
// on, as one http.Handler written from AWS's public wire protocol, so that
// tests, the demo, the AWS CLI, the AWS SDKs and Vault can use it in place of
// AWS.
//
// It serves IAM (2010-05-08), STS (2011-06-15), DescribeInstances of EC2
// (2016-11-15), the access entries of EKS (2017-11-01) and queues of SQS
// (2012-11-05, in JSON), into which it can send the events of IAM's changes, on
// one address; the service is taken from the credential scope of the request's
// signature. Signatures are verified for real, in the Authorization header and
// in the query of a presigned request, over the Host
// header that was sent: who dials the emulator but keeps AWS's host is answered
// as by that host. IAM names are unique and found without regard to case, and
// listed in that order.
//
// AssumeRoleWithWebIdentity verifies the ID token with the keys that the issuer
// publishes, which must be registered as OpenID Connect provider.
//
// What it leaves out: it does not evaluate identity policies, so whoever signs
// correctly may call every action; the only policies that it looks at are the
// trust policies of roles and the policies passed for a session. The issuer of a
// provider may be plain HTTP on a loopback address and have a port, its
// certificate is not held to the thumbprints, and its keys are fetched anew for
// each token. Any region is accepted in the credential scope unless
// the Host header names an endpoint of AWS. Every account is in the partition
// aws. Managed policies need not exist to be attached. Quotas on the number of
// users, groups and roles are not enforced. A role may be made under
// /aws-reserved/, which AWS keeps for itself.
//
// A Server is safe for concurrent use. It trusts nobody but is not hardened
// for the open network: serve it on a loopback address.
package fakeaws

import (
	crand "crypto/rand"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// DefaultAccountID is the account that a Server has if Config names none.
const DefaultAccountID = "123456789012"

// maxBody bounds a request's body; the largest legal IAM request is far smaller.
const maxBody = 1 << 20

// Config says what a new Server starts with.
type Config struct {
	// AccountID is the account's number, 12 digits. Default DefaultAccountID.
	AccountID string
	// AccessKeyID and SecretAccessKey are a key that works from the start.
	// If AccessKeyID is empty there is none, and nobody gets in until
	// Server.CreateAccessKey has made one.
	AccessKeyID     string
	SecretAccessKey string
	// AdminUser names the IAM user that the key above belongs to; it is made
	// at the start, so it appears in listings. If it is empty the key belongs
	// to the account's root, which, as in AWS, cannot assume roles.
	AdminUser string
	// HTTPClient fetches the keys of OpenID Connect providers. Default: a client
	// of its own that gives up after five seconds.
	HTTPClient *http.Client
	// Now is the clock of signatures, dates and lags. Default time.Now.
	Now func() time.Time
	// Events says where events of IAM's changes go. Default: nowhere.
	Events EventRule
	// Random feeds ids, secrets and request ids; calls to it are serialized.
	// Default: seeded from the operating system.
	Random rand.Source
}

// Server is an emulated AWS: an http.Handler and the state behind it.
type Server struct {
	now      func() time.Time
	fetcher  *http.Client
	home     string // the account that the Go methods work on
	services map[string]service

	mu       sync.Mutex // guards everything below
	ids      idSource
	ring     *keyring
	accounts map[string]*account
	faults   []*activeFault
	events   EventRule
	calls    map[string]int
}

// service answers the requests of one AWS service.
type service interface {
	// owns tells whether an unsigned or misaddressed request means this service.
	owns(*request) bool
	// serve answers a request, whose signature may still be missing or wrong.
	serve(http.ResponseWriter, *request)
}

// request is one HTTP request on its way to a service.
type request struct {
	*http.Request
	id        string
	now       time.Time
	body      []byte
	signature *signature // nil: none was sent
}

// New returns a Server with one account.
func New(cfg Config) *Server {
	if cfg.AccountID == "" {
		cfg.AccountID = DefaultAccountID
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: fetchTime}
	}
	if cfg.Random == nil {
		var seed [32]byte
		_, _ = crand.Read(seed[:]) // never returns an error
		cfg.Random = rand.NewChaCha8(seed)
	}
	s := &Server{
		now:      cfg.Now,
		fetcher:  cfg.HTTPClient,
		home:     cfg.AccountID,
		ids:      idSource{cfg.Random},
		ring:     newKeyring(),
		accounts: map[string]*account{},
		calls:    map[string]int{},
	}
	s.services = map[string]service{
		"iam": iamService(s), "sts": stsService(s), "ec2": ec2Service(s), "eks": eksService(s), "sqs": sqsService(s),
	}
	home := s.addAccount(cfg.AccountID)
	home.seed(cfg)
	s.SendEvents(cfg.Events)
	return s
}

func (s *Server) addAccount(id string) *account {
	a := newAccount(id, s.now().UTC(), s.ids, s.ring)
	s.accounts[id] = a
	return a
}

// ServeHTTP answers one request of any of the services.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &request{Request: r, now: s.now().UTC()}
	s.mu.Lock()
	req.id = s.ids.uuid()
	s.mu.Unlock()
	w.Header().Set("Date", req.now.Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", req.id)

	svc, err := s.route(w, req)
	if err != nil {
		xmlOrJSON{}.refuse(w, req, asError(err))
		return
	}
	svc.serve(w, req)
}

// route reads the request as far as every service needs it and chooses one.
func (s *Server) route(w http.ResponseWriter, req *request) (service, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodPost && !removes(req) {
		w.Header().Set("Allow", "GET, POST")
		return nil, &Error{Code: "MethodNotAllowed", Message: "Use GET or POST.", Status: http.StatusMethodNotAllowed}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		return nil, bodyError(err)
	}
	req.body = body
	if req.signature, err = parseSignature(req.Request); err != nil {
		return nil, err
	}
	return s.serviceFor(req)
}

// removes tells whether the request is a DELETE at a path of EKS.
func removes(req *request) bool {
	return req.Method == http.MethodDelete && strings.HasPrefix(req.URL.Path, "/clusters/")
}

// serviceFor takes the service from the credential scope. Without a signature
// the parameters tell, so that the refusal has that service's form.
func (s *Server) serviceFor(req *request) (service, error) {
	if req.signature != nil {
		if svc, ok := s.services[req.signature.service]; ok {
			return svc, nil
		}
		return nil, errSignature("Credential should be scoped to a service of this endpoint, not '" + req.signature.service + "'.")
	}
	for _, svc := range s.services {
		if svc.owns(req) {
			return svc, nil
		}
	}
	return nil, errMissingToken()
}

func bodyError(err error) *Error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Code: "RequestEntityTooLarge", Message: "The request is too large.", Status: http.StatusRequestEntityTooLarge}
	}
	return &Error{Code: "IncompleteBody", Message: "The body ended early.", Status: http.StatusBadRequest}
}
