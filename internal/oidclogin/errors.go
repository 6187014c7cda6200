package oidclogin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/oauth2"
)

// ErrUnavailable means that the provider could not be asked: it was not found
// yet, does not answer, or answers that it is in trouble. Later may be better.
var ErrUnavailable = errors.New("the login provider is unavailable")

// Refused means no, for good: asking the same again gives the same answer.
type Refused struct {
	// Reason is for the log. It holds no token, but may hold names of people.
	Reason string
	// Message is one sentence for the person, with the way out of it.
	Message string
	// Operator says that it is not about the person: this site is set up in another
	// way than the provider knows it.
	Operator bool
}

// Error returns the reason.
func (r *Refused) Error() string { return "login refused: " + r.Reason }

// What people are told. Only the log says which check it was: whoever forged
// something learns nothing.
const (
	sayAgain   = "This login did not work or took too long; please log in again."
	sayOperate = "The login provider did not accept this site; please tell the people who run it."
	sayNoEmail = "The login provider told us no email address of yours; log in with an account that has one, or ask the people who run this site."
	sayVerify  = "Your email address is not verified at the login provider; verify it there and log in again."
	sayDomain  = "Accounts of your email domain may not log in here; log in with another account, or ask the people who run this site."
	sayDenied  = "The login provider did not let you in; please log in again, and ask whoever runs the login provider if that does not help."
	sayEnded   = "Your login has ended at the login provider; please log in again."
)

func refuse(message, format string, args ...any) error {
	return &Refused{Reason: fmt.Sprintf(format, args...), Message: message}
}

func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// grant is what the token endpoint was given.
type grant int

const (
	code grant = iota
	refreshToken
)

// tokenError sorts what went wrong at the token endpoint. Only an OAuth error
// (RFC 6749, section 5.2) is an answer; a page of some proxy in between is not,
// and neither is anything from status 500 on, which the transport keeps back. An
// answer is no, also with a code that is not known here, unless it says itself
// that it is trouble: to ask again would give the same.
func tokenError(given grant, err error) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		return unavailable("asking for tokens", withoutBody(err))
	case answer.ErrorCode == "":
		return unavailable("asking for tokens", fmt.Errorf("status %d", answer.Response.StatusCode))
	case slices.Contains([]string{"server_error", "temporarily_unavailable"}, answer.ErrorCode):
		return unavailable("asking for tokens", fmt.Errorf("error %.100q", answer.ErrorCode))
	}
	refused := &Refused{Reason: fmt.Sprintf("the token endpoint says %.100s: %.200q", answer.ErrorCode, answer.ErrorDescription)}
	refused.Message, refused.Operator = whoMustAct(given, answer.ErrorCode)
	return refused
}

// whoMustAct tells what people hear about an error of the token endpoint, and
// whether it is for those who run this site.
func whoMustAct(given grant, answer string) (message string, operator bool) {
	switch answer {
	case "invalid_grant":
		message = sayAgain
	case "invalid_request":
		// Dex says so of refresh tokens that it does not know any more.
		message, operator = sayOperate, given == code
	case "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type":
		message, operator = sayOperate, true
	case "login_required", "interaction_required", "consent_required", "account_selection_required",
		"access_denied", "mfa_required", "unmet_authentication_requirements":
		// Sent by access policies of providers that want to see the person again.
		message = sayDenied
	default:
		message, operator = sayDenied, true
	}
	if given == refreshToken && !operator {
		message = sayEnded
	}
	return message, operator
}

// withoutBody keeps what the HTTP client says and leaves out what quotes the
// answer, in which there may be tokens.
func withoutBody(err error) error {
	if isTransport(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.New("the answer cannot be read")
}
