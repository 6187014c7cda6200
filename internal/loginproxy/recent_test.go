package loginproxy

import (
	"testing"
	"time"
)

func TestRecent(t *testing.T) {
	r, start := newRecent(2, time.Minute), time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name   string
		after  time.Duration
		first  bool
		reason string
	}{
		{"a", 0, true, "it is new"},
		{"a", time.Second, false, "it was there"},
		{"b", 2 * time.Second, true, "it is new"},
		{"c", 3 * time.Second, true, "it is new"},
		{"b", 4 * time.Second, false, "it is among the two latest"},
		{"a", 5 * time.Second, true, "two others came after it"},
		{"c", 6 * time.Second, false, "it is among the two latest"},
		{"c", 63 * time.Second, true, "its minute is over"},
		{"a", 64 * time.Second, false, "its minute is not over"},
	} {
		if got := r.first(row.name, start.Add(row.after)); got != row.first {
			t.Errorf("%s after %s: %v: %s", row.name, row.after, got, row.reason)
		}
		if len(r.order) != len(r.names) || len(r.order) > 2 {
			t.Errorf("after %s it remembers %v, %v", row.after, r.order, r.names)
		}
	}
}
