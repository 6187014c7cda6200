package tokenreview_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/tokenreview"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSTSMetrics: what STS answers is counted, and arrives whole.
func TestSTSMetrics(t *testing.T) {
	const throttling = `{"Error":{"Code":"Throttling","Message":"Rate exceeded","Type":"Sender"},"RequestId":"x"}`
	broken := errors.New("broken off")
	for _, row := range []struct {
		reason, host string
		status       int
		body         io.Reader
		throttled    bool
	}{
		{"an identity", "sts.eu-west-1.amazonaws.com", 200, strings.NewReader(throttling), false},
		{"throttled by status", "sts.eu-west-1.amazonaws.com", 429, strings.NewReader("slow down"), true},
		{"throttled by code", "sts.eu-west-1.amazonaws.com", 400, strings.NewReader(throttling), true},
		{"a refusal", "sts.amazonaws.com", 403, strings.NewReader(`{"Error":{"Code":"InvalidClientTokenId"}}`), false},
		{"a word in a message", "sts-fips.us-east-1.amazonaws.com", 400, strings.NewReader(`{"Error":{"Code":"ValidationError","Message":"Throttling"}}`), false},
		{"a long page", "sts.eu-west-1.amazonaws.com", 503, strings.NewReader(strings.Repeat("x", 100<<10)), false},
		{"an answer that breaks off", "sts.eu-west-1.amazonaws.com", 400, io.MultiReader(strings.NewReader(throttling), failing{broken}), true},
	} {
		registry := prometheus.NewRegistry()
		var whole strings.Builder
		counted := tokenreview.NewMetrics(registry).CountSTS(transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: row.status, Body: io.NopCloser(io.TeeReader(row.body, &whole))}, nil
		}))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+row.host+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := counted.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		if diff := cmp.Diff(whole.String(), string(got)); diff != "" || (err != nil) != strings.Contains(row.reason, "breaks off") {
			t.Errorf("%s: %v; what came -, what arrived +\n%s", row.reason, err, diff)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if got := gathered(t, registry, "aws_iam_authenticator_sts_throttling_total"); got != row.throttled {
			t.Errorf("%s: counted as throttled %t, want %t", row.reason, got, row.throttled)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// gathered tells whether anything was counted under a name.
func gathered(t *testing.T, from prometheus.Gatherer, name string) bool {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return true
		}
	}
	return false
}
