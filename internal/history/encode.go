package history

import (
	"errors"
	"fmt"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
)

const (
	// maxEntries bounds the entries of one version: the shortest one that EKS
	// reads takes more than 30 bytes of 1 MiB.
	maxEntries = 1 << 16
)

func format() gzipjson.Format {
	return gzipjson.Format{Version: 1, MaxMiB: 32} // ten versions without anything in common
}

type wire struct {
	Version  int      `json:"version"`
	Last     int      `json:"last"`
	Versions []stored `json:"versions"`
	Pieces   []string `json:"pieces"`
}

// Encode gives the history as compressed JSON of at most limit bytes, for which
// it forgets the oldest versions. If the newest one alone is too large, the
// error is ErrTooLarge.
func (h *History) Encode(limit int) ([]byte, error) {
	for {
		b, err := gzipjson.Encode(wire{format().Version, h.next, h.versions, h.pieces}, format())
		switch tooLarge := errors.Is(err, gzipjson.ErrTooLarge); {
		case err != nil && !tooLarge:
			return nil, fmt.Errorf("encoding the history: %w", err)
		case len(b) <= limit && !tooLarge:
			return b, nil
		}
		if len(h.versions) <= 1 {
			return nil, ErrTooLarge
		}
		// Of many several at once, so that few attempts do.
		h.forget(len(h.versions) - max(1, len(h.versions)/8))
	}
}

// Decode reads what Encode wrote. Anything else, and what a newer version of
// this program wrote, is an error that wraps ErrUnusable.
func Decode(b []byte) (*History, error) {
	w, err := gzipjson.Decode[wire](b, format())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	h := &History{versions: w.Versions, pieces: w.Pieces, next: w.Last}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return h, nil
}

// check refuses what Add and Encode cannot have written, above all what would
// take much memory.
func (h *History) check() error {
	last := 0
	for _, s := range h.versions {
		if s.ID <= last || s.ID > h.next {
			return fmt.Errorf("version %d is out of order", s.ID)
		}
		last = s.ID
		size := 0
		for key, spans := range s.Data {
			for _, span := range spans {
				if span[0] < 0 || span[1] < 1 || span[1] > len(h.pieces) || span[0] > len(h.pieces)-span[1] {
					return fmt.Errorf("version %d: a piece of %q is missing", s.ID, key)
				}
				for _, piece := range h.pieces[span[0] : span[0]+span[1]] {
					if size += len(piece) + 1; size > maxVersion {
						return fmt.Errorf("version %d is larger than %d MiB", s.ID, maxVersion>>20)
					}
				}
			}
		}
		end := 0
		for _, g := range s.Ours {
			if g.From < end || g.From > maxEntries || g.Count < 1 || g.Count > maxEntries {
				return fmt.Errorf("version %d: its own entries are out of order", s.ID)
			}
			end = g.From + g.Count
		}
	}
	return nil
}
