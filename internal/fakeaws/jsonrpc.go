package fakeaws

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// jsonService speaks AWS's JSON protocol: the action stands in the header
// X-Amz-Target, parameters and result in the body ("AWS JSON 1.0 protocol" of
// the Smithy specification).
type jsonService struct {
	server  *Server
	target  string // before the action in X-Amz-Target
	actions map[string]jsonAction
	form    jsonForm
}

// jsonAction carries out one call with the server's lock held. What it returns
// is written as JSON, so it must be a copy.
type jsonAction func(*jsonCall) (any, error)

// jsonForm is how a service words its refusals.
type jsonForm struct {
	shapes string // namespace of the shapes of errors
	// query gives the code that clients of the query protocol know an error
	// by, which the header x-amzn-query-error tells; "" is the code itself.
	query map[string]string
}

// jsonCall is one authenticated call.
type jsonCall struct {
	call
	host string // as the client wrote it
	body []byte
	// more is what a call that found nothing waits for; nil: it is answered.
	more   <-chan struct{}
	pause  time.Duration // when to look again at the latest
	waited time.Duration // since the call came
}

func (c *jsonCall) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return &Error{Code: "SerializationException", Message: "The request is malformed.", Status: http.StatusBadRequest}
	}
	return nil
}

func (j *jsonService) owns(req *request) bool {
	return strings.HasPrefix(req.Header.Get("X-Amz-Target"), j.target+".")
}

func (j *jsonService) serve(w http.ResponseWriter, req *request) {
	effect, result, err := j.perform(req)
	if effect.interrupt(req) {
		return
	}
	var body []byte
	if err == nil {
		body, err = json.Marshal(result)
	}
	if err != nil {
		j.form.refuse(w, req, asError(err))
		return
	}
	writeBody(w, http.StatusOK, "application/x-amz-json-1.0", body)
}

// perform authenticates and carries out, which for a call that waits it does
// again and again. A fault strikes once, after authentication.
func (j *jsonService) perform(req *request) (Effect, any, error) {
	c, do, effect, err := j.admit(req)
	if err != nil || effect.interrupts() {
		return effect, nil, err
	}
	for came := time.Now(); ; c.waited = time.Since(came) {
		result, err := j.attempt(c, do)
		if err != nil || c.more == nil || !c.await(req.Context()) {
			return effect, result, err
		}
	}
}

func (j *jsonService) admit(req *request) (*jsonCall, jsonAction, Effect, error) {
	s := j.server
	s.mu.Lock()
	defer s.mu.Unlock()

	name := strings.TrimPrefix(req.Header.Get("X-Amz-Target"), j.target+".")
	do, known := j.actions[name]
	if known {
		s.calls[name]++
	}
	caller, err := s.authenticate(req)
	if err != nil {
		return nil, nil, "", err
	}
	if !known {
		return nil, nil, "", &Error{Code: "UnknownOperationException", Message: "Unknown operation.", Status: http.StatusBadRequest}
	}
	c := &jsonCall{host: req.Host, body: req.body, call: call{
		server: s, account: caller.account, caller: caller, now: req.now, accountID: caller.account.id, requestID: req.id,
	}}
	if f := s.strike(name); f != nil {
		c.effect = f.Effect
		return c, do, f.Effect, f.Effect.refusal()
	}
	return c, do, "", nil
}

func (j *jsonService) attempt(c *jsonCall, do jsonAction) (any, error) {
	j.server.mu.Lock()
	defer j.server.mu.Unlock()
	c.now, c.more = j.server.now().UTC(), nil
	return do(c)
}

// await waits for what the call waits for, and tells whether to try again.
func (c *jsonCall) await(ctx context.Context) bool {
	timer := time.NewTimer(c.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-c.more:
		return true
	}
}

func (f jsonForm) refuse(w http.ResponseWriter, req *request, e *Error) {
	e = f.worded(e)
	shape := f.shapes
	if strings.HasSuffix(e.Code, "Exception") {
		shape = "com.amazon.coral.service"
	}
	code := e.Code
	if q := f.query[code]; q != "" {
		code = q
	}
	w.Header().Set("X-Amzn-Query-Error", strings.TrimSuffix(code, "Exception")+";"+e.blame())
	body, err := json.Marshal(map[string]string{"__type": shape + "#" + e.Code, "message": e.Message})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Amzn-Requestid", req.id)
	writeBody(w, e.Status, "application/x-amz-json-1.0", body)
}

// worded is a refusal that is common to all services in the words of those
// that speak JSON; see "Common error types" in the Amazon SQS API reference.
func (jsonForm) worded(e *Error) *Error {
	switch e.Code {
	case "InvalidClientTokenId":
		return &Error{"UnrecognizedClientException", e.Message, http.StatusForbidden}
	case "SignatureDoesNotMatch":
		return &Error{"InvalidSignatureException", e.Message, http.StatusForbidden}
	case "MissingAuthenticationToken", "IncompleteSignature", "ExpiredToken":
		return &Error{e.Code + "Exception", e.Message, http.StatusForbidden}
	case "AccessDenied":
		return &Error{"AccessDeniedException", e.Message, http.StatusForbidden}
	case "Throttling":
		return &Error{"RequestThrottled", e.Message, http.StatusBadRequest}
	case "ServiceFailure":
		return &Error{"InternalFailure", e.Message, http.StatusInternalServerError}
	default:
		return e
	}
}
