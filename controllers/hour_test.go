package controllers

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// TestCallsOfAnHour holds the table in deploy/iam/README.md: 30 users with an
// access entry each, in an hour in which nothing changes. The interval is
// jittered, so a listing may be missing or one too many.
func TestCallsOfAnHour(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers(manyUsers(30)...)
	next := w.refresh().RequeueAfter
	actions := []string{
		"ListUsers", "ListRoles", "GetAccountAuthorizationDetails", "GetUser", "GetCallerIdentity",
		"ListAccessEntries", "DescribeCluster", "DescribeAccessEntry", "ListAssociatedAccessPolicies", "CreateAccessEntry", "UpdateAccessEntry",
	}
	before := map[string]int{}
	for _, action := range actions {
		before[action] = w.aws.Calls(action)
	}
	for end := w.clock.Now().Add(time.Hour); w.clock.Now().Before(end); {
		w.pass(next)
		next = w.refresh().RequeueAfter
	}
	want := map[string][2]int{
		"ListUsers":         {230, 250},
		"ListAccessEntries": {230, 250},
		"DescribeCluster":   {230, 250},
		// Each of 30 every 10 minutes.
		"DescribeAccessEntry":          {150, 180},
		"ListAssociatedAccessPolicies": {150, 180},
	}
	for _, action := range actions {
		if n, bounds := w.aws.Calls(action)-before[action], want[action]; n < bounds[0] || n > bounds[1] {
			t.Errorf("%d calls of %s in an hour, want %d to %d", n, action, bounds[0], bounds[1])
		}
	}
}
