package ekstoken

import (
	"strings"
	"testing"
)

func TestVerifierAcceptsTheEndpointsOfItsPartition(t *testing.T) {
	for _, row := range []struct {
		reason string
		config VerifierConfig
		host   string
		region string // "" where the host is refused
	}{
		{"regional", VerifierConfig{}, "sts.eu-west-1.amazonaws.com", "eu-west-1"},
		{"FIPS", VerifierConfig{}, "sts-fips.us-east-2.amazonaws.com", "us-east-2"},
		{"dual stack", VerifierConfig{}, "sts.eu-west-1.api.aws", "eu-west-1"},
		{"FIPS and dual stack", VerifierConfig{}, "sts-fips.us-east-1.api.aws", "us-east-1"},
		{"global", VerifierConfig{}, "sts.amazonaws.com", "us-east-1"},
		{"global is in aws only", VerifierConfig{Partition: "aws-us-gov"}, "sts.amazonaws.com", ""},
		{"global is in aws only", VerifierConfig{Partition: "aws-cn"}, "sts.amazonaws.com.cn", ""},
		{"a region nobody knows", VerifierConfig{}, "sts.eu-nowhere-9.amazonaws.com", ""},
		{"which is the server's own", VerifierConfig{Region: "eu-nowhere-9"}, "sts.eu-nowhere-9.amazonaws.com", "eu-nowhere-9"},
		{"which an option names", VerifierConfig{STSRegions: []string{"eu-nowhere-9"}}, "sts-fips.eu-nowhere-9.api.aws", "eu-nowhere-9"},
		{"a server on the global endpoint", VerifierConfig{Region: "aws-global"}, "sts.aws-global.amazonaws.com", ""},
		{"China", VerifierConfig{Partition: "aws-cn"}, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"GovCloud", VerifierConfig{Partition: "aws-us-gov"}, "sts.us-gov-east-1.amazonaws.com", "us-gov-east-1"},
		{"GovCloud is not aws", VerifierConfig{Partition: "aws-us-gov"}, "sts.us-east-1.amazonaws.com", ""},
	} {
		v := newVerifier(t, func(c *VerifierConfig) {
			c.Partition, c.Region, c.STSRegions = row.config.Partition, row.config.Region, row.config.STSRegions
		})
		if got := v.hosts[row.host]; got != row.region {
			t.Errorf("%s: %s is signed for %q, want %q", row.reason, row.host, got, row.region)
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	for _, row := range []struct {
		reason string
		config VerifierConfig
	}{
		{"no cluster", VerifierConfig{}},
		{"a cluster that breaks out of its header", VerifierConfig{ClusterID: "a\nb"}},
		{"an unknown partition", VerifierConfig{ClusterID: "c", Partition: "aws-moon"}},
		{"a region that leads elsewhere", VerifierConfig{ClusterID: "c", Region: "x.evil.example/"}},
		{"a region of another partition", VerifierConfig{ClusterID: "c", STSRegions: []string{"cn-north-1"}}},
		{"a negative limit", VerifierConfig{ClusterID: "c", MaxConcurrent: -1}},
	} {
		if _, err := NewVerifier(row.config); err == nil {
			t.Errorf("%s: got no error", row.reason)
		}
	}
}

func TestEveryPartitionHasADefaultRegionOfItsOwn(t *testing.T) {
	for _, p := range partitions() {
		region := DefaultRegion(p.id)
		if got := partitionOf(region).id; got != p.id || !strings.Contains(p.regions, region) {
			t.Errorf("the default region %s of %s is of %s, among %s", region, p.id, got, p.regions)
		}
	}
	if got := DefaultRegion("aws-moon"); got != "" {
		t.Errorf("got %q for no partition", got)
	}
}

func TestNewTransport(t *testing.T) {
	transport := NewTransport()
	if transport.Proxy == nil || !transport.ForceAttemptHTTP2 || transport.MaxIdleConnsPerHost < 128 {
		t.Errorf("proxies must be honored, HTTP/2 offered and connections kept: %+v", transport)
	}
	if transport.TLSClientConfig != nil && transport.TLSClientConfig.InsecureSkipVerify {
		t.Error("STS's certificate must be verified")
	}
}
