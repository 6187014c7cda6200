package fakeaws

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal as AWS words it. The Go methods of Server return it too.
type Error struct {
	Code    string // such as NoSuchEntity
	Message string
	Status  int // of the HTTP answer
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// blame is the Type of the answer: whose fault it is.
func (e *Error) blame() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// asError is the one door from an error to an answer.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: "ServiceFailure", Message: "The request processing has failed because of an unknown error.", Status: http.StatusInternalServerError}
}

// Codes and status follow the "Common Errors" page of the IAM API reference
// and the error lists of its actions.

func errNoSuchEntity(format string, args ...any) error {
	return &Error{Code: "NoSuchEntity", Message: fmt.Sprintf(format, args...), Status: http.StatusNotFound}
}

func errExists(format string, args ...any) error {
	return &Error{Code: "EntityAlreadyExists", Message: fmt.Sprintf(format, args...), Status: http.StatusConflict}
}

func errDeleteConflict(what string) error {
	return &Error{Code: "DeleteConflict", Message: "Cannot delete entity, must " + what + " first.", Status: http.StatusConflict}
}

func errQuota(quota string, limit int) error {
	return &Error{Code: "LimitExceeded", Message: fmt.Sprintf("Cannot exceed quota for %s: %d", quota, limit), Status: http.StatusConflict}
}

func errValidation(format string, args ...any) error {
	return &Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func errConstraint(field, constraint string) error {
	return errValidation("1 validation error detected: Value at '%s' failed to satisfy constraint: %s", field, constraint)
}

func errInvalidInput(message string) error {
	return &Error{Code: "InvalidInput", Message: message, Status: http.StatusBadRequest}
}

func errMalformedPolicy(message string) error {
	return &Error{Code: "MalformedPolicyDocument", Message: message, Status: http.StatusBadRequest}
}

func errMalformedQuery(message string) error {
	return &Error{Code: "MalformedQueryString", Message: message, Status: http.StatusBadRequest}
}

func errMissingToken() error {
	return &Error{Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token", Status: http.StatusForbidden}
}

func errIncompleteSignature(message string) error {
	return &Error{Code: "IncompleteSignature", Message: message, Status: http.StatusBadRequest}
}

func errSignature(message string) error {
	return &Error{Code: "SignatureDoesNotMatch", Message: message, Status: http.StatusForbidden}
}

func errInvalidToken() error {
	return &Error{Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid.", Status: http.StatusForbidden}
}

func errExpiredToken() error {
	return &Error{Code: "ExpiredToken", Message: "The security token included in the request is expired", Status: http.StatusForbidden}
}

func errDenied(format string, args ...any) error {
	return &Error{Code: "AccessDenied", Message: fmt.Sprintf(format, args...), Status: http.StatusForbidden}
}
