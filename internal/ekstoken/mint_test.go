package ekstoken

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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

func TestMintNamesTheEndpointOfTheRegion(t *testing.T) {
	for _, row := range []struct {
		reason          string
		region          string
		fips, dualStack bool
		host, scope     string
	}{
		{reason: "regional", region: "eu-central-1", host: "sts.eu-central-1.amazonaws.com"},
		{reason: "a region newer than this program", region: "eu-nowhere-9", host: "sts.eu-nowhere-9.amazonaws.com"},
		{reason: "the global endpoint is signed for us-east-1", region: "aws-global", host: "sts.amazonaws.com", scope: "us-east-1"},
		{reason: "FIPS", region: "us-east-1", fips: true, host: "sts-fips.us-east-1.amazonaws.com"},
		{reason: "dual stack", region: "us-east-1", dualStack: true, host: "sts.us-east-1.api.aws"},
		{reason: "both", region: "us-east-1", fips: true, dualStack: true, host: "sts-fips.us-east-1.api.aws"},
		{reason: "China", region: "cn-north-1", host: "sts.cn-north-1.amazonaws.com.cn"},
		{reason: "China, dual stack", region: "cn-north-1", dualStack: true, host: "sts.cn-north-1.api.amazonwebservices.com.cn"},
		{reason: "GovCloud", region: "us-gov-west-1", host: "sts.us-gov-west-1.amazonaws.com"},
		{reason: "GovCloud's own endpoint is FIPS already", region: "us-gov-west-1", fips: true, host: "sts.us-gov-west-1.amazonaws.com"},
		{reason: "ISO", region: "us-iso-east-1", host: "sts.us-iso-east-1.c2s.ic.gov"},
		{reason: "ISO B", region: "us-isob-east-1", host: "sts.us-isob-east-1.sc2s.sgov.gov"},
		{reason: "ISO E", region: "eu-isoe-west-1", host: "sts.eu-isoe-west-1.cloud.adc-e.uk"},
		{reason: "ISO F", region: "us-isof-south-1", host: "sts.us-isof-south-1.csp.hci.ic.gov"},
		{reason: "European sovereign cloud", region: "eusc-de-east-1", host: "sts.eusc-de-east-1.amazonaws.eu"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			c := goldenConfig(t)
			c.Region, c.FIPS, c.DualStack = row.region, row.fips, row.dualStack
			token, err := Mint(c)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(plain(t, token.Value))
			if err != nil {
				t.Fatal(err)
			}
			if row.scope == "" {
				row.scope = row.region
			}
			if got := strings.Split(u.Query().Get("X-Amz-Credential"), "/"); u.Host != row.host || got[2] != row.scope {
				t.Errorf("got host %s signed for %s, want %s for %s", u.Host, got[2], row.host, row.scope)
			}
			v := newVerifier(t, func(c *VerifierConfig) { c.Partition, c.Region = partitionOf(row.region).id, row.region })
			if _, b := parse(token.Value, v.hosts, goldenTime); b != nil {
				t.Errorf("a verifier of the same region says: %v", b)
			}
		})
	}
}

func TestMintCarriesTheSessionToken(t *testing.T) {
	c := goldenConfig(t)
	c.Credentials.SessionToken = "IQoJ/+==&%~_-."
	token, err := Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(plain(t, token.Value))
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Query().Get("X-Amz-Security-Token"); got != c.Credentials.SessionToken {
		t.Errorf("got session token %q, want %q", got, c.Credentials.SessionToken)
	}
	if token.Long {
		t.Error("a short token must not be called long")
	}
	c.Credentials.SessionToken = strings.Repeat("x", 3000)
	if token, err = Mint(c); err != nil || !token.Long {
		t.Errorf("a token of %d characters must be minted and called long: %v", len(token.Value), err)
	}
}

func TestMintExpiresWithTheCredentials(t *testing.T) {
	for _, row := range []struct {
		reason      string
		credentials time.Duration
		want        time.Duration
	}{
		{reason: "credentials that go first take the token with them", credentials: 5 * time.Minute, want: 5 * time.Minute},
		{reason: "credentials that last longer do not prolong it", credentials: time.Hour, want: 14 * time.Minute},
	} {
		c := goldenConfig(t)
		c.Credentials.Expires = goldenTime.Add(row.credentials)
		token, err := Mint(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := token.Expires.Sub(goldenTime); got != row.want {
			t.Errorf("%s: got %s, want %s", row.reason, got, row.want)
		}
	}
}

func TestMintRefuses(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*MintConfig)
	}{
		{"no cluster", func(c *MintConfig) { c.ClusterID = "" }},
		{"a cluster that breaks out of its header", func(c *MintConfig) { c.ClusterID = "a\r\nHost: evil" }},
		{"a cluster that signers write differently", func(c *MintConfig) { c.ClusterID = " a" }},
		{"a cluster that signers fold", func(c *MintConfig) { c.ClusterID = "a  b" }},
		{"no region", func(c *MintConfig) { c.Region = "" }},
		{"a region that leads elsewhere", func(c *MintConfig) { c.Region = "evil.example/" }},
		{"a region that is no label", func(c *MintConfig) { c.Region = "us-east-1-" }},
		{"a global endpoint that there is not", func(c *MintConfig) { c.Region, c.FIPS = "aws-global", true }},
		{"no access key", func(c *MintConfig) { c.Credentials.AccessKeyID = "" }},
		{"an access key that is none", func(c *MintConfig) { c.Credentials.AccessKeyID = "AKIA/x" }},
		{"no secret", func(c *MintConfig) { c.Credentials.SecretAccessKey = "" }},
		{"a session token with a line end", func(c *MintConfig) { c.Credentials.SessionToken = "IQoJ\n" }},
		{"credentials that have expired", func(c *MintConfig) { c.Credentials.Expires = goldenTime }},
	} {
		c := goldenConfig(t)
		row.change(&c)
		token, err := Mint(c)
		if err == nil {
			t.Errorf("%s: got token %q", row.reason, token.Value)
		}
	}
}
