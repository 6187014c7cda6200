package app

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestStatusNamesEachList: every list of the status has a heading that says what
// it is about, and what is no list is not printed as one.
func TestStatusNamesEachList(t *testing.T) {
	t.Parallel()
	list := "- arn: arn:aws:iam::123456789012:user/ann\n  reason: because\n"
	cm := &corev1.ConfigMap{Data: map[string]string{
		"summary": "1 users", "conditions": "[]", "record": "ConfigMap aws-auth-refresher-state",
		"held": list, "waiting": list, "givenWay": list, "leftOut": list, "unowned": list, "orphans": list, "revived": list,
	}}
	text := statusInput{cm: cm}.text(time.Now())
	for _, heading := range []string{
		"HELD: no rule grants them any longer; RemovalHeld says why they stay",
		"WAITING to be taken out", "GIVEN WAY to somebody else's entry", "LEFT OUT, although a rule selects them",
		"UNOWNED: a lost record may have said that they are ours", "ORPHANS: somebody else's, and their user or role does not exist",
		"WRITTEN BACK by somebody, and taken out again",
	} {
		if !strings.Contains(text, "\n"+heading+"\n  arn:aws:iam::123456789012:user/ann   because\n") {
			t.Errorf("no list is called %q:\n%s", heading, text)
		}
	}
	if strings.Contains(text, "record\n") || strings.Contains(text, "ConfigMap aws-auth-refresher-state") {
		t.Errorf("where the record is stands there as a list:\n%s", text)
	}
}
