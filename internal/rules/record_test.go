package rules_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func sampleRecord() rules.Record {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	return rules.Record{
		Entries: []rules.Owned{
			{
				Kind: rules.Role, ARN: "arn:aws:iam::123456789012:role/a/X",
				Digest: rules.ContentDigest("x", nil), Selectors: []string{"0123456789abcdef"},
			},
			{
				Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/b",
				Digest: rules.ContentDigest("b", []string{"g"}), HeldSince: at,
			},
			{
				Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/b",
				Digest: rules.ContentDigest("b2", []string{"g"}), Forget: at.Add(time.Minute),
			},
		},
		Originals: map[string]rules.Original{"mapUsers": {}, "mapRoles": {Present: true, Value: "# none\r\n[]"}},
		Rules:     map[string]string{"mapUsers": "- arnRegex: ^…$\n"},
		Removals:  []rules.Removal{{Kind: rules.User, AccountID: "123456789012", At: at, Count: 3}},
		Seen:      true,
		Spent:     []string{"0123456789abcdef"},
	}
}

// fullRecord has what version 3 added, too.
func fullRecord() rules.Record {
	r := sampleRecord()
	at := r.Removals[0].At
	r.Entries[1].Out, r.Entries[1].Groups = at, []string{"g", "h"}
	r.Spent = append(r.Spent, "0123456789abcdef.2")
	r.Approval = rules.Approval{Value: "0123456789abcdef.3", Since: at}
	r.Former = []rules.Former{
		{Kind: rules.User, Rule: "a-1", Was: "b-1", Groups: []string{"g"}},
		{Kind: rules.User, Rule: "a-1", Was: "c-1"},
	}
	r.Missing = map[string]time.Time{"arn:aws:iam::123456789012:user/b": at, "arn:aws:iam::123456789012:user/c": at, "x": at.Add(time.Second)}
	r.Lost = &rules.Loss{At: at, Entries: slices.Clone(r.Entries[:1]), AccessEntries: slices.Clone(r.Entries[1:2])}
	return r
}

