package fakeaws

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// restService speaks AWS's REST protocol in JSON: method and path name the
// action ("AWS restJson1 protocol" of the Smithy specification).
type restService struct {
	server *Server
	roots  []string // first segments of its paths
	routes []restRoute
	form   jsonForm
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
	jsonBody
	labels []string // of the path
	region string
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
	r.form.answer(w, result, err)
}

// restRefusal puts the code of a refusal into a header.
func restRefusal(header http.Header, e *Error) map[string]string {
	header.Set("X-Amzn-Errortype", e.Code)
	return map[string]string{"message": e.Message}
}

// perform authenticates and carries out. A fault strikes after authentication.
func (r *restService) perform(req *request) (Effect, any, error) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()

	route, labels := r.find(req)
	c, err := r.server.admit(req, route.action,
		&Error{Code: "UnknownOperationException", Message: "No operation is at this path.", Status: http.StatusNotFound})
	if err != nil || c.effect.interrupts() {
		return c.effect, nil, err
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return "", nil, errValidation("The query string is malformed.")
	}
	c.params = params(query)
	result, err := route.do(&restCall{call: c, jsonBody: req.body, labels: labels, region: req.signature.region})
	return c.effect, result, err
}

// find returns the zero route where there is none.
func (r *restService) find(req *request) (restRoute, []string) {
	segments := strings.Split(strings.TrimPrefix(req.URL.EscapedPath(), "/"), "/")
	for _, route := range r.routes {
		if labels, ok := route.match(req.Method, segments); ok {
			return route, labels
		}
	}
	return restRoute{}, nil
}

func (r restRoute) match(method string, segments []string) (labels []string, ok bool) {
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
