package oidclogin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 1 << 20
	// callTimeout bounds one call to the provider.
	callTimeout = 10 * time.Second
)

// errTrouble is what an answer that means trouble becomes.
var errTrouble = errors.New("the provider is in trouble")

// limits is a transport that reads answers whole but bounded, so that one that
// breaks off is an error of the transport and never taken for a bad answer, and
// makes errors of answers that mean trouble.
type limits struct{ next http.RoundTripper }

func newClient(given *http.Client) *http.Client {
	client := &http.Client{}
	if given != nil {
		*client = *given
	}
	if client.Timeout == 0 {
		client.Timeout = callTimeout
	}
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Transport = &limits{next: next}
	client.CheckRedirect = checkRedirect
	return client
}

// checkRedirect follows only what carries nothing secret, and never from https
// to http.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet || first.Header.Get("Authorization") != "":
		return http.ErrUseLastResponse
	case first.URL.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("redirect from https to http")
	case len(via) > 5:
		return errors.New("too many redirects")
	}
	return nil
}

// RoundTrip sends a request within the limits.
func (l *limits) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if closing := response.Body.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%w: an answer of more than %d bytes", errTrouble, maxAnswer)
	case response.StatusCode >= http.StatusInternalServerError, response.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: status %d", errTrouble, response.StatusCode)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// isTransport tells whether an error is the HTTP client's own.
func isTransport(err error) bool {
	_, ok := errors.AsType[*url.Error](err)
	return ok
}
