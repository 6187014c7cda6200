package session_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

func TestUpdate(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			id := b.create(t, nil)
			first := b.mustPeek(t, id)
			second, err := b.replica.Peek(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}

			first.RefreshToken = "refresh-2"
			if err := b.Update(t.Context(), id, first); err != nil {
				t.Fatal(err)
			}
			second.RefreshToken = "refresh-lost"
			if err := b.replica.Update(t.Context(), id, second); !errors.Is(err, session.ErrConflict) {
				t.Errorf("an update of what was changed meanwhile answered %v, want ErrConflict", err)
			}
			got := b.mustPeek(t, id)
			if got.RefreshToken != "refresh-2" || got.Version != 2 {
				t.Errorf("refresh token %q, version %d, want refresh-2, 2", got.RefreshToken, got.Version)
			}

			got.Subject = "mallory"
			if err := b.Update(t.Context(), id, got); err == nil {
				t.Error("an update made the session somebody else's")
			}
			got = b.mustPeek(t, id)
			got.Ends = b.now()
			if err := b.Update(t.Context(), id, got); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("an update whose end has passed answered %v, want ErrNotFound", err)
			}
			if got = b.mustPeek(t, id); got.Version != 2 || got.Subject != "alice" {
				t.Errorf("refused updates changed it: %v, version %d", got, got.Version)
			}
		})
	}
}

func TestALateUpdateBringsNothingBack(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			id := b.create(t, nil)
			seen := b.mustPeek(t, id)
			if _, err := b.replica.End(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err := b.Update(t.Context(), id, seen); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("the late update answered %v, want ErrNotFound", err)
			}
			b.gone(t, id, "it was ended before the update")
		})
	}
}

func TestOneOfManyUpdatesWins(t *testing.T) {
	const writers = 8
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.open(t)
			id := b.create(t, nil)
			seen := b.mustPeek(t, id)
			var group sync.WaitGroup
			won := make(chan string, writers)
			for i := range writers {
				group.Go(func() {
					s := seen
					s.RefreshToken = fmt.Sprintf("refresh-by-%d", i)
					switch err := []store{b.store, b.replica}[i%2].Update(t.Context(), id, s); {
					case err == nil:
						won <- s.RefreshToken
					case !errors.Is(err, session.ErrConflict):
						t.Errorf("Update answered %v, want ErrConflict", err)
					}
				})
			}
			group.Wait()
			close(won)
			var winners []string
			for w := range won {
				winners = append(winners, w)
			}
			if got := b.mustPeek(t, id); len(winners) != 1 || got.RefreshToken != winners[0] || got.Version != 2 {
				t.Errorf("winners %v, stored %q, version %d", winners, got.RefreshToken, got.Version)
			}
		})
	}
}
