package tokenreview_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/tokenreview"
)

var alice = ekstoken.Identity{
	ARN: "arn:aws:sts::123456789012:assumed-role/Dev/alice", CanonicalARN: "arn:aws:iam::123456789012:role/Dev",
	AccountID: "123456789012", UserID: "AROAEXAMPLE", PrincipalID: "AROAEXAMPLE:alice", SessionName: "alice", AccessKeyID: "ASIAEXAMPLE",
}

// world is the verifier, the mapper and the clock of a handler.
type world struct {
	mu       sync.Mutex
	now      time.Time
	identity ekstoken.Identity
	refusal  error // of the verifier
	unmapped error // of the mapper
	user     authenticationv1.UserInfo
	asked    int // calls of the verifier
	logged   strings.Builder
	lines    int
}

func (w *world) Verify(context.Context, string) (ekstoken.Identity, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return w.identity, w.refusal
}

func (w *world) Map(context.Context, ekstoken.Identity) (authenticationv1.UserInfo, error) {
	if w.user.Username != "" {
		return w.user, w.unmapped
	}
	return authenticationv1.UserInfo{Username: "alice", Groups: []string{"dev"}}, w.unmapped
}

func (w *world) handler(c tokenreview.Config) *tokenreview.Handler {
	w.now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w.identity = alice
	if c.Verifier == nil {
		c.Verifier = w
	}
	c.Mapper, c.Now = w, func() time.Time { return w.now }
	c.Metrics = tokenreview.NewMetrics(prometheus.NewRegistry())
	c.Log = funcr.New(func(_, args string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.lines++; w.lines < 100 {
			w.logged.WriteString(args + "\n")
		}
	}, funcr.Options{})
	return tokenreview.New(c)
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/authenticate", strings.NewReader(body)))
	return answer
}

const (
	v1      = "authentication.k8s.io/v1"
	v1beta1 = "authentication.k8s.io/v1beta1"
)

func reviewOf(apiVersion, token string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":"TokenReview","spec":{"token":%q}}`, apiVersion, token)
}

func decode(t *testing.T, answer *httptest.ResponseRecorder) authenticationv1.TokenReview {
	t.Helper()
	var review authenticationv1.TokenReview
	if err := json.Unmarshal(answer.Body.Bytes(), &review); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	return review
}

type later struct{ error }

func (later) Temporary() bool { return true }

func TestAnswers(t *testing.T) {
	secret := "the reason"
	for _, row := range []struct {
		reason        string
		refusal       error
		unmapped      error
		status        int
		authenticated bool
		result        string
	}{
		{"a mapped identity", nil, nil, 200, true, "success"},
		{"a malformed token never succeeds: the refusal may be cached", &ekstoken.BadToken{Reason: secret}, nil, 200, false, "invalid_token"},
		{"a date ahead comes true", &ekstoken.BadToken{Reason: secret, Future: true}, nil, 403, false, "early_token"},
		{"a signature may be early by STS's clock", &ekstoken.Refused{Code: "SignatureDoesNotMatch", Status: 403}, nil, 403, false, "sts_error"},
		{"an expired session stays expired", &ekstoken.Refused{Code: "ExpiredToken", Status: 403}, nil, 200, false, "invalid_token"},
		{"a key that STS does not know yet", &ekstoken.Refused{Code: "InvalidClientTokenId", Status: 403}, nil, 403, false, "sts_error"},
		{"any other refusal of STS", &ekstoken.Refused{Code: "AccessDenied", Status: 403}, nil, 403, false, "sts_error"},
		{"an unmapped identity may be mapped a second later", nil, errors.New(secret), 403, false, "uknown_user"},
		{"mappings not loaded", nil, later{errors.New(secret)}, 503, false, "not_ready"},
		{"STS unreachable", fmt.Errorf("%w: %s", ekstoken.ErrUnavailable, secret), nil, 503, false, "sts_unavailable"},
		{"too many calls to STS", fmt.Errorf("%w: %s", ekstoken.ErrBusy, secret), nil, 503, false, "overloaded"},
		{"STS throttles", fmt.Errorf("%w: %s", ekstoken.ErrThrottled, secret), nil, 429, false, "sts_throttling"},
		{"an unknown error must not be retried at once", errors.New(secret), nil, 503, false, "sts_unavailable"},
	} {
		for _, version := range []string{v1, v1beta1} {
			w := &world{refusal: row.refusal, unmapped: row.unmapped}
			answer := post(w.handler(tokenreview.Config{}), reviewOf(version, "k8s-aws-v1.secret"))
			review := decode(t, answer)
			if answer.Code != row.status || review.Status.Authenticated != row.authenticated {
				t.Errorf("%s: got %d authenticated=%t, want %d %t", row.reason, answer.Code, review.Status.Authenticated, row.status, row.authenticated)
			}
			if review.APIVersion != version || review.Kind != "TokenReview" {
				t.Errorf("%s: answered in %s %s, want %s", row.reason, review.APIVersion, review.Kind, version)
			}
			if review.Status.Error != "" || strings.Contains(answer.Body.String(), secret) || answer.Header().Get("Retry-After") != "" {
				t.Errorf("%s: the answer says too much: %v %s", row.reason, answer.Header(), answer.Body)
			}
			log := w.logged.String()
			if !strings.Contains(log, `"result"="`+row.result+`"`) || strings.Contains(log, "k8s-aws-v1") || strings.Count(log, "\n") != 1 {
				t.Errorf("%s: logged %s, want one line with the result %s and without the token", row.reason, log, row.result)
			}
		}
	}
}

