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
	server   *Server
	name     string // before the colon in the names of actions in policies
	version  string
	actions  map[string]action
	unsigned map[string]unsigned
	form     answerForm
}

// unsigned prepares a call that needs no signature, before the server's lock is
// taken; what it returns carries the call out. A signature is not looked at.
type unsigned func(*request, params) action

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
	caller  *identity // nil: the action needs no signature
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
	s, name := q.server, p.get("Action")
	do, known := q.actions[name]
	prepare, open := q.unsigned[name]
	if open {
		do, known = prepare(req, p), true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known {
		s.calls[name]++
	}
	var caller *identity
	if !open {
		var err error
		if caller, err = s.authenticate(req); err != nil {
			return "", nil, err
		}
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
	c := &call{server: s, account: s.accounts[s.home], caller: caller, params: p, now: req.now, requestID: req.id}
	if caller != nil {
		c.account = caller.account
	}
	c.accountID = c.account.id
	if interrupted, err := c.suffer(s.strike(name)); err != nil || interrupted {
		return c.effect, nil, err
	}
	if err := c.authorize(q.name + ":" + name); err != nil {
		return c.effect, nil, err
	}
	result, err := do(c)
	if err == nil && q.name == "iam" {
		s.record(iamChange{account: c.account, caller: caller, action: name, params: p, now: req.now})
	}
	return c.effect, result, err
}

// suffer takes in what a fault does to the call, if there is one.
func (c *call) suffer(f *activeFault) (interrupted bool, err error) {
	if f == nil {
		return false, nil
	}
	c.effect = f.Effect
	if f.Effect == OtherAccount {
		c.accountID = f.accountID()
	}
	return f.Effect.interrupts(), f.Effect.refusal()
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
