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
