package ekstoken

import (
	"errors"
	"fmt"
)

// BadToken is the error of Verify for a token that was refused without asking
// STS: the client must bring another one.
type BadToken struct {
	// Reason is one of the Reason constants.
	Reason string
	// Future says that the token was refused only because its date lies ahead,
	// so that the very same token may be good later.
	Future bool
}

// Error gives the reason. It never quotes the token.
func (e *BadToken) Error() string { return "bad token: " + e.Reason }

// Why a token is bad. The texts are stable and fit for a log or a metric label.
const (
	ReasonTooLong         = "longer than 16 KiB"
	ReasonPrefix          = "no k8s-aws-v1. prefix"
	ReasonEncoding        = "not base64url without padding"
	ReasonScheme          = "not an https URL"
	ReasonHost            = "host is no STS endpoint of this partition"
	ReasonPath            = "path is not /"
	ReasonFragment        = "URL with a fragment"
	ReasonParameter       = "unknown query parameter"
	ReasonDuplicate       = "query parameter given twice"
	ReasonMissing         = "query parameter missing or empty"
	ReasonSpelling        = "query not percent-encoded as SigV4 wants it"
	ReasonAction          = "action is not GetCallerIdentity"
	ReasonVersion         = "version is not 2011-06-15"
	ReasonAlgorithm       = "algorithm is not AWS4-HMAC-SHA256"
	ReasonSignedHeaders   = "signed headers are not host;x-k8s-aws-id"
	ReasonExpires         = "X-Amz-Expires is not 1 to 900"
	ReasonDate            = "X-Amz-Date is no date"
	ReasonOld             = "older than 15 minutes"
	ReasonFuture          = "dated more than 5 minutes ahead"
	ReasonScope           = "malformed credential scope"
	ReasonScopeDate       = "credential scope is of another day"
	ReasonScopeRegion     = "credential scope is of another region than the host"
	ReasonScopeService    = "credential scope is of another service than sts"
	ReasonScopeTerminator = "credential scope does not end in aws4_request"
	ReasonSignature       = "malformed X-Amz-Signature"
)

// Refused is the error of Verify when STS was asked and said no.
type Refused struct {
	// Code is the error code of STS: InvalidClientTokenId,
	// SignatureDoesNotMatch, ExpiredToken and so on; letters, digits and dots,
	// at most 64.
	Code string
	// Status is the HTTP status of the answer, 400 to 499.
	Status int
}

// Error gives code and status.
func (e *Refused) Error() string {
	return fmt.Sprintf("STS refused the token: %s (%d)", e.Code, e.Status)
}

// What errors of Verify wrap when nothing is known about the token.
var (
	// ErrUnavailable: STS could not be asked, or its answer makes no sense.
	ErrUnavailable = errors.New("STS is not available")
	// ErrThrottled: STS answers too many requests of ours.
	ErrThrottled = errors.New("STS throttles")
	// ErrBusy: VerifierConfig.MaxConcurrent calls are under way already.
	ErrBusy = errors.New("too many calls to STS at once")
)

// What is wrong with an answer of STS; each is wrapped beside ErrUnavailable.
var (
	errStatus    = errors.New("unexpected status")
	errTooLong   = errors.New("the answer is longer than 64 KiB")
	errNotJSON   = errors.New("the answer is not the JSON of GetCallerIdentity")
	errARN       = errors.New("the answer's ARN is not one of a user, a role's session, a federated user or root")
	errPartition = errors.New("the answer's ARN is of another partition")
	errAccount   = errors.New("the answer's account and its ARN disagree")
	errUserID    = errors.New("the answer's user id and its ARN disagree")
)

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

func bad(reason string) *BadToken { return &BadToken{Reason: reason} }
