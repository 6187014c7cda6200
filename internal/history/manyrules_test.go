package history_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
)

// TestWhatIsWrittenCanBeRead: entries that many rules granted compress to little
// and are large all the same.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	t.Parallel()
	lists := [2][]string{}
	for i := range 500 {
		lists[0] = append(lists[0], fmt.Sprintf("%016x", i))
	}
	lists[1] = lists[0][1:]
	by := func(entries int) []history.Own {
		own := make([]history.Own, entries)
		for i := range own {
			own[i] = history.Own{At: i, Selectors: lists[i%2]}
		}
		return own
	}
	var h history.History
	mustAdd(t, &h, version(users(0, 2000), by(2000)...))
	mustAdd(t, &h, version(users(1, 2000), by(2000)...))
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
