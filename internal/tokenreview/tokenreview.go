// Package tokenreview answers the token reviews of a Kubernetes API server: it
// has a token verified, has the identity mapped to a user, and says the one or
// the other in the way that the API server treats best.
//
// How tokens are verified and identities mapped is left to the two interfaces
// that it declares. It promises bounded memory whatever it is sent, and an
// answer that never tells the reason of a refusal; that stands in the log.
package tokenreview

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// Verifier proves who made a token. Its errors are those of ekstoken; every
// other error means that it cannot tell now.
type Verifier interface {
	Verify(ctx context.Context, token string) (ekstoken.Identity, error)
}

// Mapper says as which user an identity is let in: username and groups, the
// other fields are not looked at. An error with the method Temporary that says
// true means that it cannot tell now; every other one, that it is not let in.
type Mapper interface {
	Map(ctx context.Context, id ekstoken.Identity) (authenticationv1.UserInfo, error)
}

// Config says what a handler works with.
type Config struct {
	Verifier Verifier
	Mapper   Mapper
	Metrics  *Metrics
	// Log takes one line for each review. Default: none.
	Log logr.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// ScrubbedAccounts are accounts whose identities stay out of the log and
	// out of the answer beside username and groups. Usernames, groups and
	// reasons that hold the account or the identity's ids stay out of the log.
	ScrubbedAccounts []string
	// MaxInFlight is how many reviews are worked on at once; what comes beyond
	// is answered with 503. Default 512.
	MaxInFlight int
	// MaxRemembered is how many identities, and how many refused tokens, are
	// remembered at most. Default 4,096.
	MaxRemembered int
}

const (
	// maxBody is the largest body that is read.
	maxBody = 1 << 20
	// smallBody is what an honest review fits into; larger bodies are read one
	// at a time, so that many of them take no memory.
	smallBody = 32 << 10
	// firstPart is what is set aside for a body before anything of it is there:
	// most fit into it, and what a request takes beside its body is about as much.
	firstPart = 8 << 10
	// maxBodies is what the small parts of all bodies that are being read may
	// take together; a request beyond is answered with 503. Honest bodies
	// are there within milliseconds.
	maxBodies = 16 << 20

	// keepIdentity is how long the identity of a token is kept that was
	// verified but not mapped: its next try, once it is mapped, needs no STS.
	keepIdentity = 30 * time.Second
	// keepUnknownKey is how long STS is not asked again about an access key
	// that it did not know. New keys take seconds to be known everywhere.
	keepUnknownKey = 2 * time.Second
)

// Handler answers POST /authenticate. Make it with New.
type Handler struct {
	config   Config
	scrubbed map[string]bool
	flights  chan struct{}
	large    chan struct{}
	bodies   budget
	// verified are identities that nobody maps yet, unknown the tokens whose
	// key STS does not know yet.
	verified *memory[ekstoken.Identity]
	unknown  *memory[struct{}]
}

// New returns a handler.
func New(c Config) *Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 512
	}
	if c.MaxRemembered == 0 {
		c.MaxRemembered = 4096
	}
	h := &Handler{
		config:   c,
		scrubbed: map[string]bool{},
		flights:  make(chan struct{}, c.MaxInFlight),
		large:    make(chan struct{}, 1),
		verified: newMemory[ekstoken.Identity](c.MaxRemembered, keepIdentity),
		unknown:  newMemory[struct{}](c.MaxRemembered, keepUnknownKey),
	}
	h.bodies.left.Store(maxBodies)
	for _, id := range c.ScrubbedAccounts {
		h.scrubbed[id] = true
	}
	return h
}

// ServeHTTP answers one review.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := h.config.Now()
	rec := record{client: r.RemoteAddr}
	h.serve(w, r, &rec)
	h.config.Metrics.observe(rec.outcome, h.config.Now().Sub(began))
	rec.log(h.config.Log)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, rec *record) {
	req, err := h.read(w, r)
	if err != nil {
		rec.outcome, rec.reason = malformed, err.Error()
		if err.status == http.StatusServiceUnavailable {
			rec.outcome = busy
			w.Header().Set("Connection", "close")
		}
		http.Error(w, http.StatusText(err.status), err.status)
		return
	}
	// Only now: a request whose body never comes must take nobody's place.
	select {
	case h.flights <- struct{}{}:
		defer func() { <-h.flights }() // after a panic, too
		h.review(r.Context(), req.Spec.Token, rec)
	default:
		w.Header().Set("Connection", "close")
		rec.outcome, rec.reason = busy, "too many reviews at once"
	}
	write(w, req.APIVersion, *rec)
}

// review fills the record with what is to be said about a token.
func (h *Handler) review(ctx context.Context, token string, rec *record) {
	now, key := h.config.Now(), keyOf(token)
	if _, ok := h.unknown.get(key, now); ok {
		rec.outcome, rec.reason = stsRefusal, "STS did not know the access key a moment ago"
		return
	}
	id, known := h.verified.get(key, now)
	if !known {
		var err error
		if id, err = h.config.Verifier.Verify(ctx, token); err != nil {
			rec.outcome, rec.reason = outcomeOf(err), err.Error()
			if unknownKey(err) {
				h.unknown.put(key, struct{}{}, h.config.Now())
			}
			return
		}
	}
	rec.identify(id, h.scrubbed[id.AccountID])
	user, err := h.config.Mapper.Map(ctx, id)
	if err != nil {
		rec.outcome, rec.reason = unmapped, err.Error()
		if temporary(err) {
			rec.outcome = unready
		}
		if !known {
			h.verified.put(key, id, h.config.Now())
		}
		return
	}
	h.verified.drop(key)
	rec.outcome = success
	rec.admit(user.Username, user.Groups)
}
