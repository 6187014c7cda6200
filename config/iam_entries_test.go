package config_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What changes access entries is limited to those that carry the refresher's
// tag, so that no mistake of its own reaches anybody else's.
func TestIAMPolicyForAccessEntries(t *testing.T) {
	b, err := os.ReadFile("../deploy/iam/access-entries.json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version   string
		Statement []struct {
			Sid, Effect string
			Action      []string
			Resource    string
			Condition   map[string]map[string]any
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	const cluster, entry, tag = "arn:*:eks:*:*:cluster/*", "arn:*:eks:*:*:access-entry/*", "aws:ResourceTag/aws-auth-refresher.io/owner"
	granted := map[string][]string{}
	for _, s := range got.Statement {
		for _, action := range s.Action {
			limits := []string{s.Resource}
			for _, keys := range s.Condition {
				limits = append(limits, slices.Sorted(maps.Keys(keys))...)
			}
			granted[action] = append(granted[action], limits...)
		}
	}
	want := map[string][]string{
		"eks:DescribeCluster":              {cluster},
		"eks:ListAccessEntries":            {cluster},
		"eks:CreateAccessEntry":            {cluster, "eks:accessEntryType"},
		"eks:TagResource":                  {entry, "aws:TagKeys", entry, tag},
		"eks:DescribeAccessEntry":          {entry},
		"eks:ListAssociatedAccessPolicies": {entry},
		"eks:UpdateAccessEntry":            {entry, tag},
		"eks:DeleteAccessEntry":            {entry, tag},
		"eks:AssociateAccessPolicy":        {entry, tag, entry, tag, "eks:policyArn"},
		"eks:DisassociateAccessPolicy":     {entry, tag, "eks:policyArn"},
	}
	if diff := cmp.Diff(want, granted); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}
