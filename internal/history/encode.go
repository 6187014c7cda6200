package history

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	formatVersion = 1
	// maxText bounds the decompressed history: ten versions without anything in
	// common.
	maxText = 32 << 20
	// maxEntries bounds the entries of one version: the shortest one that EKS
	// reads takes more than 30 bytes of 1 MiB.
	maxEntries = 1 << 16
)

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
		text, err := json.Marshal(wire{formatVersion, h.next, h.versions, h.pieces})
		if err != nil {
			return nil, fmt.Errorf("encoding the history: %w", err)
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(text); err != nil {
			return nil, fmt.Errorf("compressing the history: %w", err)
		}
		if err := z.Close(); err != nil {
			return nil, fmt.Errorf("compressing the history: %w", err)
		}
		if b.Len() <= limit {
			return b.Bytes(), nil
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
	text, err := decompress(b)
	if err != nil {
		return nil, fmt.Errorf("%w: decompressing it: %w", ErrUnusable, err)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%w: reading its format: %w", ErrUnusable, err)
	}
	if head.Version != formatVersion {
		return nil, fmt.Errorf("%w: it has format %d and this program reads format %d", ErrUnusable, head.Version, formatVersion)
	}
	var w wire
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	h := &History{versions: w.Versions, pieces: w.Pieces, next: w.Last}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return h, nil
}

func decompress(b []byte) ([]byte, error) {
	in := bytes.NewReader(b)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	text, err := io.ReadAll(io.LimitReader(z, maxText+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxText:
		return nil, fmt.Errorf("it is larger than %d MiB", maxText>>20)
	case in.Len() > 0:
		return nil, errors.New("something follows its end")
	}
	return text, nil
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
