package accessentry_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func sampleRecord() accessentry.Record {
	return accessentry.Record{Cluster: "c", Mode: accessentry.ModeAPI, Entries: []accessentry.Owned{
		{
			Kind: rules.Role, ARN: "arn:aws:iam::123456789012:role/x/a", Digest: "d", Selectors: []string{"s"},
			HeldSince: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		},
		{Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/b", ID: "AIDA", Digest: "d", Pending: true},
	}}
}

// fullRecord has what version 3 added, too.
func fullRecord() accessentry.Record {
	r := sampleRecord()
	r.Entries[0].Groups = []string{"g", "system:masters"}
	return r
}

func encode(t *testing.T, r accessentry.Record) []byte {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	zoned := sampleRecord()
	zoned.Entries[0].HeldSince = zoned.Entries[0].HeldSince.In(time.FixedZone("CET", 3600))
	for reason, r := range map[string]accessentry.Record{
		"nothing yet": {}, "everything": fullRecord(), "times lose their zone": zoned,
	} {
		got, err := accessentry.DecodeRecord(encode(t, r))
		if err != nil {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		if !got.Equal(r) {
			t.Errorf("%s (-want +got):\n%s", reason, cmp.Diff(r, got))
		}
	}
}

// TestRecordsOfOldAreRead: testdata/record-N.json.gz is sampleRecord, from version
// 3 on fullRecord, as version N of the format first stored it. A new version gets a file beside them; these
// never change.
func TestRecordsOfOldAreRead(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 3; version++ {
		stored, err := os.ReadFile(fmt.Sprintf("testdata/record-%d.json.gz", version))
		if err != nil {
			t.Fatal(err)
		}
		got, err := accessentry.DecodeRecord(stored)
		if err != nil {
			t.Fatal(err)
		}
		want := sampleRecord()
		if version >= 3 {
			want = fullRecord()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %d: -want +got:\n%s", version, diff)
		}
	}
}

func TestRecordEncodingIsDeterministic(t *testing.T) {
	t.Parallel()
	r := sampleRecord()
	want := encode(t, r)
	slices.Reverse(r.Entries)
	before := slices.Clone(r.Entries)
	if !bytes.Equal(want, encode(t, r)) {
		t.Error("the same record in another order gives other bytes")
	}
	if diff := cmp.Diff(before, r.Entries); diff != "" {
		t.Errorf("encoding reordered the caller's entries:\n%s", diff)
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	t.Parallel()
	good := encode(t, sampleRecord())
	entry := `{"version":1,"cluster":"c","entries":[{"kind":"user","arn":%q,"digest":"d"}]}`
	listed := `{"version":%d,"cluster":"c","granted":{%s},"entries":[{"kind":"user","arn":"arn:aws:iam::1:user/b","digest":"d",%s}]}`
	const lists = `"selectors":["a"],"lists":[[0]]`
	for reason, in := range map[string][]byte{
		"nothing":                              nil,
		"text":                                 []byte("x"),
		"half of it":                           good[:len(good)/2],
		"a newer version":                      compressed(t, `{"version":4,"cluster":"c"}`),
		"version 2 with an entry of version 1": compressed(t, fmt.Sprintf(listed, 2, "", `"selectors":["a"]`)),
		"version 1 with an entry of version 2": compressed(t, fmt.Sprintf(listed, 1, "", `"by":1`)),
		"version 1 with lists of version 2":    compressed(t, fmt.Sprintf(listed, 1, lists, `"selectors":["a"]`)),
		"a list that is not there":             compressed(t, fmt.Sprintf(listed, 2, lists, `"by":2`)),
		"a rule that is not there":             compressed(t, fmt.Sprintf(listed, 2, `"selectors":["a"],"lists":[[1]]`, `"by":1`)),
		"no version":                           compressed(t, `{"cluster":"c"}`),
		"a field of nobody":                    compressed(t, `{"version":1,"cluster":"c","more":1}`),
		"a bomb":                               compressed(t, `{"version":1}`+strings.Repeat(" ", 9<<20)),
		"an ARN that is none":                  compressed(t, fmt.Sprintf(entry, "b")),
		"a role of kind user":                  compressed(t, fmt.Sprintf(entry, "arn:aws:iam::123456789012:role/b")),
	} {
		got, err := accessentry.DecodeRecord(in)
		if !errors.Is(err, accessentry.ErrRecord) {
			t.Errorf("%s: %v, want ErrRecord", reason, err)
		}
		if diff := cmp.Diff(accessentry.Record{}, got); diff != "" {
			t.Errorf("%s: part of a record beside the error:\n%s", reason, diff)
		}
	}
	if _, err := accessentry.DecodeRecord(compressed(t, fmt.Sprintf(entry, "arn:aws:iam::123456789012:user/b"))); err != nil {
		t.Errorf("the rows above differ from a good one in more than their reason: %v", err)
	}
	if _, err := accessentry.DecodeRecord(compressed(t, fmt.Sprintf(listed, 2, lists, `"by":1`))); err != nil {
		t.Errorf("the rows about lists differ from a good one in more than their reason: %v", err)
	}
}

// TestRecordOfManyRulesFits: 500 rules that all match everybody must be possible
// to put right, and their list stands in memory once.
func TestRecordOfManyRulesFits(t *testing.T) {
	t.Parallel()
	r := accessentry.Record{Cluster: "c"}
	var by []string
	for j := range 500 {
		by = append(by, fmt.Sprintf("%016x", j))
	}
	for i := range accessentry.Limit {
		r.Entries = append(r.Entries, accessentry.Owned{
			Kind: rules.User, ARN: fmt.Sprintf("arn:aws:iam::123456789012:user/u%04d", i), Digest: "d", Selectors: by,
		})
	}
	b := encode(t, r)
	if len(b) > 100<<10 {
		t.Errorf("the record takes %d KiB", len(b)>>10)
	}
	got, err := accessentry.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Entries[1].Selectors, by) {
		t.Error("it comes back otherwise")
	}
	if e := got.Entries; &e[0].Selectors[0] != &e[1].Selectors[0] {
		t.Error("equal lists stand in memory twice")
	}
	r.Cluster = strings.Repeat("x", 8<<20)
	if _, err := r.Encode(); !errors.Is(err, gzipjson.ErrTooLarge) {
		t.Errorf("more than 8 MiB: %v, want ErrTooLarge", err)
	}
}

func compressed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
