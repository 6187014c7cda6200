package ekstoken

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// orders are the query's parameters as minters put them. In each the signature
// is the same, because it is over the sorted query.
func orders() map[string][]string {
	return map[string][]string{
		"aws-iam-authenticator, SDKs for Go": {"Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-SignedHeaders", "X-Amz-Signature"},
		"AWS CLI, botocore":                  {"Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Security-Token", "X-Amz-Signature"},
		"SDK for JavaScript":                 {"Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders"},
		"security token first":               {"X-Amz-Security-Token", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders", "Version", "Action"},
	}
}

// reorder puts the parameters of a token into another order.
func reorder(tb testing.TB, token string, order []string) string {
	tb.Helper()
	base, query, _ := strings.Cut(plain(tb, token), "?")
	pairs := strings.Split(query, "&")
	slices.SortStableFunc(pairs, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return slices.Index(order, a) - slices.Index(order, b)
	})
	return encode(base + "?" + strings.Join(pairs, "&"))
}

func session(tb testing.TB, change func(*MintConfig)) string {
	tb.Helper()
	c := goldenConfig(tb)
	c.Credentials.SessionToken = "a/session+token="
	change(&c)
	token, err := Mint(c)
	if err != nil {
		tb.Fatal(err)
	}
	return token.Value
}

// TestOrdersOfParameters: every order is accepted, asks STS the same, and counts
// as the same token.
func TestOrdersOfParameters(t *testing.T) {
	token := session(t, func(*MintConfig) {})
	asked := map[string]bool{}
	v := verifierOf(t, sts(func(r *http.Request) (*http.Response, error) {
		asked[r.URL.String()] = true
		return answer(200, alice), nil
	}))
	for minter, order := range orders() {
		other := reorder(t, token, order)
		if _, err := v.Verify(t.Context(), other); err != nil {
			t.Errorf("%s: %v", minter, err)
		}
		if Fingerprint(other) != Fingerprint(token) {
			t.Errorf("%s: it counts as another token", minter)
		}
	}
	if len(asked) != 1 {
		t.Errorf("STS was asked %d different things", len(asked))
	}
}

func TestFingerprint(t *testing.T) {
	token := session(t, func(*MintConfig) {})
	seen := map[[32]byte]string{Fingerprint(token): "the token"}
	for reason, other := range map[string]string{
		"another key":        session(t, func(c *MintConfig) { c.Credentials.SecretAccessKey = "other" }),
		"another session":    session(t, func(c *MintConfig) { c.Credentials.SessionToken = "other" }),
		"no session":         session(t, func(c *MintConfig) { c.Credentials.SessionToken = "" }),
		"another region":     session(t, func(c *MintConfig) { c.Region = "eu-west-1" }),
		"another cluster":    session(t, func(c *MintConfig) { c.ClusterID = "other" }),
		"a parameter twice":  encode(plain(t, token) + "&Action=GetCallerIdentity"),
		"other base64":       token + "=",
		"its own URL":        plain(t, token),
		"nothing":            "",
		"no prefix":          "token",
		"too long":           Prefix + strings.Repeat("A", maxToken),
		"one more character": Prefix + strings.Repeat("A", maxToken+1),
	} {
		f := Fingerprint(other)
		if same, ok := seen[f]; ok {
			t.Errorf("%s has the fingerprint of %s", reason, same)
		}
		seen[f] = reason
	}
}
