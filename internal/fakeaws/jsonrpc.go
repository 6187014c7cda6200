package fakeaws

import (
	"context"
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

// rpcRefusal is how a service names its refusals.
type rpcRefusal struct {
	shapes string // namespace of the shapes of errors
	// query gives the code that clients of the query protocol know an error
	// by, which the header x-amzn-query-error tells; "" is the code itself.
	query map[string]string
}

// jsonCall is one authenticated call.
type jsonCall struct {
	call
	jsonBody
	host string // as the client wrote it
	// more is what a call that found nothing waits for; nil: it is answered.
	more   <-chan struct{}
	pause  time.Duration // when to look again at the latest
	waited time.Duration // since the call came
}

func (j *jsonService) owns(req *request) bool {
	return strings.HasPrefix(req.Header.Get("X-Amz-Target"), j.target+".")
}

func (j *jsonService) serve(w http.ResponseWriter, req *request) {
	effect, result, err := j.perform(req)
	if effect.interrupt(req) {
		return
	}
	j.form.answer(w, result, err)
}

// perform authenticates and carries out, which for a call that waits it does
// again and again. A fault strikes once, after authentication.
func (j *jsonService) perform(req *request) (Effect, any, error) {
	c, do, err := j.admit(req)
	if err != nil || c.effect.interrupts() {
		return c.effect, nil, err
	}
	for came := time.Now(); ; c.waited = time.Since(came) {
		result, err := j.attempt(c, do)
		if err != nil || c.more == nil || !c.await(req.Context()) {
			return c.effect, result, err
		}
	}
}

func (j *jsonService) admit(req *request) (*jsonCall, jsonAction, error) {
	j.server.mu.Lock()
	defer j.server.mu.Unlock()

	action := strings.TrimPrefix(req.Header.Get("X-Amz-Target"), j.target+".")
	do, known := j.actions[action]
	if !known {
		action = ""
	}
	c, err := j.server.admit(req, action,
		&Error{Code: "UnknownOperationException", Message: "Unknown operation.", Status: http.StatusBadRequest})
	return &jsonCall{call: c, jsonBody: req.body, host: req.Host}, do, err
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

func (r rpcRefusal) fields(header http.Header, e *Error) map[string]string {
	shape := r.shapes
	if strings.HasSuffix(e.Code, "Exception") {
		shape = "com.amazon.coral.service"
	}
	code := e.Code
	if q := r.query[code]; q != "" {
		code = q
	}
	header.Set("X-Amzn-Query-Error", strings.TrimSuffix(code, "Exception")+";"+e.blame())
	return map[string]string{"__type": shape + "#" + e.Code, "message": e.Message}
}
