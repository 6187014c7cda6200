package ekstoken

import (
	"fmt"
	"strings"
)

const (
	partitionAWS = "aws"
	globalHost   = "sts.amazonaws.com"
	globalRegion = "aws-global" // how the SDKs call the region of the global host
	globalScope  = "us-east-1"  // what requests to the global host are signed for

	maxRegion = 63 // a label of DNS
)

// partition is what the AWS SDKs' partitions.json says about one.
type partition struct {
	id             string
	prefix         string // of its regions, "" for the rest
	suffix         string
	dualStack      string // suffix of its dual-stack endpoints
	fips           string // first label of its FIPS endpoints without dual stack
	defaultRegion  string
	regions        string // with STS, separated by spaces
	globalEndpoint bool
}

// partitions lists those of the AWS SDKs, the one without a prefix last.
// Source: partitions.json and the STS endpoints of aws-sdk-go-v2.
func partitions() []partition {
	return []partition{
		{
			id: "aws-cn", prefix: "cn-", suffix: "amazonaws.com.cn", dualStack: "api.amazonwebservices.com.cn", fips: "sts-fips",
			defaultRegion: "cn-northwest-1", regions: "cn-north-1 cn-northwest-1",
		},
		{
			id: "aws-us-gov", prefix: "us-gov-", suffix: "amazonaws.com", dualStack: "api.aws", fips: "sts",
			defaultRegion: "us-gov-west-1", regions: "us-gov-east-1 us-gov-west-1",
		},
		{
			id: "aws-eusc", prefix: "eusc-", suffix: "amazonaws.eu", dualStack: "api.amazonwebservices.eu", fips: "sts-fips",
			defaultRegion: "eusc-de-east-1", regions: "eusc-de-east-1",
		},
		{
			id: "aws-iso", prefix: "us-iso-", suffix: "c2s.ic.gov", dualStack: "api.aws.ic.gov", fips: "sts-fips",
			defaultRegion: "us-iso-east-1", regions: "us-iso-east-1 us-iso-west-1",
		},
		{
			id: "aws-iso-b", prefix: "us-isob-", suffix: "sc2s.sgov.gov", dualStack: "api.aws.scloud", fips: "sts-fips",
			defaultRegion: "us-isob-east-1", regions: "us-isob-east-1 us-isob-west-1",
		},
		{
			id: "aws-iso-e", prefix: "eu-isoe-", suffix: "cloud.adc-e.uk", dualStack: "api.cloud-aws.adc-e.uk", fips: "sts-fips",
			defaultRegion: "eu-isoe-west-1", regions: "eu-isoe-west-1",
		},
		{
			id: "aws-iso-f", prefix: "us-isof-", suffix: "csp.hci.ic.gov", dualStack: "api.aws.hci.ic.gov", fips: "sts-fips",
			defaultRegion: "us-isof-south-1", regions: "us-isof-east-1 us-isof-south-1",
		},
		{
			id: partitionAWS, suffix: "amazonaws.com", dualStack: "api.aws", fips: "sts-fips",
			defaultRegion: "us-east-1", globalEndpoint: true,
			regions: "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 " +
				"ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 " +
				"ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 " +
				"eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2",
		},
	}
}

// DefaultRegion gives the region in which a partition's STS is asked when
// nobody named one, such as us-east-1 for aws; "" for an unknown partition.
func DefaultRegion(partitionID string) string {
	for _, p := range partitions() {
		if p.id == partitionID {
			return p.defaultRegion
		}
	}
	return ""
}

// partitionOf finds a region's partition by its name, so that regions newer
// than this program have one too.
func partitionOf(region string) partition {
	all := partitions()
	for _, p := range all[:len(all)-1] {
		if strings.HasPrefix(region, p.prefix) {
			return p
		}
	}
	return all[len(all)-1]
}

// host names the STS endpoint of a region.
func (p partition) host(region string, fips, dualStack bool) string {
	label, suffix := "sts", p.suffix
	switch {
	case fips && dualStack:
		label, suffix = "sts-fips", p.dualStack
	case fips:
		label = p.fips
	case dualStack:
		suffix = p.dualStack
	}
	return label + "." + region + "." + suffix
}

// hosts lists the STS endpoints of a partition, each with the region that
// requests to it are signed for: those of the regions known here and of more.
func hosts(partitionID string, more []string) (map[string]string, error) {
	region := DefaultRegion(partitionID)
	if region == "" {
		return nil, fmt.Errorf("unknown partition %q", partitionID)
	}
	p := partitionOf(region)
	out := make(map[string]string)
	for _, region := range append(strings.Fields(p.regions), more...) {
		if region == globalRegion && p.globalEndpoint {
			continue
		}
		if !isRegion(region) {
			return nil, fmt.Errorf("%q is not a region", region)
		}
		if own := partitionOf(region).id; own != p.id {
			return nil, fmt.Errorf("region %s is of partition %s, not of %s", region, own, p.id)
		}
		for _, fips := range []bool{false, true} {
			out[p.host(region, fips, false)] = region
			out[p.host(region, fips, true)] = region
		}
	}
	if p.globalEndpoint {
		out[globalHost] = globalScope
	}
	return out, nil
}

// isRegion tells whether s may stand as a label in a host's name.
func isRegion(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && !isLower(c) && !isDigit(c) {
			return false
		}
	}
	return s != "" && len(s) <= maxRegion && s[0] != '-' && s[len(s)-1] != '-'
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
