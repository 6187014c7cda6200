package ekstoken

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzVerifyParse holds what the verifier promises about every token that climbs
// the ladder: Go's own parsers read the same from it, and minting its parts anew
// changes nothing but the order of the query.
func FuzzVerifyParse(f *testing.F) {
	f.Add(golden(f))
	f.Add(Prefix)
	for _, mutant := range []string{
		"https://sts.amazonaws.com/?Action=GetCallerIdentity", "https://sts.us-west-2.amazonaws.com:443/?", "https://a@b/#?%",
		strings.Replace(plain(f, golden(f)), "&Version", "&X-Amz-Security-Token=a%2F&Version", 1),
		strings.Replace(plain(f, golden(f)), "Action", "action", 1),
		strings.Replace(plain(f, golden(f)), "T000000Z", "T000000.0Z", 1),
	} {
		f.Add(encode(mutant))
	}
	known, err := hosts("aws", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, token := range []string{token, encode(token)} {
			r, b := parse(token, known, goldenTime)
			if b != nil {
				if b.Reason == "" || r != nil {
					t.Fatalf("a refusal without a reason, or beside a request: %+v", r)
				}
				continue
			}
			if again := Prefix + strings.TrimPrefix(encode(plain(t, token)), Prefix); again != token {
				t.Fatalf("%q has a second spelling, %q", token, again)
			}
			sameToGo(t, plain(t, token), r)
			if other := encode("https://" + r.host + "/?" + r.signed()); Fingerprint(other) != Fingerprint(token) {
				t.Fatalf("%q and %q are one request with two fingerprints", token, other)
			}
		}
	})
}

func sameToGo(t *testing.T, text string, r *request) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	rebuilt := r.signed()
	ours, err := url.ParseQuery(rebuilt)
	if err != nil {
		t.Fatalf("%q: %v", rebuilt, err)
	}
	if u.Host != r.host || u.Scheme != "https" || u.Path != "/" || values.Encode() != ours.Encode() || len(rebuilt) != len(u.RawQuery) {
		t.Fatalf("%q was rebuilt as %s/?%s", text, r.host, rebuilt)
	}
}

// FuzzMint holds that what is minted at all is taken by the verifier of its
// cluster and region.
func FuzzMint(f *testing.F) {
	f.Add("cluster", "us-west-2", "AKIDEXAMPLE", "session/+==")
	f.Add("a b", "cn-north-1", "A_1", "")
	f.Add("c", "aws-global", "A", "\x7f\x00é")
	f.Fuzz(func(t *testing.T, cluster, region, key, session string) {
		token, err := Mint(MintConfig{
			ClusterID: cluster, Region: region, Now: func() time.Time { return goldenTime },
			Credentials: Credentials{AccessKeyID: key, SecretAccessKey: "secret", SessionToken: session},
		})
		if err != nil || len(token.Value) > maxToken {
			return
		}
		v, err := NewVerifier(VerifierConfig{ClusterID: cluster, Region: region, Partition: partitionOf(region).id})
		if err != nil {
			t.Fatal(err)
		}
		r, b := parse(token.Value, v.hosts, goldenTime)
		if b != nil {
			t.Fatalf("the minted %q is refused: %v", plain(t, token.Value), b)
		}
		if r.accessKeyID != key {
			t.Fatalf("got access key %q, want %q", r.accessKeyID, key)
		}
	})
}
