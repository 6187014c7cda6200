package history_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func users(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		rnd := rand.New(rand.NewPCG(7, uint64(i)))
		fmt.Fprintf(&b, "- userarn: arn:aws:iam::123456789012:user/vault/team-%02d/vault-token-terraform-%d-%016x\n"+
			"  username: team-%02d\n  groups:\n  - developers\n", i%100, 1700000000+i, rnd.Uint64(), i%100)
	}
	return b.String()
}

func version(mapUsers string, ours ...history.Own) history.Version {
	return history.Version{At: noon, Data: map[string]string{"mapUsers": mapUsers}, Ours: ours}
}

func mustAdd(t testing.TB, h *history.History, v history.Version) {
	t.Helper()
	if _, err := h.Add(v, 10); err != nil {
		t.Fatal(err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	own := history.Own{At: 1, Selectors: []string{"a"}}
	tests := map[string][]history.Version{
		"nothing":                     {},
		"no data":                     {{At: noon, Data: map[string]string{}}},
		"empty, blank and odd values": {{At: noon, Data: map[string]string{"mapUsers": "", "mapRoles": " \r\n\x00", "arn:aws": "arn:aws"}}},
		"binary data":                 {{At: noon, Data: map[string]string{}, BinaryData: map[string][]byte{"x": {0xff, 0}}}},
		"users come and go":           {version(users(0, 3)), version(users(1, 4)), version(users(0, 3))},
		"JSON": {version(`[{"userarn":"arn:aws:iam::1:user/a"},{"userarn":"arn:aws:iam::1:user/b"}]`),
			version(`[{"userarn":"arn:aws:iam::1:user/b"}]`)},
		"ours, with gaps, several rules and a path": {version(users(0, 9), own,
			history.Own{At: 2, Selectors: []string{"a"}}, history.Own{At: 4, Selectors: []string{"a"}},
			history.Own{At: 5, Selectors: []string{"a", "b"}, Principal: "arn:aws:iam::1:role/path/x"}, history.Own{At: 6})},
	}
	for reason, versions := range tests {
		var h history.History
		for i := range versions {
			mustAdd(t, &h, versions[i])
			versions[i].ID = i + 1
		}
		encoded, err := h.Encode(history.MaxBytes)
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		got, err := history.Decode(encoded)
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		if diff := cmp.Diff(versions, got.Versions()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
}

// TestHistoriesOfOldAreRead: testdata/history-1.json.gz is the history of these
// versions as it was first stored. A new format gets a file beside it; this one
// never changes.
func TestHistoriesOfOldAreRead(t *testing.T) {
	t.Parallel()
	want := []history.Version{
		version(users(0, 3)),
		version(users(1, 4), history.Own{At: 1, Selectors: []string{"a", "b"}, Principal: "arn:aws:iam::1:role/path/x"}, history.Own{At: 2}),
		{At: noon, Data: map[string]string{"mapUsers": "", "mapRoles": " \r\n"}, BinaryData: map[string][]byte{"x": {0xff, 0}}},
	}
	for i := range want {
		want[i].ID = i + 1
	}
	stored, err := os.ReadFile("testdata/history-1.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	got, err := history.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Versions()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAddKeepsTheLastVersions(t *testing.T) {
	t.Parallel()
	var h history.History
	for i := range 25 {
		if added, err := h.Add(version(users(i, i+5)), 10); err != nil || !added {
			t.Fatalf("version %d: added %t, %v", i, added, err)
		}
	}
	all := h.Versions()
	if len(all) != 10 || all[0].ID != 16 || all[9].ID != 25 {
		t.Fatalf("%d versions from %d on, want 10 from 16 on", len(all), all[0].ID)
	}
	for i, v := range all {
		if v.Data["mapUsers"] != users(15+i, 20+i) {
			t.Errorf("version %d is another one after others were forgotten", v.ID)
		}
	}
	added, err := h.Add(version(users(24, 29)), 3)
	if err != nil || !added {
		t.Errorf("with fewer to keep: changed %t, %v", added, err)
	}
	if all = h.Versions(); len(all) != 3 || all[2].ID != 25 {
		t.Errorf("%d versions up to %d, want 3 up to 25: the newest is not kept twice", len(all), all[2].ID)
	}
	if added, err := h.Add(version(users(24, 29)), 3); added || err != nil {
		t.Errorf("the same once more: changed %t, %v", added, err)
	}
	if _, err := h.Add(version(users(24, 29), history.Own{At: 2}), 3); err != nil {
		t.Fatal(err)
	}
	if all = h.Versions(); len(all) != 3 || all[2].ID != 25 || len(all[2].Ours) != 1 {
		t.Errorf("another ownership of the same text makes %+v", all[2])
	}
}

func TestAddRefusesWhatItCouldNotGiveBack(t *testing.T) {
	t.Parallel()
	var h history.History
	if _, err := h.Add(version("\xff"), 10); err == nil {
		t.Error("text that is not UTF-8 was accepted")
	}
	if len(h.Versions()) != 0 {
		t.Error("and was kept")
	}
}

// TestAFullAccountFits: ten versions of an aws-auth of nearly 1 MiB.
func TestAFullAccountFits(t *testing.T) {
	t.Parallel()
	var h history.History
	for i := range 10 {
		mustAdd(t, &h, version(users(i*20, 5500+i*20)))
	}
	encoded, err := h.Encode(history.MaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ten versions of %d KiB take %d KiB", len(users(0, 5500))>>10, len(encoded)>>10)
	if n := len(h.Versions()); n != 10 {
		t.Errorf("%d versions fit, want 10", n)
	}
}

func TestEncodeForgetsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	noise := func(seed uint64) string {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var b strings.Builder
		for range 1000 {
			fmt.Fprintf(&b, "%016x", rnd.Uint64())
		}
		return "# " + b.String()
	}
	var h history.History
	for i := range 10 {
		mustAdd(t, &h, version(noise(uint64(i))))
	}
	const limit = 30 << 10
	encoded, err := h.Encode(limit)
	if err != nil || len(encoded) > limit {
		t.Fatalf("%d bytes, %v", len(encoded), err)
	}
	got, err := history.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	all := got.Versions()
	if len(all) < 2 || all[len(all)-1].Data["mapUsers"] != noise(9) {
		t.Errorf("%d versions are left, without the newest", len(all))
	}
	if _, err := h.Encode(100); !errors.Is(err, history.ErrTooLarge) {
		t.Errorf("a version that is too large alone gives %v", err)
	}
}

func compressed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	var h history.History
	mustAdd(t, &h, version(users(0, 50)))
	good, err := h.Encode(history.MaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	one := `{"version":1,"last":9,"pieces":["a"],"versions":[{"id":1,"data":{"mapUsers":%s},"ours":%s}]}`
	tests := map[string][]byte{
		"nothing":                  nil,
		"text":                     []byte("garbage"),
		"half of it":               good[:len(good)/2],
		"one bit changed":          flipped,
		"something behind it":      append(bytes.Clone(good), 'x'),
		"a newer format":           compressed(t, `{"version":2}`),
		"a bomb":                   compressed(t, `{"version":1}`+strings.Repeat(" ", 33<<20)),
		"IDs out of order":         compressed(t, `{"version":1,"last":9,"versions":[{"id":2},{"id":2}]}`),
		"IDs that are yet to come": compressed(t, `{"version":1,"last":1,"versions":[{"id":2}]}`),
		"a missing piece":          compressed(t, fmt.Sprintf(one, `[[0,2]]`, `[]`)),
		"a piece before the first": compressed(t, fmt.Sprintf(one, `[[-1,1]]`, `[]`)),
		"a number that overflows":  compressed(t, fmt.Sprintf(one, `[[1,9223372036854775807]]`, `[]`)),
		"pieces without end": compressed(t, strings.Replace(fmt.Sprintf(one, `[[0,1]`+strings.Repeat(`,[0,1]`, 2100)+`]`, `[]`),
			`"a"`, `"`+strings.Repeat("a", 1000)+`"`, 1)),
		"entries of ours below 0":   compressed(t, fmt.Sprintf(one, `[]`, `[{"from":-1,"count":1}]`)),
		"entries without end":       compressed(t, fmt.Sprintf(one, `[]`, `[{"from":0,"count":1000000000}]`)),
		"entries that come twice":   compressed(t, fmt.Sprintf(one, `[]`, `[{"from":1,"count":3},{"from":2,"count":1}]`)),
		"something that is no list": compressed(t, `{"version":1,"versions":{}}`),
	}
	for reason, b := range tests {
		if _, err := history.Decode(b); !errors.Is(err, history.ErrUnusable) {
			t.Errorf("%s: %v, want ErrUnusable", reason, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var h history.History
	mustAdd(f, &h, version(users(0, 3), history.Own{At: 1, Selectors: []string{"a"}}))
	mustAdd(f, &h, version(users(1, 4)))
	good, err := h.Encode(history.MaxBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := history.Decode(b)
		if err != nil {
			return
		}
		before := h.Versions()
		again, err := h.Encode(1 << 20)
		if err != nil {
			return
		}
		got, err := history.Decode(again)
		if err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
		if kept := got.Versions(); len(kept) == len(before) && !cmp.Equal(before, kept) {
			t.Errorf("read, written and read is not the same:\n%s", cmp.Diff(before, kept))
		}
	})
}

// BenchmarkKeep is what one write of a full aws-auth costs more for its history.
func BenchmarkKeep(b *testing.B) {
	for _, n := range []int{100, 1000, 5500} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			var h history.History
			for i := range 10 {
				mustAdd(b, &h, version(users(i, n+i)))
			}
			encoded, err := h.Encode(history.MaxBytes)
			if err != nil {
				b.Fatal(err)
			}
			next := 10
			for b.Loop() {
				h, err := history.Decode(encoded)
				if err != nil {
					b.Fatal(err)
				}
				mustAdd(b, h, version(users(next, n+next)))
				next++
				if encoded, err = h.Encode(history.MaxBytes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(encoded)), "B-stored")
		})
	}
}
