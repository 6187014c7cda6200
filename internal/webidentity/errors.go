package webidentity

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Denied says that AWS or Vault refuses: it will not help to try again.
type Denied struct {
	// Code is AWS's error code, such as AccessDenied; of Vault it is the HTTP
	// status in words, such as "Bad Request".
	Code string
	// Message is theirs. It may name the program's own role: it is for the log.
	Message string
}

// Error gives code and message.
func (d *Denied) Error() string { return d.Code + ": " + d.Message }

var (
	// ErrExpiredLogin says that the ID token has ended: who logs in again gets in.
	ErrExpiredLogin = errors.New("the login has expired")
	// ErrThrottled says that there were too many calls: it helps to wait.
	ErrThrottled = errors.New("too many calls")
	// ErrUnavailable says that the other side did not answer, answered nonsense,
	// or does not know the program itself: not the person's fault.
	ErrUnavailable = errors.New("not available")
)

// sorted wraps an error of the SDK by who must act.
func sorted(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	code := api.ErrorCode()
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled {
		return fmt.Errorf("%w: %w", ErrThrottled, err)
	}
	switch {
	case code == "ExpiredTokenException":
		return fmt.Errorf("%w: %w", ErrExpiredLogin, err)
	case keysAway(err), slices.Contains(notThePerson(), code), statusOf(err) >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &Denied{Code: code, Message: api.ErrorMessage()}
}

// keysAway tells whether AWS could not get at the issuer's keys just now. It gives
// that the code of a bad token, and only the words differ.
func keysAway(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "InvalidIdentityToken" && strings.Contains(lower(api.ErrorMessage()), "retrieve verification key")
}

// patient asks again also when AWS could not get at the issuer's keys.
type patient struct{ aws.RetryerV2 }

// IsErrorRetryable is the SDK's question.
func (p patient) IsErrorRetryable(err error) bool {
	return keysAway(err) || p.RetryerV2.IsErrorRetryable(err)
}

func withPatience(o *sts.Options) {
	if r, ok := o.Retryer.(aws.RetryerV2); ok {
		o.Retryer = patient{r}
	}
}

// notThePerson are the codes that blame the issuer, or the program's own credentials.
func notThePerson() []string {
	return []string{
		"IDPCommunicationError", "IDPCommunicationErrorException", "ExpiredToken", "InvalidClientTokenId", "UnrecognizedClientException",
		"SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "RequestExpired", "RegionDisabledException",
	}
}

func statusOf(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func tagKeyMisfit(key string) bool {
	return strings.HasPrefix(lower(key), "aws:") || strings.ContainsFunc(key, func(c rune) bool { return !inTag(c) })
}
