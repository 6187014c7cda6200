package fakeaws

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// parsePresigned reads the signature in the query string, nil if there is
// none. Format: "Query parameters" under "Authentication methods" of AWS
// Signature Version 4 in the IAM user guide. X-Amz-Expires is not looked at;
// STS ignores it.
func parsePresigned(r *http.Request) (*signature, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	required := []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "X-Amz-SignedHeaders"}
	switch {
	case !slices.ContainsFunc(required, query.Has):
		return nil, nil // a broken query is the service's to refuse
	case err != nil:
		return nil, errMalformedQuery("The query string is malformed.")
	}
	for _, name := range required {
		if query.Get(name) == "" {
			return nil, errIncompleteSignature("AWS query-string parameters must include '" + name + "'. Re-examine the query-string parameters.")
		}
	}
	if query.Get("X-Amz-Algorithm") != algorithm {
		return nil, errIncompleteSignature("Unsupported AWS 'algorithm': '" + query.Get("X-Amz-Algorithm") + "'.")
	}
	s := &signature{
		presigned:    true,
		value:        query.Get("X-Amz-Signature"),
		sessionToken: query.Get("X-Amz-Security-Token"),
	}
	if err := s.setCredential(query.Get("X-Amz-Credential")); err != nil {
		return nil, err
	}
	if err := s.setSignedHeaders(query.Get("X-Amz-SignedHeaders"), r.Header); err != nil {
		return nil, err
	}
	if err := s.setDate(query.Get("X-Amz-Date")); err != nil {
		return nil, err
	}
	return s, nil
}

// endpointRegion is the region whose requests the host takes, empty if it is
// no endpoint of the service. See "AWS STS endpoints and quotas" in the AWS
// general reference: regional, FIPS and dual-stack names, and the global one,
// which takes what is signed for us-east-1.
func endpointRegion(host, service string) string {
	name, rest, _ := strings.Cut(host, ".")
	if name != service && name != service+"-fips" {
		return ""
	}
	if rest == "amazonaws.com" {
		return "us-east-1"
	}
	region, domain, _ := strings.Cut(rest, ".")
	switch domain {
	case "amazonaws.com", "amazonaws.com.cn", "api.aws", "api.amazonwebservices.com.cn":
		return region
	default:
		return ""
	}
}
