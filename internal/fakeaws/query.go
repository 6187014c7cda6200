package fakeaws

import (
	"mime"
	"net/http"
	"net/url"
	"time"
)

// queryService speaks AWS's query protocol: parameters in a form, answers in
// XML ("Query Requests" in the IAM API reference).
type queryService struct {
	server  *Server
	version string
	actions map[string]action
	form    answerForm
}

// answerForm writes answers as a service does.
type answerForm interface {
	// answer writes the result of an action, nil if it has none.
	answer(w http.ResponseWriter, req *request, action string, result any)
	refuse(http.ResponseWriter, *request, *Error)
}

// action carries out one call with the server's lock held. What it returns is
// written as the Result element, so it must be a copy; nil means that the
// action has no Result element.
type action func(*call) (any, error)

// call is one authenticated call of an action.
type call struct {
	server  *Server
	account *account
	caller  *identity
	params  params
	now     time.Time
	// accountID appears in the ARNs of the answer; only a fault makes it
	// differ from the account's.
	accountID string
	effect    Effect
	requestID string
}

func (q *queryService) owns(req *request) bool {
	p, err := parseParams(req)
	return err == nil && p.get("Version") == q.version
}

func (q *queryService) serve(w http.ResponseWriter, req *request) {
	p, err := parseParams(req)
	if err != nil {
		q.form.refuse(w, req, asError(err))
		return
	}
	effect, result, err := q.perform(req, p)
	if effect.interrupt(req) {
		return
	}
	if err != nil {
		q.form.refuse(w, req, asError(err))
		return
	}
	q.form.answer(w, req, p.get("Action"), result)
}

// perform authenticates and carries out. A fault strikes after authentication.
func (q *queryService) perform(req *request, p params) (Effect, any, error) {
	s := q.server
	s.mu.Lock()
	defer s.mu.Unlock()

	name := p.get("Action")
	do, known := q.actions[name]
	if known {
		s.calls[name]++
	}
	caller, err := s.authenticate(req)
	if err != nil {
		return "", nil, err
	}
	switch {
	case name == "":
		return "", nil, &Error{Code: "MissingAction", Message: "Missing Action", Status: http.StatusBadRequest}
	case !known || p.get("Version") != q.version:
		return "", nil, &Error{
			Code:    "InvalidAction",
			Message: "Could not find operation " + name + " for version " + p.get("Version"),
			Status:  http.StatusBadRequest,
		}
	}
	c := &call{server: s, account: caller.account, caller: caller, params: p, now: req.now, accountID: caller.account.id, requestID: req.id}
	if f := s.strike(name); f != nil {
		if err := f.Effect.refusal(); err != nil || f.Effect.interrupts() {
			return f.Effect, nil, err
		}
		c.effect = f.Effect
		if f.Effect == OtherAccount {
			c.accountID = f.accountID()
		}
	}
	result, err := do(c)
	return c.effect, result, err
}

// parseParams reads the parameters of query string and form. AWS takes each
// parameter once.
func parseParams(req *request) (params, error) {
	p, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, errMalformedQuery("The query string is malformed.")
	}
	if media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err == nil && media == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(req.body))
		if err != nil {
			return nil, errMalformedQuery("The form is malformed.")
		}
		for name, values := range form {
			p[name] = append(p[name], values...)
		}
	}
	for name, values := range p {
		if len(values) != 1 {
			return nil, errMalformedQuery("Parameter " + name + " is given more than once.")
		}
	}
	return params(p), nil
}
