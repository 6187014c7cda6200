package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestPlanTakesOutWhoIsGone: what is missing from whole listings counts as
// confirmed, which takes the controller some time; what nobody listed does not.
func TestPlanTakesOutWhoIsGone(t *testing.T) {
	record := rules.Record{Seen: true, Entries: []rules.Owned{{
		Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/tmp-foo-1", Digest: rules.ContentDigest("foo", []string{"developers"}),
	}}}
	encoded, err := record.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason   string
		accounts []string
		removed  int
	}{
		{"its account was listed", []string{accountID}, 1},
		{"another account was listed", []string{"210987654321"}, 0},
	} {
		out, err := NewPlan(t.Context(), PlanData{
			Rules:   &corev1.ConfigMap{Data: map[string]string{"mapUsers": devRule}},
			AWSAuth: &corev1.ConfigMap{Data: map[string]string{"mapUsers": entry("tmp-foo-1", "foo", "developers")}},
			State:   &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "state"}, BinaryData: map[string][]byte{recordKey: encoded}},
			Listed:  []rules.Kind{rules.User}, Accounts: tt.accounts,
			Removal: removal.Settings{Hold: time.Minute, MaxCount: 10, MaxPercent: 50}, Now: time.Now(),
		})
		if err != nil || len(out.Removed) != tt.removed {
			t.Errorf("%s: %d removed, want %d; %v", tt.reason, len(out.Removed), tt.removed, err)
		}
	}
}