func TestRequestsThatAreNoReviews(t *testing.T) {
	large := reviewOf(v1, strings.Repeat("x", 2<<20))
	for _, row := range []struct {
		reason, method, body string
		want                 int
	}{
		{"another method", http.MethodGet, "", 405},
		{"no body", http.MethodPost, "", 400},
		{"no JSON", http.MethodPost, "token", 400},
		{"another kind", http.MethodPost, `{"apiVersion":"v1","kind":"Pod"}`, 400},
		{"a version that does not exist", http.MethodPost, reviewOf("authentication.k8s.io/v2", "x"), 400},
		{"a body of 2 MiB", http.MethodPost, large, 413},
		{"a body of 2 MiB whose length is not known", http.MethodPost, "chunked", 413},
		{"a token of 900 KiB is for the verifier", http.MethodPost, reviewOf(v1, strings.Repeat("x", 900<<10)), 200},
		{"neither version nor kind, as aws-iam-authenticator takes it", http.MethodPost, `{"spec":{"token":"x"}}`, 200},
	} {
		w := &world{}
		request := httptest.NewRequest(row.method, "/authenticate", strings.NewReader(row.body))
		if row.body == "chunked" {
			request = httptest.NewRequest(row.method, "/authenticate", struct{ *strings.Reader }{strings.NewReader(large)})
			request.ContentLength = -1
		}
		answer := httptest.NewRecorder()
		w.handler(tokenreview.Config{}).ServeHTTP(answer, request)
		if answer.Code != row.want {
			t.Errorf("%s: got %d %s, want %d", row.reason, answer.Code, answer.Body, row.want)
		}
	}
}

func TestUnmappedIdentityIsKept(t *testing.T) {
	w := &world{unmapped: errors.New("not mapped")}
	h := w.handler(tokenreview.Config{})
	step := func(reason string, wantStatus, wantAsked int) {
		t.Helper()
		if answer := post(h, reviewOf(v1, "token")); answer.Code != wantStatus || w.asked != wantAsked {
			t.Errorf("%s: got %d after %d calls, want %d after %d", reason, answer.Code, w.asked, wantStatus, wantAsked)
		}
	}
	step("not mapped yet", 403, 1)
	w.now = w.now.Add(time.Second)
	w.unmapped = nil
	step("mapped a second later, STS is not asked again", 200, 1)
	step("once let in nothing is kept", 200, 2)
	w.unmapped = errors.New("not mapped")
	step("not mapped any more", 403, 3)
	w.now = w.now.Add(31 * time.Second)
	step("what was kept is too old", 403, 4)
	w.now = w.now.Add(-time.Hour)
	step("the clock was set back", 403, 5)
}

func TestUnknownKeyIsRememberedForTwoSeconds(t *testing.T) {
	w := &world{refusal: &ekstoken.Refused{Code: "InvalidClientTokenId", Status: 403}}
	h := w.handler(tokenreview.Config{})
	for _, row := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {time.Second, 1}, {999 * time.Millisecond, 1}, {time.Millisecond, 2}, {0, 2}} {
		w.now = w.now.Add(row.after)
		if answer := post(h, reviewOf(v1, "token")); answer.Code != 403 || w.asked != row.asked {
			t.Errorf("got %d after %d calls, want 403 after %d", answer.Code, w.asked, row.asked)
		}
	}
	if post(h, reviewOf(v1, "another token")); w.asked != 3 {
		t.Error("another token was refused for the first one's key")
	}
}

// TestOneRequestIsRememberedOnce: the parameters of a token may come in any
// order without STS being asked again.
func TestOneRequestIsRememberedOnce(t *testing.T) {
	w := &world{refusal: &ekstoken.Refused{Code: "InvalidClientTokenId", Status: 403}}
	h := w.handler(tokenreview.Config{})
	token, err := ekstoken.Mint(ekstoken.MintConfig{ClusterID: "c", Region: "us-east-1", Credentials: ekstoken.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token.Value, ekstoken.Prefix))
	if err != nil {
		t.Fatal(err)
	}
	base, query, _ := strings.Cut(string(text), "?")
	pairs := strings.Split(query, "&")
	for range pairs {
		pairs = append(pairs[1:], pairs[0])
		spelling := ekstoken.Prefix + base64.RawURLEncoding.EncodeToString([]byte(base+"?"+strings.Join(pairs, "&")))
		if answer := post(h, reviewOf(v1, spelling)); answer.Code != 403 || w.asked != 1 {
			t.Errorf("got %d after %d calls, want 403 after one", answer.Code, w.asked)
		}
	}
}
