package session_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

func TestNewKeysRefusesShortSecrets(t *testing.T) {
	for _, c := range []struct {
		secret   []byte
		previous [][]byte
		want     string
	}{
		{nil, nil, "the cookie secret has 0 bytes and needs at least 32: make one with `openssl rand -base64 32`"},
		{secretA[:31], nil, "the cookie secret has 31 bytes and needs at least 32: make one with `openssl rand -base64 32`"},
		{secretA, [][]byte{secretB, {1}}, "previous cookie secret 2 has 1 bytes and needs at least 32: make one with `openssl rand -base64 32`"},
	} {
		if _, err := session.NewKeys(c.secret, c.previous...); err == nil || err.Error() != c.want {
			t.Errorf("NewKeys answered %v, want %s", err, c.want)
		}
	}
}

func TestOpen(t *testing.T) {
	k, plain, with := keys(t, secretA), []byte("plain"), []byte("with")
	sealed := k.Seal("purpose", plain, with)
	flipped := []byte(sealed)
	flipped[len(flipped)/2] ^= 1
	for _, c := range []struct {
		reason, purpose, sealed string
		keys                    *session.Keys
		with                    []byte
		want                    []byte
	}{
		{"as it was sealed", "purpose", sealed, k, with, plain},
		{"after the secret was replaced", "purpose", sealed, keys(t, secretB, secretA), with, plain},
		{"with a secret that is not ours", "purpose", sealed, keys(t, secretB), with, nil},
		{"for another purpose", "purpos", sealed, k, with, nil},
		{"with other data", "purpose", sealed, k, []byte("without"), nil},
		{"without data", "purpose", sealed, k, nil, nil},
		{"purpose and data are taken apart", "purposew", sealed, k, []byte("ith"), nil},
		{"changed", "purpose", string(flipped), k, with, nil},
		{"cut", "purpose", sealed[:len(sealed)-4], k, with, nil},
		{"prolonged", "purpose", sealed + "AAAA", k, with, nil},
		{"padded", "purpose", sealed + "=", k, with, nil},
		{"with a line break", "purpose", sealed[:8] + "\n" + sealed[8:], k, with, nil},
		{"in the other alphabet", "purpose", "+/" + sealed[2:], k, with, nil},
		{"empty", "purpose", "", k, with, nil},
		{"short", "purpose", "AAAA", k, with, nil},
	} {
		got, err := c.keys.Open(c.purpose, c.sealed, c.with)
		if !bytes.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("Open answered %q, %v, want %q: %s", got, err, c.want, c.reason)
		}
	}
	if again := k.Seal("purpose", plain, with); again == sealed {
		t.Error("two seals are the same")
	}
	if empty, err := k.Open("purpose", k.Seal("purpose", nil, nil), nil); err != nil || len(empty) != 0 {
		t.Errorf("nothing, sealed and opened: %q, %v", empty, err)
	}
}

func TestTheLastCharacterHasOneSpelling(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	k := keys(t, secretA)
	sealed := k.Seal("purpose", []byte("x"), nil) // 41 bytes: the last character carries 4 bits
	opened := 0
	for _, c := range alphabet {
		if _, err := k.Open("purpose", sealed[:len(sealed)-1]+string(c), nil); err == nil {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d spellings open, want 1", opened)
	}
}

func TestMACs(t *testing.T) {
	both := keys(t, secretA, secretB)
	want := []string{keys(t, secretA).MACs("p", "a", "b")[0], keys(t, secretB).MACs("p", "a", "b")[0]}
	if diff := cmp.Diff(want, both.MACs("p", "a", "b")); diff != "" {
		t.Errorf("one for each secret, the current one first (-want +got):\n%s", diff)
	}
	if got := keys(t, secretA, secretA, secretB).MACs("p", "a", "b"); len(got) != 2 {
		t.Errorf("a secret that is given twice counts once, got %d", len(got))
	}
	seen := map[string]string{}
	for name, mac := range map[string]string{
		"a b": both.MACs("p", "a", "b")[0], "ab": both.MACs("p", "ab")[0], "ab and nothing": both.MACs("p", "ab", "")[0],
		"b a": both.MACs("p", "b", "a")[0], "other purpose": both.MACs("q", "a", "b")[0], "nothing": both.MACs("p")[0],
	} {
		if other, ok := seen[mac]; ok {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[mac] = name
	}
}

func TestIDs(t *testing.T) {
	id, err := session.NewID(bytes.NewReader(make([]byte, 32)))
	if err != nil || string(id) != strings.Repeat("A", 43) {
		t.Errorf("NewID answered %q, %v", string(id), err)
	}
	if _, err := session.NewID(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("NewID made an id from 31 bytes")
	}
	const digest = "0f007385b6f9d4b7eeb2748605afe1a984a0a3bfa3f014d09e2a784ce9e5cd1a"
	if got := id.Key(); got != digest || id.String() != digest[:12] {
		t.Errorf("key %s, shown as %s", got, id)
	}
	for s, reason := range map[string]string{
		"": "empty", strings.Repeat("A", 42): "short", strings.Repeat("A", 44): "long", strings.Repeat("A", 42) + "B": "second spelling",
		strings.Repeat("A", 42) + "=": "padding", strings.Repeat("A", 42) + "\n": "line break", strings.Repeat("A", 42) + "+": "other alphabet",
		strings.Repeat("A", 40) + "\r\n\n": "line breaks", strings.Repeat("A", 42) + " ": "space",
	} {
		if _, ok := session.ParseID(s); ok {
			t.Errorf("ParseID took %q: %s", s, reason)
		}
	}
	for range 100 {
		made, err := session.NewID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parsed, ok := session.ParseID(string(made)); !ok || parsed != made {
			t.Errorf("ParseID(%q) answered %q, %t", string(made), string(parsed), ok)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(strings.Repeat("A", 43))
	f.Add(strings.Repeat("_", 42) + "8")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := session.ParseID(s)
		if !ok {
			return
		}
		random, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(random) != 32 || base64.RawURLEncoding.EncodeToString(random) != s || string(id) != s {
			t.Errorf("ParseID took %q", s)
		}
	})
}

func FuzzOpen(f *testing.F) {
	k := keys(f, secretA, secretB)
	// Sealed once and for all: this program runs in several processes.
	good := []string{
		"-_Sn--psU3nrfrxYWYg3vKsFu2Jsl84hHxcVZTDEQeHJ7G6s8Yb0y8e940yY",
		"nk45_wCCT7fno8S4jv8Ayi6lrtaMKIx-uPYyvKJCfW-bJmWwWYRQTQ",
	}
	for i, want := range []string{"plain", ""} {
		if got, err := k.Open("purpose", good[i], [][]byte{[]byte("with"), nil}[i]); err != nil || string(got) != want {
			f.Errorf("what an earlier version sealed opens as %q, %v, want %q", got, err, want)
		}
	}
	for _, s := range append(good, "", "AAAA", strings.Repeat("A", 54)) {
		f.Add("purpose", s, []byte("with"))
	}
	f.Fuzz(func(t *testing.T, purpose, sealed string, with []byte) {
		if _, err := k.Open(purpose, sealed, with); err == nil && !slices.Contains(good, sealed) {
			t.Errorf("Open took %q", sealed)
		}
		opened, err := k.Open(purpose, k.Seal(purpose, []byte(sealed), with), with)
		if err != nil || string(opened) != sealed {
			t.Errorf("sealed and opened: %q, %v, want %q", opened, err, sealed)
		}
	})
}
