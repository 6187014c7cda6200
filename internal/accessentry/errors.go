package accessentry

import (
	"context"
	"errors"
	"net"
	"net/url"

	"github.com/aws/smithy-go"
)

// callError is a failed call to EKS. Its text leaves out what differs each
// time, request ids and ports, because a status repeats it.
type callError struct {
	doing string
	err   error
}

func failed(doing string, err error) error { return &callError{doing, err} }

// Error names what was attempted and why it failed.
func (e *callError) Error() string {
	if api, ok := errors.AsType[smithy.APIError](e.err); ok {
		return e.doing + ": " + api.ErrorCode() + ": " + api.ErrorMessage()
	}
	if errors.Is(e.err, context.DeadlineExceeded) {
		return e.doing + ": EKS did not answer in time"
	}
	if op, ok := errors.AsType[*net.OpError](e.err); ok {
		return e.doing + ": " + op.Op + ": " + op.Err.Error()
	}
	if sent, ok := errors.AsType[*url.Error](e.err); ok {
		return e.doing + ": " + sent.Err.Error()
	}
	return e.doing + ": " + e.err.Error()
}

// Unwrap gives the SDK's error.
func (e *callError) Unwrap() error { return e.err }
