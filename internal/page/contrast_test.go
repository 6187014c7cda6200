package page_test

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
)

var variable = regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`)

// TestContrast holds what WCAG 2.2 asks of level AA: 4.5 for text (1.4.3), 3 for
// the edges of controls and the focus ring (1.4.11), in both color schemes.
func TestContrast(t *testing.T) {
	_, body := written(t, page.SignedOut(page.SignedOutView{}), http.StatusOK)
	found := variable.FindAllStringSubmatch(body, -1)
	colors := map[string][]string{} // light, dark
	for _, m := range found {
		colors[m[1]] = append(colors[m[1]], m[2])
	}
	for _, pair := range []struct {
		front, back string
		least       float64
	}{
		{"text", "ground", 4.5},
		{"text", "card", 4.5},
		{"text", "tint", 4.5},
		{"soft", "ground", 4.5},
		{"soft", "card", 4.5},
		{"soft", "tint", 4.5},
		{"on-accent", "accent", 4.5},
		{"on-accent", "accent-over", 4.5},
		{"edge", "card", 3},
		{"accent", "card", 3},
	} {
		front, back := colors[pair.front], colors[pair.back]
		if len(front) != 2 || len(back) != 2 {
			t.Fatalf("%s and %s need a light and a dark color, but are %v and %v", pair.front, pair.back, front, back)
		}
		for i, scheme := range []string{"light", "dark"} {
			if got := contrast(t, front[i], back[i]); got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want at least %.1f", scheme, pair.front, pair.back, got, pair.least)
			}
		}
	}
}

// contrast is the ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var r, g, b uint8
	if _, err := fmt.Sscanf(hex, "%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatal(err)
	}
	linear := func(c uint8) float64 {
		v := float64(c) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}
