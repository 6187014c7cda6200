package history_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
)

// TestWhatIsWrittenCanBeRead: entries that many rules granted compress to little
// and are large all the same.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	t.Parallel()
	// As much as 500 rules take.
	lists := [2][]string{{strings.Repeat("a", 9<<10)}, {strings.Repeat("b", 9<<10)}}
	by := func(entries int) []history.Own {
		own := make([]history.Own, entries)
		for i := range own {
			own[i] = history.Own{At: i, Selectors: lists[i%2]}
		}
		return own
	}
	var h history.History
	mustAdd(t, &h, version("", by(3500)...))
	mustAdd(t, &h, version("", by(300)...))
	b, err := h.Encode(history.MaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := history.Decode(b)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	if n := len(got.Versions()); n != 1 {
		t.Errorf("%d versions, want the newest one, as there is no room for both", n)
	}
	var alone history.History
	mustAdd(t, &alone, version("", by(4000)...))
	if _, err := alone.Encode(history.MaxBytes); !errors.Is(err, history.ErrTooLarge) {
		t.Errorf("a version that is too large to be read back: %v, want ErrTooLarge", err)
	}
}