// byContent sorts as Encode does, so that records compare as sets.
func byContent(r rules.Record) rules.Record {
	slices.SortFunc(r.Entries, func(a, b rules.Owned) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	tests := map[string]rules.Record{
		"nothing yet": {},
		"accepted rules without a key are not the same as none accepted": {Rules: map[string]string{}},
		"everything": fullRecord(),
		"times lose only their zone": {Removals: []rules.Removal{
			{Kind: rules.Role, AccountID: "1", At: time.Date(2026, 3, 1, 12, 0, 0, 1, berlin), Count: 1},
		}},
	}
	for reason, r := range tests {
		b, err := r.Encode()
		if err != nil {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		got, err := rules.DecodeRecord(b)
		if err != nil {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		sameInstant := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
		if diff := cmp.Diff(byContent(r), byContent(got), sameInstant); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
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
		got, err := rules.DecodeRecord(stored)
		if err != nil {
			t.Fatal(err)
		}
		want := sampleRecord()
		if version >= 3 {
			want = fullRecord()
		}
		if diff := cmp.Diff(byContent(want), byContent(got)); diff != "" {
			t.Errorf("version %d: -want +got:\n%s", version, diff)
		}
	}
}

func TestRecordEncodingIsDeterministic(t *testing.T) {
	t.Parallel()
	r := sampleRecord()
	want, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(r.Entries)
	before := slices.Clone(r.Entries)
	got, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("the same record in another order gives other bytes")
	}
	if diff := cmp.Diff(before, r.Entries); diff != "" {
		t.Errorf("encoding reordered the caller's entries:\n%s", diff)
	}
}

func TestRecordOfAFullAccountFits(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	r := rules.Record{Rules: map[string]string{"mapUsers": strings.Repeat("- arnRegex: ^arn:aws:iam::000000000001:user/a$\n  username: a\n", 500)}}
	for i := range 7000 {
		r.Entries = append(r.Entries, rules.Owned{
			Kind: rules.User,
			ARN: fmt.Sprintf("arn:aws:iam::123456789012:user/vault/team-%d/vault-token-terraform-%d-%x",
				i%40, 1700000000+i, rnd.Uint64()),
			Digest:    rules.ContentDigest(fmt.Sprint("user", i), []string{"developers"}),
			Selectors: []string{fmt.Sprintf("%016x", i%100)},
		})
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("7,000 entries take %d KiB", len(b)>>10)
	if len(b) > 600<<10 {
		t.Errorf("7,000 entries take %d KiB; binaryData holds 900 KiB with its base64 aside", len(b)>>10)
	}
}

func TestRecordRefusesWhatItCouldNotGiveBack(t *testing.T) {
	t.Parallel()
	owned := rules.Owned{Kind: rules.User, ARN: "arn:aws:iam::000000000001:user/b", Digest: rules.ContentDigest("b", nil)}
	role := owned
	role.Kind = rules.Role
	unknown := owned
	unknown.Kind = "group"
	noARN := owned
	noARN.ARN = "b"
	tests := map[string]rules.Record{
		"an entry of the other kind":    {Entries: []rules.Owned{role}},
		"an entry of no kind":           {Entries: []rules.Owned{unknown}},
		"an entry without an ARN":       {Entries: []rules.Owned{noARN}},
		"an original that is not UTF-8": {Originals: map[string]rules.Original{"mapUsers": {Present: true, Value: "\xff"}}},
		"rules that are not UTF-8":      {Rules: map[string]string{"mapUsers": "\xff"}},
		"a digest that is not UTF-8":    {Entries: []rules.Owned{{Kind: rules.User, ARN: owned.ARN, Digest: "\xff"}}},
		"a removal of nothing":          {Removals: []rules.Removal{{Kind: rules.User, Count: -1}}},
	}
	for reason, r := range tests {
		if _, err := r.Encode(); err == nil {
			t.Errorf("Encode accepted %s", reason)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	t.Parallel()
	good, err := sampleRecord().Encode()
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	entry := `{"version":1,"rules":null,"entries":[{"kind":"user","arn":"%s","digest":"` + strings.Repeat("0", 32) + `"}]}`
	listed := `{"version":%d,"rules":null,"granted":{%s},"entries":[{"kind":"user","arn":"arn:aws:iam::000000000001:user/b","digest":"d",%s}]}`
	const lists = `"selectors":["a"],"lists":[[0]]`
	tests := map[string]struct {
		reason string
		in     []byte
	}{
		"empty":     {"a record that was emptied is not an empty record", nil},
		"text":      {"not compressed", []byte(`{"version":1}`)},
		"truncated": {"half a record", good[:len(good)-9]},
		"flipped":   {"one bit", flipped},
		"followed":  {"something behind it", append(bytes.Clone(good), 'x')},
		"twice":     {"two records", append(bytes.Clone(good), good...)},
		"newer":     {"a newer version", compress(t, `{"version":4,"entries":[],"rules":null,"more":1}`)},
		"older":     {"no version", compress(t, `{"entries":[],"rules":null}`)},
		"inline 2":  {"version 2 with an entry of version 1", compress(t, fmt.Sprintf(listed, 2, `"selectors":["a"]`, `"selectors":["a"]`))},
		"by 1":      {"version 1 with an entry of version 2", compress(t, fmt.Sprintf(listed, 1, "", `"by":1`))},
		"lists 1":   {"version 1 with lists of version 2", compress(t, fmt.Sprintf(listed, 1, `"selectors":["a"]`, `"selectors":["a"]`))},
		"no list":   {"a list that is not there", compress(t, fmt.Sprintf(listed, 2, lists, `"by":2`))},
		"negative":  {"a list of no number", compress(t, fmt.Sprintf(listed, 2, lists, `"by":-1`))},
		"no rule":   {"a list with a rule that is not there", compress(t, fmt.Sprintf(listed, 2, `"selectors":["a"],"lists":[[1]]`, `"by":1`))},
		"below 0":   {"a list with a rule of no number", compress(t, fmt.Sprintf(listed, 2, `"selectors":["a"],"lists":[[-1]]`, `"by":1`))},
		"unknown":   {"a field of nobody", compress(t, `{"version":1,"entries":[],"rules":null,"more":1}`)},
		"two":       {"two JSON values", compress(t, `{"version":1,"entries":[],"rules":null}{}`)},
		"list":      {"not an object", compress(t, `[]`)},
		"bad ARN":   {"an ARN that is none", compress(t, fmt.Sprintf(entry, "b"))},
		"role":      {"a role among users", compress(t, fmt.Sprintf(entry, "arn:aws:iam::000000000001:role/b"))},
		"bomb":      {"17 MiB of spaces in 17 KiB", compress(t, `{"version":1}`+strings.Repeat(" ", 17<<20))},
	}
	for name, tc := range tests {
		got, err := rules.DecodeRecord(tc.in)
		if !errors.Is(err, rules.ErrRecord) {
			t.Errorf("%s: error %v, want ErrRecord: %s", name, err, tc.reason)
		}
		if diff := cmp.Diff(rules.Record{}, got); diff != "" {
			t.Errorf("%s: part of a record beside the error:\n%s", name, diff)
		}
	}
	if _, err := rules.DecodeRecord(compress(t, fmt.Sprintf(entry, "arn:aws:iam::000000000001:user/b"))); err != nil {
		t.Errorf("the rows above differ from a good one in more than their reason: %v", err)
	}
	if _, err := rules.DecodeRecord(compress(t, fmt.Sprintf(listed, 2, lists, `"by":1`))); err != nil {
		t.Errorf("the rows about lists differ from a good one in more than their reason: %v", err)
	}
}

func compress(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzDecodeRecord(f *testing.F) {
	b, err := sampleRecord().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Add(compress(f, `{"version":1,"entries":[],"rules":{}}`))
	f.Add(compress(f, `{"version":2,"granted":{"selectors":["a","b"],"lists":[[1,0],[]]},"entries":[{"kind":"user","arn":"arn:aws:iam::000000000001:user/b","by":1}]}`))
	f.Add(compress(f, `{"version":1,"entries":[{"kind":"user","arn":"arn:aws:iam::000000000001:user/b","selectors":[],"heldSince":"2026-03-01T12:00:00+01:00"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := rules.DecodeRecord(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatalf("a record that was read cannot be written: %v", err)
		}
		back, err := rules.DecodeRecord(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(byContent(r), byContent(back)); diff != "" {
			t.Fatal(diff)
		}
	})
}
