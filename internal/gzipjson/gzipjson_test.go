package gzipjson_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
)

type document struct {
	Version int               `json:"version"`
	Data    map[string]string `json:"data,omitempty"`
}

func format() gzipjson.Format { return gzipjson.Format{Version: 3, MaxMiB: 1} }

func decode(b []byte) (document, error) {
	return gzipjson.Decode[document](b, format())
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	b, err := gzipjson.Encode(value, format())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := document{Version: 3, Data: map[string]string{"b": "<&>", "a": "…\x00\r\n", "": ""}}
	b := encode(t, want)
	for range 20 {
		if !bytes.Equal(b, encode(t, want)) {
			t.Fatal("the same value gives other bytes")
		}
	}
	got, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := gzipjson.Encode(func() {}, format()); err == nil {
		t.Error("what JSON has no words for was encoded")
	}
}

// TestDecodeRefuses goes by the words of the errors, too: they are what a person
// finds in the status.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := encode(t, document{Version: 3, Data: map[string]string{"a": "b"}})
	with := func(at int, bit byte) []byte {
		b := bytes.Clone(good)
		b[at] ^= bit
		return b
	}
	exactly := func(n int) []byte {
		const head = `{"version":3}`
		return compressed(t, head+strings.Repeat(" ", n-len(head)))
	}
	for _, tt := range []struct {
		reason string
		in     []byte
		want   string
	}{
		{"nothing", nil, "it is empty or missing"},
		{"not compressed", []byte(`{"version":3}`), "decompressing it: gzip: invalid header"},
		{"half of it", good[:len(good)/2], "decompressing it: unexpected EOF"},
		{"without its checksum", good[:len(good)-8], "decompressing it: unexpected EOF"},
		{"one bit of the checksum", with(len(good)-8, 1), "decompressing it: gzip: invalid checksum"},
		{"a byte behind it", append(bytes.Clone(good), 'x'), "something follows its end"},
		{"twice", append(bytes.Clone(good), good...), "something follows its end"},
		{"a newer version that reads otherwise", compressed(t, `{"version":4,"data":[],"more":1}`), "its format has version 4 and this program reads version 3"},
		{"an older version", compressed(t, `{"version":2}`), "its format has version 2 and this program reads version 3"},
		{"no version", compressed(t, `{}`), "its format has version 0 and this program reads version 3"},
		{"null", compressed(t, `null`), "its format has version 0 and this program reads version 3"},
		{"not an object", compressed(t, `[]`), "reading the version of its format: json: cannot unmarshal array"},
		{"a version in words", compressed(t, `{"version":"3"}`), "reading the version of its format: json: cannot unmarshal string"},
		{"another type", compressed(t, `{"version":3,"data":[]}`), "json: cannot unmarshal array"},
		{"a field of nobody", compressed(t, `{"version":3,"more":1}`), `json: unknown field "more"`},
		{"two values", compressed(t, `{"version":3}{}`), "reading the version of its format: invalid character '{' after top-level value"},
		{"one byte too many", exactly(1<<20 + 1), "decompressed it is larger than 1 MiB"},
		{"a bomb", exactly(4 << 20), "decompressed it is larger than 1 MiB"},
	} {
		got, err := decode(tt.in)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.reason, err, tt.want)
		}
		if diff := cmp.Diff(document{}, got); diff != "" {
			t.Errorf("%s: part of a value beside the error:\n%s", tt.reason, diff)
		}
	}
	if _, err := decode(exactly(1 << 20)); err != nil {
		t.Errorf("as large as allowed: %v", err)
	}
}

// TestEncodeRefusesWhatDecodeWould: else what was written could never be read
// again.
func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	t.Parallel()
	of := func(n int) document {
		const head, tail = `{"version":3,"data":{"":"`, `"}}`
		return document{Version: 3, Data: map[string]string{"": strings.Repeat("x", n-len(head)-len(tail))}}
	}
	if _, err := decode(encode(t, of(1<<20))); err != nil {
		t.Errorf("as large as allowed: %v", err)
	}
	_, err := gzipjson.Encode(of(1<<20+1), format())
	if !errors.Is(err, gzipjson.ErrTooLarge) || !strings.Contains(err.Error(), "2 MiB of JSON, where 1 may be") {
		t.Errorf("one byte too many: %v, want ErrTooLarge", err)
	}
}

func TestOlderVersions(t *testing.T) {
	t.Parallel()
	f := gzipjson.Format{Version: 3, Oldest: 2, MaxMiB: 1}
	for _, tt := range []struct {
		reason, in, want string
	}{
		{"the version that is written", `{"version":3}`, ""},
		{"the oldest one", `{"version":2}`, ""},
		{"an older one", `{"version":1}`, "its format has version 1 and this program reads versions 2 to 3"},
		{"a newer one", `{"version":4}`, "its format has version 4 and this program reads versions 2 to 3"},
		{"none", `{}`, "its format has version 0 and this program reads versions 2 to 3"},
	} {
		got := ""
		if _, err := gzipjson.Decode[document](compressed(t, tt.in), f); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.reason, got, tt.want)
		}
	}
}

func compressed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, document{Version: 3, Data: map[string]string{"a": "b"}}))
	f.Add(compressed(f, `{"version":3,"Version":3,"data":{"\ud800":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b)
		if err != nil {
			return
		}
		if back, err := decode(encode(t, got)); err == nil && !cmp.Equal(got, back) {
			t.Errorf("read, written and read is not the same:\n%s", cmp.Diff(got, back))
		}
	})
}
