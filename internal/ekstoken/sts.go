package ekstoken

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 64 << 10
	maxCode     = 64

	maxConnections = 128 // a host
)

// NewTransport gives the transport that a Verifier uses by default. It honors
// HTTPS_PROXY and NO_PROXY, speaks HTTP/2 where it is offered, and keeps up to
// 128 connections to a host open, because Go's own default of two makes most
// calls pay for a handshake.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxConnections,
		MaxConnsPerHost:        maxConnections,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}
}

// reply is what STS says. Several may read it, nobody writes.
type reply struct {
	status int
	body   []byte
}

// call asks STS who signed the request. It goes around http.Client, which
// follows redirects and puts URLs, here secrets, into its errors.
func (v *Verifier) call(ctx context.Context, r *request) (reply, error) {
	out := (&http.Request{Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	out.Host = r.host
	out.URL = &url.URL{Scheme: "https", Host: r.host, Path: "/", RawQuery: r.signed()}
	out.Header = http.Header{
		"X-K8s-Aws-Id": {v.clusterID},
		"Accept":       {"application/json"},
		"User-Agent":   {"aws-auth-refresher"},
	}
	response, err := v.transport.RoundTrip(out)
	if err != nil {
		return reply{}, unavailable(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := readBody(response)
	if err != nil {
		return reply{}, unavailable(err)
	}
	return reply{status: response.StatusCode, body: body}, nil
}

func readBody(r *http.Response) ([]byte, error) {
	if r.ContentLength > maxAnswer {
		return nil, errTooLong
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errTooLong
	}
	return body, err
}

// readRefusal reads an answer that is not 200. Only what STS itself says in its
// own format counts as a no: a proxy's error page says nothing about the token.
// Codes: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
func readRefusal(status int, body []byte) error {
	code := errorCode(body)
	switch {
	case Throttles(status, body):
		return fmt.Errorf("%w: %s (%d)", ErrThrottled, code, status)
	case code != "" && status >= 400 && status < 500:
		return &Refused{Code: code, Status: status}
	}
	return unavailable(fmt.Errorf("%w %d", errStatus, status))
}

// Throttles tells whether an answer of STS that is not 200 says that it gets too
// many requests: by its status, or by its code, which comes with other statuses,
// mostly 400.
func Throttles(status int, body []byte) bool {
	return status == http.StatusTooManyRequests || isThrottling(errorCode(body))
}

// errorCode is the code in an answer that is not 200; empty if it has none.
func errorCode(body []byte) string {
	var answer struct {
		Error struct {
			Code string `json:"Code"`
		} `json:"Error"`
	}
	_ = json.Unmarshal(body, &answer) // without a code nothing is known
	if !isCode(answer.Error.Code) {
		return ""
	}
	return answer.Error.Code
}

func isThrottling(code string) bool {
	switch code {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "PriorRequestNotComplete", "BandwidthLimitExceeded",
		"LimitExceededException", "ProvisionedThroughputExceededException", "TransactionInProgressException", "EC2ThrottledException":
		return true
	default:
		return false
	}
}

func isCode(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isUnreserved(c) || c == '-' || c == '~' || c == '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxCode
}
