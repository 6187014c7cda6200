package oidclogin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 1 << 20
	// callTimeout bounds one call to the provider.
	callTimeout = 10 * time.Second
	// keyFetches may happen at once, and one more every keyFetchEvery: a token
	// with an unknown key makes us look for new keys, and anybody can make such
	// tokens.
	keyFetches    = 10
	keyFetchEvery = 5 * time.Second
)

// errTrouble is what an answer that means trouble becomes.
var errTrouble = errors.New("the provider is in trouble")

var errTooManyFetches = errors.New("the provider's keys were asked for too often")

// limits is a transport that reads bounded answers, makes errors of answers
// that mean trouble, and asks for keys only so often.
type limits struct {
	next http.RoundTripper
	now  func() time.Time

	mu       sync.Mutex
	keysAt   string    // address of the keys
	fetches  int       // fetches that are left
	refilled time.Time // when one was last added
}

func newClient(given *http.Client, now func() time.Time) *http.Client {
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
	client.Transport = &limits{next: next, now: now, fetches: keyFetches, refilled: now()}
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
	if !l.mayFetch(r.URL) {
		return nil, errTooManyFetches
	}
	response, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return l.whole(r, response)
}

// whole reads an answer to its end, so that one that breaks off is an error of
// the transport and never taken for a bad answer.
func (l *limits) whole(r *http.Request, response *http.Response) (*http.Response, error) {
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
	case l.isKeys(r.URL) && (response.StatusCode != http.StatusOK || !json.Valid(body)):
		return nil, fmt.Errorf("%w: no keys, status %d", errTrouble, response.StatusCode)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

func (l *limits) isKeys(u *url.URL) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keysAt != "" && u.String() == l.keysAt
}

func (l *limits) mayFetch(u *url.URL) bool {
	if !l.isKeys(u) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if passed := now.Sub(l.refilled); passed >= keyFetchEvery || passed < 0 {
		l.fetches = min(keyFetches, l.fetches+max(1, int(passed/keyFetchEvery)))
		l.refilled = now
	}
	if l.fetches == 0 {
		return false
	}
	l.fetches--
	return true
}

// limitKeys says which address the limit on fetching keys is about.
func limitKeys(client *http.Client, address string) {
	l, ok := client.Transport.(*limits)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keysAt = address
}

// isTransport tells whether an error is the HTTP client's own.
func isTransport(err error) bool {
	_, ok := errors.AsType[*url.Error](err)
	return ok
}
