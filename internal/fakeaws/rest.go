package fakeaws

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// restService speaks AWS's REST protocol in JSON: method and path name the
// action ("AWS restJson1 protocol" of the Smithy specification).
type restService struct {
	server *Server
	roots  []string // first segments of its paths
	routes []restRoute
}

// restRoute is where an action is found. Each {} of its path takes one segment,
// decoded.
type restRoute struct {
	method, path, action string
	do                   restAction
}

// restAction carries out one call with the server's lock held. What it returns
// is written as JSON, so it must be a copy.
type restAction func(*restCall) (any, error)

// restCall is one authenticated call; the parameters are those of the query.
type restCall struct {
	call
	labels []string // of the path
	body   []byte
	region string
}

// seconds is a time in an answer: seconds since 1970, with milliseconds.
type seconds time.Time

// MarshalJSON writes a number.
func (s seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(time.Time(s).UnixMilli()) / 1000)
}

func (r *restService) owns(req *request) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(req.URL.EscapedPath(), "/"), "/")
	return slices.Contains(r.roots, first)
}

func (r *restService) serve(w http.ResponseWriter, req *request) {
	effect, result, err := r.perform(req)
	if effect.interrupt(req) {
		return
	}
	if err != nil {
		r.refuse(w, asError(err))
		return
	}
	body, err := json.Marshal(result)
	if err != nil {
		r.refuse(w, asError(err))
		return
	}
	writeBody(w, http.StatusOK, "application/json", body)
}

// refuse writes the code into a header and the message into the body.
func (r *restService) refuse(w http.ResponseWriter, e *Error) {
	e = worded(e)
	w.Header().Set("X-Amzn-Errortype", e.Code)
	body, err := json.Marshal(map[string]string{"message": e.Message})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	writeBody(w, e.Status, "application/json", body)
}

// worded is a refusal that is common to all services in the words of those
// that speak JSON; see "Common Errors" in the Amazon EKS API reference.
func worded(e *Error) *Error {
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
		return &Error{"ThrottlingException", e.Message, http.StatusTooManyRequests}
	case "ServiceFailure":
		return &Error{"ServerException", e.Message, http.StatusInternalServerError}
	case "ServiceUnavailable":
		return &Error{"ServiceUnavailableException", e.Message, http.StatusServiceUnavailable}
	case "ValidationError":
		return &Error{"InvalidParameterException", e.Message, http.StatusBadRequest}
	default:
		return e
	}
}

// perform authenticates and carries out. A fault strikes after authentication.
func (r *restService) perform(req *request) (Effect, any, error) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()

	route, labels := r.find(req)
	if route != nil {
		s.calls[route.action]++
	}
	caller, err := s.authenticate(req)
	if err != nil {
		return "", nil, err
	}
	if route == nil {
		return "", nil, &Error{Code: "UnknownOperationException", Message: "No operation is at this path.", Status: http.StatusNotFound}
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return "", nil, errValidation("The query string is malformed.")
	}
	c := &restCall{
		call: call{
			server: s, account: caller.account, caller: caller, params: params(query), now: req.now,
			accountID: caller.account.id, requestID: req.id,
		},
		labels: labels, body: req.body, region: req.signature.region,
	}
	if f := s.strike(route.action); f != nil {
		if err := f.Effect.refusal(); err != nil || f.Effect.interrupts() {
			return f.Effect, nil, err
		}
		c.effect = f.Effect
		if f.Effect == OtherAccount {
			c.accountID = f.accountID()
		}
	}
	result, err := route.do(c)
	return c.effect, result, err
}

func (r *restService) find(req *request) (*restRoute, []string) {
	segments := strings.Split(strings.TrimPrefix(req.URL.EscapedPath(), "/"), "/")
	for i := range r.routes {
		if labels, ok := r.routes[i].match(req.Method, segments); ok {
			return &r.routes[i], labels
		}
	}
	return nil, nil
}

func (r *restRoute) match(method string, segments []string) (labels []string, ok bool) {
	pattern := strings.Split(strings.TrimPrefix(r.path, "/"), "/")
	if method != r.method || len(pattern) != len(segments) {
		return nil, false
	}
	for i, p := range pattern {
		if p != "{}" {
			if p != segments[i] {
				return nil, false
			}
			continue
		}
		label, err := url.PathUnescape(segments[i])
		if err != nil || label == "" {
			return nil, false
		}
		labels = append(labels, label)
	}
	return labels, true
}

// read reads the body, which may be empty.
func (c *restCall) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return &Error{Code: "SerializationException", Message: "The body is not the JSON that was expected.", Status: http.StatusBadRequest}
	}
	return nil
}

// page cuts out the page that maxResults and nextToken ask for; the items are
// sorted. next is nil on the last page.
func (c *restCall) page(items []string, limit int) (list []string, next *string, err error) {
	size, err := c.params.integer("maxResults", limit, 1, limit)
	if err != nil {
		return nil, nil, err
	}
	token := c.params.get("nextToken")
	last, err := decodeMarker(token)
	if err != nil {
		return nil, nil, errValidation("The specified nextToken is invalid.")
	}
	list, p := cut(items, func(s string) string { return s }, position{size: size, marker: token, last: last}, c.effect)
	if p.Marker != "" {
		next = &p.Marker
	}
	return append([]string{}, list...), next, nil
}
