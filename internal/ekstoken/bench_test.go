package ekstoken

import (
	"net/http"
	"testing"
)

func BenchmarkMint(b *testing.B) {
	c := goldenConfig(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Mint(c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify measures all but the network.
func BenchmarkVerify(b *testing.B) {
	v := verifierOf(b, sts(func(*http.Request) (*http.Response, error) { return answer(200, alice), nil }))
	token := golden(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefuse measures a token that fails on the last rung.
func BenchmarkRefuse(b *testing.B) {
	v := verifierOf(b, sts(func(*http.Request) (*http.Response, error) { return answer(200, alice), nil }))
	token := encode(plain(b, golden(b))[:len(plain(b, golden(b)))-1])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err == nil {
			b.Fatal("a bad token was taken")
		}
	}
}

// TestAllocations holds what a verification costs beside the network. The
// bounds leave a little room for another version of Go.
func TestAllocations(t *testing.T) {
	token := golden(t)
	v := verifierOf(t, sts(func(*http.Request) (*http.Response, error) { return answer(200, alice), nil }))
	for _, row := range []struct {
		what  string
		most  float64
		check func()
	}{
		{"verify", 46, func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}},
		{"refuse", 5, func() {
			if _, err := v.Verify(t.Context(), token[:len(token)-4]); err == nil {
				t.Fatal("a bad token was taken")
			}
		}},
		{"fingerprint", 6, func() { Fingerprint(token) }},
	} {
		if got := testing.AllocsPerRun(200, row.check); got > row.most {
			t.Errorf("%s: %.0f allocations, want at most %.0f", row.what, got, row.most)
		}
	}
}
