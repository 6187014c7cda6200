// Package gzipjson writes a value as compressed JSON, as it is stored in a
// ConfigMap, and reads it back: all of it or nothing, and never more than the
// caller expects. What the value means, and whether it can be true, is left to
// the caller.
package gzipjson

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge is what an error of Encode wraps if Decode would refuse the value
// for its size.
var ErrTooLarge = errors.New("it is too large to be read back")

// Format is what one kind of value is stored as.
type Format struct {
	// Version is that of an object's field "version".
	Version int
	// Oldest is the first version that is read, too; default: Version, and no
	// other one. The caller tells them apart.
	Oldest int
	// MaxMiB bounds the JSON, once decompressed.
	MaxMiB int
}

// Encode gives the value, an object with its format's version in the field
// "version", as compressed JSON: always the same bytes for the same value. Text
// that is not UTF-8 does not come back as it was. What is larger than the format
// allows is an error that wraps ErrTooLarge.
func Encode(value any, format Format) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	if len(text) > format.MaxMiB<<20 {
		return nil, fmt.Errorf("%w: %d MiB of JSON, where %d may be", ErrTooLarge, (len(text)-1)>>20+1, format.MaxMiB)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err = z.Write(text)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("compressing it: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote. Another version, a field that T does not have,
// anything behind the end and anything larger than the format allows is an
// error, and the value then the zero one.
func Decode[T any](b []byte, format Format) (T, error) {
	var none, value T
	text, err := decompress(b, format.MaxMiB)
	if err != nil {
		return none, err
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return none, fmt.Errorf("reading the version of its format: %w", err)
	}
	if err := format.reads(head.Version); err != nil {
		return none, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&value); err != nil {
		return none, err
	}
	return value, nil
}

func (f Format) reads(version int) error {
	switch oldest := cmp.Or(f.Oldest, f.Version); {
	case oldest <= version && version <= f.Version:
		return nil
	case oldest < f.Version:
		return fmt.Errorf("its format has version %d and this program reads versions %d to %d", version, oldest, f.Version)
	default:
		return fmt.Errorf("its format has version %d and this program reads version %d", version, f.Version)
	}
}

func decompress(b []byte, mib int) ([]byte, error) {
	if len(b) == 0 {
		return nil, errors.New("it is empty or missing")
	}
	in := bytes.NewReader(b)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("decompressing it: %w", err)
	}
	z.Multistream(false)
	text, err := io.ReadAll(io.LimitReader(z, int64(mib)<<20+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompressing it: %w", err)
	case len(text) > mib<<20:
		return nil, fmt.Errorf("decompressed it is larger than %d MiB", mib)
	case in.Len() > 0:
		return nil, errors.New("something follows its end")
	}
	return text, nil
}
