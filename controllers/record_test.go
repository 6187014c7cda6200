package controllers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestManyRulesCanBePutRight: 500 rules that all match everybody are a slip
// like any other.
func TestManyRulesCanBePutRight(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	for i := range 2000 {
		w.createUsers(fmt.Sprintf("u%04d", i))
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "- arnRegex: ^arn:aws:iam::123456789012:user/(?:x%d)?[a-z].*$\n  username: foo\n  groups: [dev]\n", i)
	}
	w.rules(many.String())
	w.later()
	if size := len(w.get("aws-auth-refresher-state").BinaryData[recordKey]); size > 100<<10 {
		t.Errorf("the record of 2,000 users takes %d KiB", size>>10)
	}
	w.rules(fooRule)
	w.createUsers("tmp-foo-2")
	w.later()
	if c := w.condition(ConditionApplied); c.Status != "True" || !strings.Contains(w.mapUsers(), "user/tmp-foo-2\n") {
		t.Errorf("the rules are right again, and tmp-foo-2 is in: %t; %+v", strings.Contains(w.mapUsers(), "user/tmp-foo-2\n"), c)
	}
}

// random is text that does not compress.
func random(rnd *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_="
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rnd.IntN(len(letters))]
	}
	return string(b)
}

// TestRecordTooLarge: a record that cannot be stored, or could not be read
// again, is not written, nor is anything else, until the rules are mended.
func TestRecordTooLarge(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	rnd := rand.New(rand.NewPCG(1, 2))
	var principals []rules.Principal
	for i := range 1740 {
		u, err := w.aws.CreateUser("/"+random(rnd, 500)+"/", fmt.Sprintf("u%04d", i))
		if err != nil {
			t.Fatal(err)
		}
		principals = append(principals, rules.Principal{Kind: rules.User, ARN: u.ARN, AccountID: accountID, Path: u.Path, Name: u.Name, ID: u.ID})
	}
	aws, state := w.get("aws-auth"), w.get("aws-auth-refresher-state")
	unchanged := func(reason string) {
		t.Helper()
		if now := w.get("aws-auth"); now.ResourceVersion != aws.ResourceVersion {
			t.Fatalf("%s: aws-auth was written", reason)
		}
		if now := w.get("aws-auth-refresher-state"); now.ResourceVersion != state.ResourceVersion {
			t.Errorf("%s: the record was written", reason)
		}
	}
	large := "- arnRegex: ^arn:aws:iam::123456789012:user/.*$\n  username: foo\n  groups: [g]\n# " + random(rnd, 500<<10) + "\n"
	if _, err := NewPlan(PlanData{
		Rules: &corev1.ConfigMap{Data: map[string]string{"mapUsers": large}}, AWSAuth: aws, Principals: principals,
		Listed: []rules.Kind{rules.User}, Removal: removal.Settings{Hold: time.Minute, MaxCount: 10, MaxPercent: 50}, Now: w.clock.Now(),
	}); !errors.Is(err, errRecordTooLarge) {
		t.Errorf("plan does not say that it will be: %v", err)
	}
	w.rules(large)
	for range 2 {
		w.later()
		unchanged("the record is too large")
	}
	const message = "writing ConfigMap aws-auth-refresher-state: nothing is changed, because the record of what is ours would " +
		"become too large; let fewer rules match the same principals, or shorten the rules: "
	for _, kind := range []string{ConditionApplied, ConditionDegraded} {
		c := w.condition(kind)
		if !strings.HasSuffix(c.Reason, "RecordTooLarge") || !strings.HasPrefix(c.Message, message) {
			t.Errorf("%s is %s: %q", kind, c.Reason, c.Message)
		}
	}
	if summary := w.get("aws-auth-refresher-status").Data["summary"]; !strings.HasPrefix(summary, "1 users and 0 roles of ours in aws-auth") {
		t.Errorf("summary %q", summary)
	}
	w.restart()
	w.later()
	unchanged("a new process finds the same")

	w.rules(fooRule)
	w.createUsers("tmp-foo-2")
	w.later()
	w.expectMapUsers("the rules are mended", person+entry("tmp-foo-1", "foo", "system:masters")+entry("tmp-foo-2", "foo", "system:masters"))
	if c := w.condition(ConditionDegraded); c.Status != "False" {
		t.Errorf("the rules are mended: %+v", c)
	}
}

// TestEncodeRecordsRefuses: what is too large to be read back is told apart from
// other trouble.
func TestEncodeRecordsRefuses(t *testing.T) {
	t.Parallel()
	for reason, tt := range map[string]struct {
		record rules.Record
		large  bool
	}{
		"18 MiB of JSON":    {rules.Record{Rules: map[string]string{"mapUsers": string(make([]byte, 3<<20))}}, true},
		"more than 1 MiB":   {rules.Record{Rules: map[string]string{"mapUsers": random(rand.New(rand.NewPCG(1, 2)), 2<<20)}}, true},
		"text that is none": {rules.Record{Rules: map[string]string{"mapUsers": "\xff"}}, false},
	} {
		if _, err := encodeRecords(tt.record, accessentry.Record{}); err == nil || errors.Is(err, errRecordTooLarge) != tt.large {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
