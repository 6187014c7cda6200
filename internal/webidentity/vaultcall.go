package webidentity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
)

// maxVaultAnswer bounds what is read of an answer.
const maxVaultAnswer = 1 << 20

type vaultAuth struct {
	Token         string `json:"client_token"`
	LeaseDuration int64  `json:"lease_duration"` // seconds; 0: without end
	Renewable     bool   `json:"renewable"`
}

// logIn uses the JWT auth method ("JWT login" in Vault's HTTP API).
func (v *Vault) logIn(ctx context.Context, idToken string) (vaultAuth, error) {
	body := map[string]any{"jwt": idToken}
	if v.role != "" {
		body["role"] = v.role
	}
	var answer struct {
		Auth vaultAuth `json:"auth"`
	}
	err := v.send(ctx, vaultCall{method: http.MethodPost, path: v.login, body: body}, &answer)
	if denied, ok := errors.AsType[*Denied](err); ok && strings.Contains(denied.Message, "token is expired") {
		return vaultAuth{}, fmt.Errorf("%w: %w", ErrExpiredLogin, err)
	}
	if err == nil && answer.Auth.Token == "" {
		err = fmt.Errorf("%w: Vault answered without a token", ErrUnavailable)
	}
	return answer.Auth, err
}

// vaultCall is a request of Vault's HTTP API.
type vaultCall struct {
	method, path, token string
	body                any
}

// send calls and decodes the answer into result, if that is not nil.
func (v *Vault) send(ctx context.Context, c vaultCall, result any) error {
	var body io.Reader = http.NoBody
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, v.base+c.path, body)
	if err != nil {
		return err
	}
	maps.Copy(r.Header, v.header)
	if c.token != "" {
		r.Header.Set("X-Vault-Token", c.token)
	}
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := v.client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxVaultAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return vaultRefusal(response.StatusCode, answer)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("%w: Vault's answer is not the JSON that was expected: %w", ErrUnavailable, err)
	}
	return nil
}

// vaultRefusal sorts Vault's status ("HTTP status codes" in Vault's HTTP API).
func vaultRefusal(status int, body []byte) error {
	var told struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(body, &told) // a load balancer's page has no reasons
	reason := strings.Join(told.Errors, "; ")
	switch {
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: Vault answered with status 429", ErrThrottled)
	case status >= http.StatusInternalServerError || status < http.StatusBadRequest || status == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: Vault answered with status %d: %s", ErrUnavailable, status, reason)
	}
	return &Denied{Code: http.StatusText(status), Message: reason}
}
