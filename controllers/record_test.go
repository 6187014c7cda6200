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

// unrecordable makes more users than the record has room for beside the rules
// that match them all.
func (w *world) unrecordable() (large string, principals []rules.Principal) {
	w.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 1740 {
		u, err := w.aws.CreateUser("/"+random(rnd, 500)+"/", fmt.Sprintf("u%04d", i))
		if err != nil {
			w.Fatal(err)
		}
		principals = append(principals, rules.Principal{Kind: rules.User, ARN: u.ARN, AccountID: accountID, Path: u.Path, Name: u.Name, ID: u.ID})
	}
	padding := "# " + random(rnd, 500<<10) + "\n"
	return "- arnRegex: ^arn:aws:iam::123456789012:user/.*$\n  username: foo\n  groups: [g]\n" + padding, principals
}

// TestRecordTooLarge: where there is no room to record newcomers they stay
// outside, and everybody else comes, changes and goes as ever.
func TestRecordTooLarge(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	large, principals := w.unrecordable()
	plan, err := NewPlan(t.Context(), PlanData{
		Rules: &corev1.ConfigMap{Data: map[string]string{"mapUsers": large}}, AWSAuth: w.get("aws-auth"), Principals: principals,
		Listed: []rules.Kind{rules.User}, Removal: removal.Settings{Hold: time.Minute, MaxCount: 10, MaxPercent: 50}, Now: w.clock.Now(),
	})
	if err != nil || len(plan.Added) != 0 || len(plan.Evaluation.LeftOut) != len(principals) {
		t.Errorf("plan does not say who stays outside: %v, %d added", err, len(plan.Added))
	}
	w.rules(large)
	for range 2 {
		w.later()
		w.expectMapUsers("no newcomers", person+entry("tmp-foo-1", "foo", "g")+entry("tmp-foo-2", "foo", "g"))
	}
	for _, kind := range []string{ConditionApplied, ConditionDegraded} {
		if c := w.condition(kind); !strings.HasSuffix(c.Reason, "RecordTooLarge") || !strings.HasPrefix(c.Message, "nobody new gets in") {
			t.Errorf("%s is %s: %q", kind, c.Reason, c.Message)
		}
	}
	if status := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(status, "the record of what is ours has no room for it") {
		t.Errorf("the status does not say who stays outside: %.300s", status)
	}
	w.restart()
	w.rules(strings.Replace(large, "user/.*$", "user/(.+/u[0-9]+|tmp-foo-1)$", 1))
	w.later()
	w.expectMapUsers("who is not granted goes", person+entry("tmp-foo-1", "foo", "g"))

	w.rules(fooRule)
	w.createUsers("tmp-foo-3")
	w.later()
	w.expectMapUsers("the rules are mended", person+entry("tmp-foo-1", "foo", "system:masters")+
		entry("tmp-foo-2", "foo", "system:masters")+entry("tmp-foo-3", "foo", "system:masters"))
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
