package tokenreview

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// outcome is what a review came to. Its text is the label of the metric.
//
// The status codes follow from how the API server treats them: what it gets
// with 200 it caches for each token, a refusal for two minutes; 403 and 503 it
// neither caches nor tries again; 429, 500 and 502 it tries again about five
// times, and with Retry-After thirty times.
type outcome string

const (
	success outcome = "success"
	// hopeless is a token that can never succeed: the refusal may be cached.
	hopeless outcome = "invalid_token"
	// early is a token whose date is ahead.
	early      outcome = "early_token"
	stsRefusal outcome = "sts_error"
	throttled  outcome = "sts_throttling"
	noSTS      outcome = "sts_unavailable"
	// unmapped has the spelling of aws-iam-authenticator, for its dashboards.
	unmapped  outcome = "uknown_user"
	unready   outcome = "not_ready"
	busy      outcome = "overloaded"
	malformed outcome = "malformed_request"
)

func (o outcome) status() int {
	switch o {
	case success, hopeless:
		return http.StatusOK
	case early, stsRefusal, unmapped:
		return http.StatusForbidden
	case throttled:
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

// outcomeOf sorts a verifier's error by who must act.
func outcomeOf(err error) outcome {
	bad, isBad := errors.AsType[*ekstoken.BadToken](err)
	refused, isRefused := errors.AsType[*ekstoken.Refused](err)
	switch {
	case isBad && bad.Future:
		return early
	case isBad:
		return hopeless
	// Not SignatureDoesNotMatch: STS says that of a token that its clock finds
	// too early, too, and what is hopeless is cached for two minutes.
	case isRefused && refused.Code == "ExpiredToken":
		return hopeless
	case isRefused:
		return stsRefusal
	case errors.Is(err, ekstoken.ErrThrottled):
		return throttled
	case errors.Is(err, ekstoken.ErrBusy):
		return busy
	default:
		return noSTS
	}
}

// unknownKey tells whether STS does not know the access key. A new one may
// take some seconds to be known.
func unknownKey(err error) bool {
	refused, ok := errors.AsType[*ekstoken.Refused](err)
	return ok && refused.Code == "InvalidClientTokenId"
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
