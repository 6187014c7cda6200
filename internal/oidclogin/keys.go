package oidclogin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keyFetches may happen at once, and one more every keyFetchEvery: a token
	// with an unknown key makes us look for new keys, and anybody can make such
	// tokens.
	keyFetches    = 10
	keyFetchEvery = 5 * time.Second
)

var (
	errNoKeys     = errors.New("the provider's keys cannot be fetched")
	errUnknownKey = errors.New("it is signed by none of the provider's keys")
)

// keySet is the provider's published keys, an oidc.KeySet. They are fetched when
// a token is signed by none of those that are known. Other than go-oidc's own
// key set it does so only so often, tells a provider in trouble from a bad
// signature, and never judges a token by an answer that was asked for before the
// token came, which at a rotation would refuse people who did nothing wrong.
type keySet struct {
	client     *http.Client
	address    string
	algorithms []jose.SignatureAlgorithm
	now        func() time.Time
	fetching   chan struct{} // holds one while keys are being fetched

	mu       sync.Mutex
	known    []jose.JSONWebKey
	err      error     // of the last fetch
	begun    int       // fetches that were begun
	left     int       // fetches that may be begun now
	refilled time.Time // when left was last added to
}

func newKeySet(client *http.Client, address string, algorithms []string, now func() time.Time) *keySet {
	k := &keySet{
		client: client, address: address, now: now,
		fetching: make(chan struct{}, 1), left: keyFetches, refilled: now(),
	}
	for _, a := range algorithms {
		k.algorithms = append(k.algorithms, jose.SignatureAlgorithm(a))
	}
	return k
}

// succeed fetches the keys before the set takes another's place. While they
// cannot be had it goes on with those that the other knew.
func (k *keySet) succeed(ctx context.Context, other *keySet) error {
	other.mu.Lock()
	known := other.known
	other.mu.Unlock()
	if len(known) == 0 {
		return nil // they were not needed yet
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	if err == nil {
		known = keys
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = known
	return err
}

// VerifySignature returns the payload of a token that one of the keys signed.
// The error is errUnknownKey, errNoKeys, the context's, or says that the token
// is none.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, k.algorithms)
	if err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	k.mu.Lock()
	known, begun := k.known, k.begun
	k.mu.Unlock()
	if payload, ok := verifyWith(known, signed); ok {
		return payload, nil
	}
	if known, err = k.newer(ctx, begun); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(known, signed); ok {
		return payload, nil
	}
	return nil, errUnknownKey
}

func verifyWith(keys []jose.JSONWebKey, signed *jose.JSONWebSignature) ([]byte, bool) {
	header := signed.Signatures[0].Header
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// newer returns the keys of a fetch that began after the first seen ones had.
// Whoever waits for the same takes the same answer.
func (k *keySet) newer(ctx context.Context, seen int) ([]jose.JSONWebKey, error) {
	select {
	case k.fetching <- struct{}{}:
		defer func() { <-k.fetching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	k.mu.Lock()
	fresh, may := k.begun > seen, true
	if !fresh {
		may = k.mayFetch()
	}
	k.mu.Unlock()
	if !may {
		return nil, fmt.Errorf("%w: asked too often", errNoKeys)
	}
	if !fresh {
		// Others wait for this too: who gives up must not take it from them.
		keys, err := k.fetch(context.WithoutCancel(ctx))
		k.mu.Lock()
		if k.err = err; err == nil {
			k.known = keys
		}
		k.mu.Unlock()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known, k.err
}

// mayFetch counts a fetch, unless there were too many lately.
func (k *keySet) mayFetch() bool {
	now := k.now()
	if passed := now.Sub(k.refilled); passed >= keyFetchEvery || passed < 0 {
		k.left = min(keyFetches, k.left+max(1, int(passed/keyFetchEvery)))
		k.refilled = now
	}
	if k.left == 0 {
		return false
	}
	k.left--
	k.begun++
	return true
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeys, err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeys, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeys, err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s is no key set, status %d", errNoKeys, k.address, response.StatusCode)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		// Keys of kinds that we do not know are none of ours (RFC 7517, section 5).
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err == nil && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
