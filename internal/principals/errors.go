package principals

import (
	"context"
	"errors"
	"net"
	"net/url"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// callError is a failed call to AWS. The SDK's own text has request ids and
// local ports in it, which differ each time; a status that repeats the error
// would change for ever.
type callError struct {
	doing string
	err   error
}

// stable gives an error whose text stays the same while its cause does.
func stable(doing string, err error) error { return &callError{doing, err} }

// Error names what was attempted and why it failed.
func (e *callError) Error() string { return e.doing + ": " + cause(e.err) }

// Unwrap gives the SDK's error.
func (e *callError) Unwrap() error { return e.err }

func cause(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "AWS did not answer in time"
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return sent.Op + " " + sent.URL + ": " + network(sent.Err)
	}
	if got, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return network(got.Err)
	}
	return err.Error()
}

// network leaves out addresses and ports.
func network(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// Denied tells whether AWS refused a call because its caller lacks a right.
func Denied(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && (api.ErrorCode() == "AccessDenied" || api.ErrorCode() == "AccessDeniedException")
}
