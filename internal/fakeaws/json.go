package fakeaws

import (
	"encoding/json"
	"net/http"
	"time"
)

// jsonForm is how a service that speaks JSON answers.
type jsonForm struct {
	media string
	// words are the service's own for the codes of refusals that are common to
	// all services.
	words map[string]words
	// refusal returns the body of a refusal, and writes what stands in the header.
	refusal func(http.Header, *Error) map[string]string
}

type words struct {
	code   string
	status int
}

// answer writes the result of a call or, if there is an error, a refusal.
func (f jsonForm) answer(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	var body []byte
	if err == nil {
		body, err = json.Marshal(result)
	}
	if err != nil {
		e := f.worded(asError(err))
		status = e.Status
		if body, err = json.Marshal(f.refusal(w.Header(), e)); err != nil {
			status = http.StatusInternalServerError
		}
	}
	writeBody(w, status, f.media, body)
}

// worded is a refusal that is common to all services in the words of those
// that speak JSON; see "Common error types" in the Amazon SQS API reference and
// "Common Errors" in the Amazon EKS API reference.
func (f jsonForm) worded(e *Error) *Error {
	if own, ok := f.words[e.Code]; ok {
		return &Error{own.code, e.Message, own.status}
	}
	switch e.Code {
	case "InvalidClientTokenId":
		return &Error{"UnrecognizedClientException", e.Message, http.StatusForbidden}
	case "SignatureDoesNotMatch":
		return &Error{"InvalidSignatureException", e.Message, http.StatusForbidden}
	case "MissingAuthenticationToken", "IncompleteSignature", "ExpiredToken", "AccessDenied":
		return &Error{e.Code + "Exception", e.Message, http.StatusForbidden}
	default:
		return e
	}
}

// jsonBody is the body of a request, which may be empty.
type jsonBody []byte

func (b jsonBody) read(into any) error {
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return &Error{Code: "SerializationException", Message: "The body is not the JSON that was expected.", Status: http.StatusBadRequest}
	}
	return nil
}

// seconds is a time in an answer: seconds since 1970, with milliseconds.
type seconds time.Time

// MarshalJSON writes a number.
func (s seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(time.Time(s).UnixMilli()) / 1000)
}

// admit authenticates the call of an action, and lets a fault strike, with the
// server's lock held. If action is empty the service has none such, which
// unknown tells those who are authenticated.
func (s *Server) admit(req *request, action string, unknown *Error) (call, error) {
	if action != "" {
		s.calls[action]++
	}
	caller, err := s.authenticate(req)
	if err != nil {
		return call{}, err
	}
	if action == "" {
		return call{}, unknown
	}
	c := call{
		server: s, account: caller.account, caller: caller, now: req.now, accountID: caller.account.id, requestID: req.id,
	}
	_, err = c.suffer(s.strike(action))
	return c, err
}
